"""When all faults are over, every method sets up again."""

from __future__ import annotations

from collections.abc import Iterator

from dmmlab.experiments.explorer.rounds import PROBE
from dmmlab.experiments.records.recording import Recording


def set_up_again(recording: Recording) -> Iterator[str]:
    """The sessions at the end, each by another method, are set up at the first attempt."""
    for session in recording.sessions:
        if session.spec.entry.name.startswith(PROBE) and session.row.outcome != "ok":
            yield f"{session.spec.name} at {session.spec.at_s:g} s: {session.row.outcome}"
