"""Several pictures at the same time, each processor drawing one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from dmmlab.experiments.figures import FIGURES
from dmmlab.experiments.figures.base import FigureError, write
from dmmlab.experiments.records.rundir import RunDirectory

Made = TypeVar("Made")
Job = partial[Path]  # draws a picture and returns where it is; it goes to another process, so it is made of plain data


def jobs(ids: Sequence[str], runs: Sequence[RunDirectory], out: Path, pdf: bool) -> list[Job]:
    """The figures of these IDs, each once, from ``runs`` into folder ``out``."""
    return [partial(_figure, name, runs, out, pdf) for name in dict.fromkeys(ids)]


def _figure(name: str, runs: Sequence[RunDirectory], out: Path, pdf: bool) -> Path:
    return write(FIGURES[name], runs, out, pdf=pdf)


def draw(wanted: Sequence[Job]) -> list[Path | FigureError]:
    """Where each picture is, or why there is none, in the order of ``wanted``; other errors are raised."""
    return made([partial(_drawn, job) for job in wanted])


def _drawn(job: Job) -> Path | FigureError:
    try:
        return job()
    except FigureError as error:
        return error


def made(wanted: Sequence[partial[Made]]) -> list[Made]:
    """What each of ``wanted``, which draw with Matplotlib, returns; in their order. What one raises is raised.

    One process imports what all need and is forked for each: importing Matplotlib takes as long as a figure does. It
    is not this one, which may have threads.
    """
    processes = min(len(wanted), len(os.sched_getaffinity(0)))
    if processes < 2:
        return [job() for job in wanted]
    context = get_context("forkserver")
    context.set_forkserver_preload(["matplotlib.figure", *sorted({_module(job) for job in wanted})])
    with ProcessPoolExecutor(processes, context) as pool:
        futures: list[Future[Made]] = [pool.submit(job) for job in wanted]
        return [future.result() for future in futures]


def _module(job: Callable[..., object]) -> str:
    """Where that which does the work is: `_drawn` is handed it."""
    while isinstance(job, partial):
        job = job.args[0] if job.func is _drawn else job.func
    return job.__module__
