"""The files of a run's ladders: ``ladder-METHOD.png``, ``.pdf``, ``.csv`` and ``.txt`` (the caption).

Columns of the CSV: ``section, plane, source, destination, message, says, since, departed_ms, arrived_ms``; times are in
ms since ``since`` began, a movement, the scenario or the session.
"""

from __future__ import annotations

from pathlib import Path

from dmmlab.experiments.ladders.drawing import draw
from dmmlab.experiments.ladders.ladder import COLUMNS
from dmmlab.experiments.ladders.reading import ladders
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rundir import write_csv


def write(recording: Recording, out: Path) -> list[Path]:
    """Draws the ladder of each method that has a session in the run into folder ``out``; returns the PNGs' paths."""
    out.mkdir(parents=True, exist_ok=True)
    drawn = []
    for ladder in ladders(recording):
        stem = out / f"ladder-{ladder.method}"
        write_csv(stem.with_suffix(".csv"), COLUMNS, ladder.rows())
        caption = draw(ladder, stem)
        stem.with_suffix(".txt").write_text(caption + "\n")
        drawn.append(stem.with_suffix(".png"))
    return drawn
