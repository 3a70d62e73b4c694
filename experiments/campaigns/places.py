"""Where runs are carried out: a place takes jobs and gives them back as they end, and that is all others know of it.

`Here` is this machine, with several processes beside each other; `cluster.OnCluster` is a Dask cluster.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Protocol

from dmmlab.experiments.records.rundir import RunDirectory, write_json
from dmmlab.experiments.runner.run import Clock, Progress, Runtime, run_scenario
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.machine import processes
from dmmlab.machine.errors import Refusal

MADE_BY = "campaign.json"  # in a run's folder: by which program, for which figures, it was made
Tell = Callable[[Path, str, float | None], None]  # a job's folder, the phase it is in, the share that has been played


class PlaceError(Refusal):
    """The place can carry out no more; one sentence with the remedy. What was complete is kept."""


@dataclass(frozen=True)
class Job:
    """One run: ``scenario``, with its seed, into ``folder``; ``made_by`` is noted beside its records.

    A guest has ``memory_mb``, or what its network needs.
    """

    scenario: Scenario
    folder: Path
    runtime: Runtime
    clock: Clock
    made_by: Mapping[str, Any] | None = None
    memory_mb: int | None = None


@dataclass(frozen=True)
class Done:
    """A job that has ended, after ``wall_s``, in phases of ``spent_s``.

    How the run went is in its folder; with an ``error``, it could not be carried out to an outcome.
    """

    job: Job
    wall_s: float
    spent_s: Mapping[str, float]
    error: Exception | None = None


def nobody(_folder: Path, _phase: str, _share: float | None) -> None:
    """Is not interested in how far a run is."""


class Place(Protocol):
    """Where runs are carried out."""

    def carry_out(self, jobs: Sequence[Job], tell: Tell = nobody) -> Generator[Done, None, None]:
        """Each of ``jobs`` once, as it ends; meanwhile ``tell`` hears how far it is, perhaps in another thread.

        Whoever stops listening (`close`, Ctrl-C) cancels what is outstanding. Raises PlaceError if the place is lost.
        """


def perform(job: Job, tell: Tell = nobody) -> Done:
    """Carries one job out in this process. Raises KeyboardInterrupt when the user stops it: it has no outcome then."""
    began, progress = time.monotonic(), Progress(lambda phase, share: tell(job.folder, phase, share))
    error: Exception | None = None
    try:
        if job.made_by is not None:
            job.folder.mkdir(parents=True, exist_ok=True)
            RunDirectory(job.folder).outcome_json.unlink(missing_ok=True)
            write_json(job.folder / MADE_BY, job.made_by)
        run_scenario(job.scenario, job.folder, job.runtime, job.clock, progress, job.memory_mb)
    except Exception as raised:
        error = raised
    return Done(job, time.monotonic() - began, progress.spent_s, error)


class Here:
    """This machine, ``at_once`` runs at a time, each in a process: reading one's captures holds up no other's guest."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once

    def carry_out(self, jobs: Sequence[Job], tell: Tell = nobody) -> Generator[Done, None, None]:
        """As `Place` says; one at a time in this process itself, which hears Ctrl-C, and passes it on to the guest."""
        if min(self._at_once, len(jobs)) > 1:
            yield from _beside_each_other(jobs, min(self._at_once, len(jobs)), tell)
        else:
            for job in jobs:
                yield perform(job, tell)


HERE = Here(2)


def _beside_each_other(jobs: Sequence[Job], at_once: int, tell: Tell) -> Generator[Done, None, None]:
    context = multiprocessing.get_context("spawn")
    words, stop = context.SimpleQueue(), context.Event()
    with (
        _heard(words, tell),
        ProcessPoolExecutor(at_once, context, _begin, (os.getpid(), words, stop)) as pool,
    ):
        try:
            for future in as_completed([pool.submit(_in_pool, job) for job in jobs]):
                yield future.result()
        except BrokenProcessPool:
            raise PlaceError(
                "a process with a run in it was killed (by whom? a machine out of memory does that): start the same "
                "command again with fewer --jobs"
            ) from None
        except BaseException:
            stop.set()  # for what the pool has handed to its processes already
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid or 0, signal.SIGINT)
            raise


@contextlib.contextmanager
def _heard(words: SimpleQueue[tuple[Path, str, float | None] | None], tell: Tell) -> Iterator[None]:
    """Passes on what the processes say, until the block ends."""

    def listen() -> None:
        while (word := words.get()) is not None:
            tell(*word)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield
    finally:
        words.put(None)
        listener.join()


class _Process:
    """What a process of the pool has from the one that started it."""

    words: SimpleQueue[tuple[Path, str, float | None] | None]
    stop: Event


def _begin(parent: int, words: SimpleQueue[tuple[Path, str, float | None] | None], stop: Event) -> None:
    """In each process of the pool: it ends with the one that started it, and its guest with it."""
    processes.die_with_parent()
    if os.getppid() != parent:  # it ended before we had asked
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # while there is nothing to interrupt
    _Process.words, _Process.stop = words, stop


def _in_pool(job: Job) -> Done:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if _Process.stop.is_set():
            raise KeyboardInterrupt
        return perform(job, lambda *word: _Process.words.put(word))
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
