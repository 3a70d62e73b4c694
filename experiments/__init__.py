"""Scenarios, runs, records, oracle, analysis, figures, report, command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmmlab.experiments.records.frames import Frames


def load(folder: str | Path, invalid: bool = False) -> Frames:
    """The runs in ``folder`` as pandas frames: ``runs``, ``sessions``, ``probes``, ``handovers``, ``signalling``,
    ``events``; see `dmmlab.experiments.records.frames`. Invalid and failed runs stay out unless ``invalid`` is set.
    """
    from dmmlab.experiments.records import frames

    return frames.load(folder, invalid)
