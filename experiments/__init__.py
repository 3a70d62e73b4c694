"""Scenarios, runs, records, oracle, analysis, figures, report, command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmmlab.experiments.analysis.frames import Frames


def load(folder: str | Path, invalid: bool = False) -> Frames:
    """The runs in ``folder`` as pandas frames: ``runs``, ``sessions``, ``probes``, ``handovers``, ``signalling``,
    ``events``; see `dmmlab.experiments.analysis.frames`. Invalid and failed runs stay out unless ``invalid`` is set."""
    from dmmlab.experiments.analysis import frames  # pandas takes its time, and the runner has no use for it

    return frames.load(folder, invalid)
