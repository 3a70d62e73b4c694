"""One run from outside: its folder and manifest, the runner in the guest or natively, then records and an outcome."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dmmlab.experiments.records.rundir import FORMAT, RunDirectory
from dmmlab.experiments.runner import memory
from dmmlab.experiments.scenario.identities import identities
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.network import network_plan
from dmmlab.guest.cache import cache_root, find_kernel, origin
from dmmlab.guest.errors import GuestError
from dmmlab.guest.launch import execute, job_directory
from dmmlab.machine import bundle, checks, environment, isolation, processes, processors, sources

_MODULES = "modules"
Runtime = Literal["guest", "native"]
Clock = Literal["virtual", "real"]
INTERRUPTED = 130
_RUNNER = "dmmlab.experiments.runner.__main__"
# What a run imports, in this order: its framework is what the controller imports, in a process of its own.
_PROGRAM = (
    "dmmlab.machine.lean:leave_out",
    _RUNNER,
    "dmmlab.experiments.runner.carry_out",
    "dmmlab.controllers.__main__",
    "dmmlab.controllers.framework:load",
)
_INSIDE = "/run/dmmlab/run"  # the run directory, to the guest: nothing in a run may follow from where it lies


@dataclass
class Progress:
    """Tells ``tell(phase, share)`` how far a run is, and keeps the wall time of each phase in ``spent_s``."""

    tell: Callable[[str, float | None], None] = lambda _phase, _share: None
    spent_s: dict[str, float] = field(default_factory=dict)
    exact_clock: dict[str, int] | None = None  # in virtual time: what moved the guest's clock, at the end of the run
    _phase: str = ""
    _since: float = 0.0

    def enter(self, phase: str) -> None:
        """Ends the phase before, and begins ``phase``; with an empty name, only ends."""
        now = time.monotonic()
        if self._phase:
            self.spent_s[self._phase] = self.spent_s.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now
        if phase:
            self.tell(phase, None)

    def line(self, text: str) -> None:
        """One line of the runner's standard output."""
        report = json.loads(text)
        if "phase" in report:
            self.enter(report["phase"])
        elif "exact_clock" in report:
            self.exact_clock = report["exact_clock"]
        else:
            self.tell(self._phase, report["progress"])


def prepare(
    scenario: Scenario, out: Path, runtime: Runtime, clock: Clock, processor: int | None = None
) -> RunDirectory:
    """A fresh run directory with its manifest, ready for the runner; ``processor`` is the one that a guest keeps to."""
    run = RunDirectory(out)
    kernel = find_kernel(clock) if runtime == "guest" else None
    run.create(
        {
            "format": FORMAT,
            "name": scenario.name,
            "seed": scenario.seed,
            "runtime": runtime,
            "clock": clock,
            "datapath": os.environ.get("DMMLAB_OVS_DATAPATH")
            or (checks.datapath() if runtime == "native" else "system"),
            "environment": environment.describe(kernel.version, origin(kernel), processor)
            if kernel
            else environment.describe(),
            "identities": identities(scenario),
            "scenario": scenario.resolved().model_dump(mode="json", by_alias=True),
            **_origin(scenario),
        }
    )
    return run


def _origin(scenario: Scenario) -> dict[str, Any]:
    """What the movements of the record were drawn from, if they were."""
    entries = [entry.model_dump(mode="json", by_alias=True, exclude_unset=True) for entry in scenario.mobility]
    return {"mobility": entries} if entries else {}


def shell(scenario: Scenario, out: Path, runtime: Runtime, clock: Clock, program: str) -> int:
    """The scenario, played by the module ``program`` on this process's terminal; returns the exit status."""
    from dmmlab.guest import terminal

    run = prepare(scenario, out, runtime, clock)
    command, began = _command(run.root.resolve(), program=program), time.monotonic()
    sources.compile_all()
    if runtime == "native":
        status = subprocess.run(processes.as_root(command)).returncode
    else:
        memory_mb = memory.given_mb(network_plan(scenario), len(scenario.mobile_nodes))
        status = terminal.shell(command, writable=[out], clock=clock, services=False, memory_mb=memory_mb)
    if status == 0:
        _reduce(run, began)
    return status


def run_scenario(
    scenario: Scenario, out: Path, runtime: Runtime, clock: Clock, progress: Progress, memory_mb: int | None = None
) -> RunDirectory:
    """Runs ``scenario`` into folder ``out``; how it ended is in its ``outcome.json``.

    A guest has ``memory_mb``, or what its network needs (`memory.given_mb`).
    Raises KeyboardInterrupt when the user stopped it: the folder then has no outcome and counts as unfinished.
    """
    progress.enter("start")
    with processors.claimed() if runtime == "guest" else contextlib.nullcontext() as processor:
        run = prepare(scenario, out, runtime, clock, processor)
        began = time.monotonic()
        sources.compile_all()
        with _in_memory(run) as work:
            status, errors = (
                _in_guest(
                    work,
                    clock,
                    progress,
                    processor,
                    memory_mb or memory.given_mb(network_plan(scenario), scenario.more_agents, clock),
                )
                if runtime == "guest"
                else _natively(work, progress)
            )
    if progress.exact_clock is not None:
        run.amend(exact_clock=progress.exact_clock)
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    progress.enter("records")
    if status:
        run.finish(
            "failed", errors.strip().splitlines()[-1] if errors.strip() else f"the runner ended with status {status}"
        )
        return run
    _reduce(run, began)
    progress.enter("")
    return run


def _import_readers() -> None:
    """Imports what reads records, which the guest need not wait for."""
    importlib.import_module("dmmlab.experiments.analysis.tables")


def _reduce(run: RunDirectory, began: float) -> None:
    """Makes the tables of raw records, and the outcome."""
    from dmmlab.experiments.analysis import tables
    from dmmlab.experiments.records.errors import RunDirectoryError
    from dmmlab.experiments.records.recording import RecordError, Recording

    try:
        recording = Recording(run)
        tables.reduce(recording)
    except (RecordError, RunDirectoryError) as error:
        run.finish("failed", str(error))
        return
    found = tables.problems(recording)
    run.finish("invalid" if found else "ok", "; ".join(found) or None, wall_s=round(time.monotonic() - began, 3))


def _command(root: Path | str, modules: Path | None = None, program: str = _RUNNER) -> list[str]:
    """What carries a run out; with ``modules``, a file of `bundle.bundle_of`."""
    found_by = [] if modules is None else ["dmmlab.machine.bundle", str(modules)]
    return isolation.argv([sys.executable, "-m", *found_by, program, str(root)])


def _in_guest(
    run: RunDirectory, clock: Clock, progress: Progress, processor: int | None, memory_mb: int
) -> tuple[int, str]:
    progress.enter("boot")
    reading = threading.Thread(target=_import_readers, daemon=True)

    def heard(line: str) -> None:
        if reading.ident is None:  # it has booted, and there is nothing to do here for a while
            reading.start()
        progress.line(line)

    lines, errors = _Lines(heard), bytearray()
    modules = None
    if (made := bundle.bundle_of(_PROGRAM, cache_root() / "modules")) is not None:
        shutil.copyfile(made, run.root / _MODULES)  # where the guest sees it, under a name that is the same for all
        modules = Path(_INSIDE, _MODULES)
    try:
        status = execute(
            _command(_INSIDE, modules),
            places={_INSIDE: run.root},
            cwd=Path("/"),
            clock=clock,
            stdout=lines.feed,
            stderr=errors.extend,
            seed=int(run.manifest()["seed"]),
            processor=processor,
            memory_mb=memory_mb,
        )
    except GuestError as error:
        return 1, str(error)
    (run.log / "runner.log").write_bytes(errors)
    return status, errors.decode(errors="replace")


def _natively(run: RunDirectory, progress: Progress) -> tuple[int, str]:
    with (run.log / "runner.log").open("w+") as errors:
        process = processes.popen(_command(run.root), stdout=subprocess.PIPE, stderr=errors)
        try:
            assert process.stdout is not None
            for line in process.stdout:
                progress.line(line)
            status = process.wait()
        except BaseException:
            processes.end(process)
            raise
        errors.seek(0)
        return status, errors.read()


@contextlib.contextmanager
def _in_memory(run: RunDirectory) -> Iterator[RunDirectory]:
    """A folder for the runner, whose logs and captures are copied into ``run`` in the end.

    In real time, writing to a slow or synced folder would be measured, too.
    """
    with job_directory() as folder:
        work = RunDirectory(folder)
        shutil.copy(run.run_json, work.run_json)
        work.log.mkdir()
        work.capture.mkdir()
        try:
            yield work
        finally:
            for mine, out in ((work.log, run.log), (work.capture, run.capture)):
                shutil.copytree(mine, out, dirs_exist_ok=True, copy_function=_copy)


def _copy(source: str, target: str) -> None:
    """Leaves out what only root may read: a runner that was killed could not hand it over (`Lab.stop`)."""
    if os.access(source, os.R_OK):
        shutil.copyfile(source, target)


class _Lines:
    """Cuts a stream of bytes into lines."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take, self._rest = take, b""

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line.decode())
