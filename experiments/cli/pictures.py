"""What a command draws: figures and message ladders, by the names that a user gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dmmlab.experiments.figures import ENTRIES

if TYPE_CHECKING:
    from dmmlab.experiments.figures.parallel import Job
    from dmmlab.experiments.records.rundir import RunDirectory

ALL, LADDERS = "all", "ladders"
OF_ONE_RUN = ("F1", "F2", "F3", LADDERS)


def names(given: Sequence[str]) -> tuple[str, ...]:
    """The names in ``given``, commas between them or not, each once. UsageError names one that is unknown."""
    split = [name for text in given for name in text.split(",") if name]
    unknown = [name for name in split if name not in (*ENTRIES, LADDERS, ALL)]
    if unknown:
        raise click.UsageError(f"unknown figure {unknown[0]}; known are {', '.join(ENTRIES)}, {LADDERS}, {ALL}")
    return tuple(dict.fromkeys(split))


def draw_beside(runs: Sequence[RunDirectory], wanted: tuple[str, ...], pdf: bool) -> bool:
    """Draws what is ``wanted`` of each of ``runs`` into its own ``figures/``; False if something cannot be drawn.

    `ALL` is all that a single run shows, and what one of them lacks is no matter.
    """
    from dmmlab.experiments.figures.base import finished

    chosen = OF_ONE_RUN if ALL in wanted else wanted
    lacking = _draw([job for run in runs for job in _jobs(chosen, finished([run.root]), run, run.figures, pdf)])
    if ALL not in wanted:
        for reason in lacking:
            click.echo(f"dmmlab: {reason}", err=True)
    return ALL in wanted or not lacking


def draw_from(sources: Sequence[Path], wanted: tuple[str, ...], out: Path, pdf: bool) -> None:
    """Draws what is ``wanted`` of all runs in ``sources``, or all figures that they allow, into folder ``out``.

    Raises FigureError if something that was named cannot be drawn, RunDirectoryError if a run is damaged.
    """
    from dmmlab.experiments.figures.base import FigureError, finished
    from dmmlab.experiments.records.recording import Recording

    if not (runs := finished(sources)):
        where = ", ".join(map(str, sources))
        raise FigureError(f"{where}: no valid run there: none with a run.json, and an outcome.json that says ok")
    if LADDERS in wanted and len(runs) != 1:
        raise click.UsageError(f"{LADDERS} are those of one valid run; there are {len(runs)} in what --from names")
    for run in runs:  # before anything is written
        Recording(run).read_through()
    named = wanted and ALL not in wanted
    lacking = _draw(_jobs(wanted if named else tuple(ENTRIES), runs, runs[0] if runs else None, out, pdf))
    if named and lacking:
        raise FigureError(lacking[0])


def _jobs(
    chosen: Sequence[str], valid: Sequence[RunDirectory], run: RunDirectory | None, out: Path, pdf: bool
) -> list[Job]:
    """Figures from the ``valid`` runs, and the ladders of ``run``."""
    from dmmlab.experiments.figures import parallel
    from dmmlab.experiments.ladders import files
    from dmmlab.experiments.records.recording import Recording

    found = parallel.jobs([name for name in chosen if name in ENTRIES], valid, out, pdf)
    return found + (files.jobs(Recording(run), out, pdf) if run and LADDERS in chosen else [])


def _draw(jobs: Sequence[Job]) -> list[str]:
    """Says where each picture is; returns why others are not there."""
    from dmmlab.experiments.figures import parallel

    drawn = parallel.draw(jobs)
    for path in (found for found in drawn if isinstance(found, Path)):
        click.echo(f"{'ladder' if path.name.startswith('ladder-') else 'figure'}: {path}")
    return [str(found) for found in drawn if not isinstance(found, Path)]
