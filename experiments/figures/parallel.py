"""Several pictures at the same time, each processor drawing one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from dmmlab.experiments.figures import FIGURES
from dmmlab.experiments.figures.base import FigureError, write
from dmmlab.experiments.records.rundir import RunDirectory

Job = partial[Path]  # draws a picture and returns where it is; it goes to another process, so it is made of plain data


def jobs(ids: Sequence[str], runs: Sequence[RunDirectory], out: Path, pdf: bool) -> list[Job]:
    """The figures of these IDs, each once, from ``runs`` into folder ``out``."""
    return [partial(_figure, name, runs, out, pdf) for name in dict.fromkeys(ids)]


def _figure(name: str, runs: Sequence[RunDirectory], out: Path, pdf: bool) -> Path:
    return write(FIGURES[name], runs, out, pdf=pdf)


def draw(wanted: Sequence[Job]) -> list[Path | FigureError]:
    """Where each picture is, or why there is none, in the order of ``wanted``; other errors are raised.

    One process imports what all need and is forked for each: importing Matplotlib takes as long as a figure does. It
    is not this one, which may have threads.
    """
    processes = min(len(wanted), len(os.sched_getaffinity(0)))
    if processes < 2:
        return [_here(job) for job in wanted]
    context = get_context("forkserver")
    context.set_forkserver_preload(["matplotlib.figure", *sorted({job.func.__module__ for job in wanted})])
    with ProcessPoolExecutor(processes, context) as pool:
        return [_outcome(future) for future in [pool.submit(job) for job in wanted]]


def _here(job: Job) -> Path | FigureError:
    try:
        return job()
    except FigureError as error:
        return error


def _outcome(future: Future[Path]) -> Path | FigureError:
    error = future.exception()
    return error if isinstance(error, FigureError) else future.result()
