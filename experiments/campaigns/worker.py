"""What a worker of a cluster does: it looks whether its records would be the client's, and carries one run out.

Only plain values come and go, so that a worker with another version of anything can still say that it has.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dmmlab.experiments.campaigns.delivery import pack
from dmmlab.experiments.campaigns.places import Job, nobody, perform
from dmmlab.experiments.campaigns.program import program
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.load import parse
from dmmlab.guest.cache import find_kernel, origin, recipe_hash
from dmmlab.guest.errors import NoKernelError
from dmmlab.machine import environment

Task = Mapping[str, Any]


def baseline(clock: str) -> dict[str, Any]:
    """What the records of this machine's guests follow from beside the scenario.

    A guest's bytes do not depend on the processor's model and features (docs/guest.md): only its architecture is named.
    Raises NoKernelError.
    """
    kernel = find_kernel(clock)
    described = environment.describe(kernel.version, origin(kernel))
    machine = dict(described["machine"])  # type: ignore[call-overload]
    return {
        **described,
        "machine": {"architecture": machine["architecture"]},
        "dmmlab": program(),
        "recipe": recipe_hash()[:12],
    }


def task_of(job: Job, wanted: Mapping[str, Any], topic: str | None) -> Task:
    """``job`` for `carry_out`, by a worker whose `baseline` is ``wanted``; how far it is is said under ``topic``."""
    return {
        "scenario": job.scenario.model_dump(mode="json", by_alias=True),
        "folder": str(job.folder),
        "runtime": job.runtime,
        "clock": job.clock,
        "made_by": None if job.made_by is None else dict(job.made_by),
        "wanted": dict(wanted),
        "topic": topic,
    }


def carry_out(task: Task) -> dict[str, Any]:
    """In a thread of a Dask worker: the run as an archive, with its ``wall_s`` and ``spent_s``.

    Or why this worker's would be another one, before anything is run: ``refused``. Raises OSError and MemoryError where
    it is the machine that cannot; whatever else goes wrong is the run's outcome.
    """
    from distributed import get_worker

    try:
        unlike = environment.differences(task["wanted"], baseline(task["clock"]))
    except NoKernelError as error:
        unlike = [str(error)]
    if unlike:
        return {"refused": unlike}
    worker, topic = get_worker(), task["topic"]

    def tell(_folder: Path, phase: str, share: float | None) -> None:
        worker.log_event(topic, {"folder": task["folder"], "phase": phase, "share": share})

    with tempfile.TemporaryDirectory(prefix="run-", dir=worker.local_directory) as scratch:
        folder = Path(scratch) / Path(task["folder"]).name
        scenario = parse(task["scenario"], "the client's scenario")
        job = Job(scenario, folder, task["runtime"], task["clock"], task["made_by"])
        done = perform(job, tell if topic else nobody)
        if isinstance(done.error, OSError | MemoryError):
            raise done.error
        if done.error is not None:
            folder.mkdir(exist_ok=True)
            RunDirectory(folder).finish("failed", f"{type(done.error).__name__}: {done.error}")
        return {"archive": pack(folder), "wall_s": done.wall_s, "spent_s": dict(done.spent_s)}
