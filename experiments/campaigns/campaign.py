"""A campaign: every run that a set of figures needs, each once, several at a time, continued where it was stopped.

A run's folder is named after its scenario and the digest of all that the scenario says. A folder that has an outcome,
holds that very scenario, and was made by the program as it is now, is complete and is not run again.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dmmlab.experiments.figures import FIGURES
from dmmlab.experiments.figures.base import FigureKind, Load, digest, digest_of
from dmmlab.experiments.records.rundir import RunDirectory, RunDirectoryError, write_json
from dmmlab.experiments.runner.run import Clock, Progress, Runtime, run_scenario
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import sessions_of
from dmmlab.machine import processes, sources

MADE_BY = "campaign.json"  # in a run's folder: by which program, for which figures, it was made
_SOURCES = (".py", ".config", ".patch", ".c", ".sh", ".j2", ".in")
_DRAWING = (
    "figures",
    "campaigns",
    "ladders",
    "scenario/shipped",
    "records/frames.py",
    "records/readme.py",
    "report",
    "cli",
)


@dataclass(frozen=True)
class Planned:
    """One run of a campaign, and the figures that need it."""

    scenario: Scenario
    digest: str
    figures: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Of the run: the scenario's name and its digest."""
        return f"{self.scenario.name}-{self.digest[:8]}"

    @property
    def cost_s(self) -> float:
        """A guess at its wall time, for the time left: what starting takes, and what sessions and probes add."""
        scenario, sessions = self.scenario, sessions_of(self.scenario)
        played = (
            0.0015 * sum(session.count for session in sessions) + 0.013 * len(sessions) + 0.3 * len(scenario.movement)
        )
        return 6.0 + 0.8 * len(scenario.mobile_nodes) + played


@dataclass(frozen=True)
class Step:
    """What a campaign says when a run has ended: how many of how many, which, how, and the seconds that are left."""

    done: int
    of: int
    name: str
    outcome: str
    reason: str | None
    wall_s: float
    left_s: float


@dataclass(frozen=True)
class Result:
    """How a campaign went: the folders of valid runs, and those of the others with their reason."""

    runs: tuple[RunDirectory, ...]
    invalid: tuple[tuple[str, str], ...]
    kept: int  # complete before
    wall_s: float
    virtual_s: float

    def __str__(self) -> str:
        hours = f"{self.virtual_s / 3600:.2f} h of scenario time, {self.wall_s:.0f} s of wall time"
        return f"{len(self.runs)} runs ({self.kept} kept), {hours}"


def plan(kinds: Iterable[FigureKind] = tuple(FIGURES.values()), loader: Load = load) -> list[Planned]:
    """The runs that ``kinds`` need, each once, the longest first."""
    found: dict[str, tuple[Scenario, list[str]]] = {}
    for kind in kinds:
        for scenario in kind.scenarios(loader):
            found.setdefault(digest(scenario), (scenario, []))[1].append(kind.id)
    planned = [Planned(scenario, key, tuple(ids)) for key, (scenario, ids) in found.items()]
    return sorted(planned, key=lambda job: (-job.cost_s, job.folder))


def only_draws(source: str) -> bool:
    """Whether no record and no verdict of a run follows from this source, a path in the repository."""
    return any(source.startswith(f"experiments/{word}") for word in _DRAWING)


@cache
def program() -> str:
    """A digest of the sources that records follow from; what only draws is left out."""
    root, content = sources.ROOT, hashlib.sha256()
    for folder in sources.FOLDERS:
        for file in sorted((root / folder).rglob("*")):
            name = str(file.relative_to(root))
            if file.suffix in _SOURCES and file.is_file() and not only_draws(name):
                content.update(name.encode() + b"\0" + file.read_bytes())
    return content.hexdigest()[:16]


def complete(folder: Path, wanted: str, runtime: Runtime, clock: Clock) -> bool:
    """Whether ``folder`` holds a finished run of the scenario with digest ``wanted``, made by this program this way.

    A failed run (the network never came up, say) is not complete: it is tried again. An invalid one is.
    """
    run = RunDirectory(folder)
    try:
        manifest, outcome = run.manifest(), run.outcome()
        made_by = json.loads((folder / MADE_BY).read_text())
    except (OSError, ValueError, RunDirectoryError):
        return False
    return (
        outcome is not None
        and outcome["outcome"] != "failed"
        and digest_of(run) == wanted
        and (manifest["runtime"], manifest["clock"]) == (runtime, clock)
        and made_by.get("program") == program()
    )


def carry_out(
    planned: Sequence[Planned],
    out: Path,
    runtime: Runtime,
    clock: Clock,
    jobs: int = 2,
    tell: Callable[[Step], None] = lambda _step: None,
) -> Result:
    """Runs what is not complete in folder ``out``, ``jobs`` at a time, and calls ``tell`` as each run ends.

    Raises KeyboardInterrupt when the user stops it; what was complete by then stays so. Processes, not threads: Ctrl-C
    reaches each, and reading the captures of one run does not wait for another's.
    """
    began, out = time.monotonic(), out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    kept = [job for job in planned if complete(out / job.folder, job.digest, runtime, clock)]
    left = [job for job in planned if job not in kept]
    clockwork = _Clockwork(len(planned), len(kept), {job.folder: job.cost_s for job in left})
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_begin) as pool:
        pending = {pool.submit(_run, job, out / job.folder, runtime, clock): job for job in left}
        try:
            _follow(pending, out, clockwork, tell)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return _result(planned, out, len(kept), time.monotonic() - began)


def _begin() -> None:
    """In each process of the pool: it ends with the one that started it, and its guest with it."""
    processes.die_with_parent()


def _run(planned: Planned, folder: Path, runtime: Runtime, clock: Clock) -> float:
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    RunDirectory(folder).outcome_json.unlink(missing_ok=True)
    write_json(folder / MADE_BY, {"program": program(), "digest": planned.digest, "figures": planned.figures})
    try:
        run_scenario(planned.scenario, folder, runtime, clock, Progress())
    except Exception as error:  # one run that cannot be read must not cost the others
        RunDirectory(folder).finish("failed", f"{type(error).__name__}: {error}")
    return time.monotonic() - began


class _Clockwork:
    """How much is done, and how long the rest will take at the pace so far."""

    def __init__(self, of: int, kept: int, costs: dict[str, float]) -> None:
        self.of, self.done, self._costs = of, kept, dict(costs)
        self._began, self._spent = time.monotonic(), 0.0

    def tick(self, folder: str) -> float:
        self.done += 1
        self._spent += self._costs.pop(folder)
        return (time.monotonic() - self._began) / self._spent * sum(self._costs.values())


def _follow(
    pending: dict[Future[float], Planned], out: Path, clockwork: _Clockwork, tell: Callable[[Step], None]
) -> None:
    """Returns when every future is done, and says so of each; an error that is no outcome ends the campaign."""
    waiting = set(pending)
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            job, wall_s = pending[future], future.result()
            left_s = clockwork.tick(job.folder)
            outcome = RunDirectory(out / job.folder).outcome() or {"outcome": "failed", "reason": "it has no outcome"}
            tell(Step(clockwork.done, clockwork.of, job.folder, outcome["outcome"], outcome["reason"], wall_s, left_s))


def _result(planned: Sequence[Planned], out: Path, kept: int, wall_s: float) -> Result:
    runs, invalid, virtual_s = [], [], 0.0
    for job in planned:
        run = RunDirectory(out / job.folder)
        outcome = run.outcome() or {"outcome": "failed", "reason": "it has no outcome"}
        if outcome["outcome"] == "ok":
            runs.append(run)
            virtual_s += job.scenario.duration
        else:
            invalid.append((job.folder, f"{outcome['outcome']}: {outcome['reason']}"))
    return Result(tuple(runs), tuple(invalid), kept, wall_s, virtual_s)
