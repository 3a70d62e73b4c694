"""The files of a run's ladders: ``ladder-METHOD.png``, ``.csv``, ``.txt`` (the caption) and, on request, ``.pdf``; and
``ladder-correspondent`` where one is a mobile node.

Columns of the CSV: ``section, plane, source, destination, message, says, since, departed_ms, arrived_ms``; times are in
ms since ``since`` began, a movement, the scenario or the session.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from dmmlab.experiments.figures.parallel import Job
from dmmlab.experiments.ladders.drawing import draw
from dmmlab.experiments.ladders.ladder import COLUMNS, Ladder
from dmmlab.experiments.ladders.reading import ladders
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rundir import write_csv
from dmmlab.machine.files import all_or_none


def jobs(recording: Recording, out: Path, pdf: bool) -> list[Job]:
    """The ladder of each method that has a session in the run, to be drawn into folder ``out``."""
    return [partial(_write, ladder, out, pdf) for ladder in ladders(recording)]


def _write(ladder: Ladder, out: Path, pdf: bool) -> Path:
    """Returns the PNG's path."""
    out.mkdir(parents=True, exist_ok=True)
    stem = out / f"ladder-{ladder.name}"
    with all_or_none(*(stem.with_suffix(each) for each in (".csv", ".png", ".pdf", ".txt"))):
        write_csv(stem.with_suffix(".csv"), COLUMNS, ladder.rows())
        stem.with_suffix(".txt").write_text(draw(ladder, stem, pdf) + "\n")
    return stem.with_suffix(".png")
