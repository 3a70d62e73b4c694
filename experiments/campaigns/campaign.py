"""A campaign: every run that a set of figures needs, each once, wherever that is, continued where it was stopped.

A run's folder is named after its scenario and the digest of all that the scenario says. A folder that has an outcome,
holds that very scenario, and was made by the program as it is now, is complete and is not run again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmmlab.experiments.campaigns.places import HERE, MADE_BY, Done, Job, Place
from dmmlab.experiments.campaigns.program import program
from dmmlab.experiments.figures import FIGURES
from dmmlab.experiments.figures.base import FigureKind, Load, digest, digest_of
from dmmlab.experiments.records.errors import RunDirectoryError
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.runner.run import Clock, Runtime
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import sessions_of


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
        played = 0.0015 * sum(session.count for session in sessions) + 0.013 * len(sessions) + 0.3 * len(scenario.moves)
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
    place: Place = HERE,
    tell: Callable[[Step], None] = lambda _step: None,
) -> Result:
    """Has ``place`` run what is not complete in folder ``out``, and calls ``tell`` as each run ends.

    Raises KeyboardInterrupt when the user stops it, PlaceError when ``place`` is lost; what was complete by then stays
    so.
    """
    began, out = time.monotonic(), out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    kept = [one for one in planned if complete(out / one.folder, one.digest, runtime, clock)]
    left = [one for one in planned if one not in kept]
    clockwork = _Clockwork(len(planned), len(kept), {one.folder: one.cost_s for one in left})
    with closing(place.carry_out([_job(one, out, runtime, clock) for one in left])) as ended:
        for done in ended:
            tell(_step(done, clockwork))
    return _result(planned, out, len(kept), time.monotonic() - began)


def _job(planned: Planned, out: Path, runtime: Runtime, clock: Clock) -> Job:
    made_by = {"program": program(), "digest": planned.digest, "figures": planned.figures}
    return Job(planned.scenario, out / planned.folder, runtime, clock, made_by)


def _step(done: Done, clockwork: _Clockwork) -> Step:
    """What is said of a run that has ended; one that could not be carried out has failed, and costs no other."""
    run = RunDirectory(done.job.folder)
    if done.error is not None:
        run.root.mkdir(exist_ok=True)
        run.finish("failed", f"{type(done.error).__name__}: {done.error}")
    name, outcome = run.root.name, _outcome(run)
    left_s = clockwork.tick(name)
    return Step(clockwork.done, clockwork.of, name, outcome["outcome"], outcome["reason"], done.wall_s, left_s)


def _outcome(run: RunDirectory) -> dict[str, Any]:
    return run.outcome() or {"outcome": "failed", "reason": "it has no outcome"}


class _Clockwork:
    """How much is done, and how long the rest will take at the pace so far."""

    def __init__(self, of: int, kept: int, costs: dict[str, float]) -> None:
        self.of, self.done, self._costs = of, kept, dict(costs)
        self._began, self._spent = time.monotonic(), 0.0

    def tick(self, folder: str) -> float:
        self.done += 1
        self._spent += self._costs.pop(folder)
        return (time.monotonic() - self._began) / self._spent * sum(self._costs.values())


def _result(planned: Sequence[Planned], out: Path, kept: int, wall_s: float) -> Result:
    runs, invalid, virtual_s = [], [], 0.0
    for job in planned:
        run = RunDirectory(out / job.folder)
        outcome = _outcome(run)
        if outcome["outcome"] == "ok":
            runs.append(run)
            virtual_s += job.scenario.duration
        else:
            invalid.append((job.folder, f"{outcome['outcome']}: {outcome['reason']}"))
    return Result(tuple(runs), tuple(invalid), kept, wall_s, virtual_s)
