"""Explores: runs of a scenario, each with faults from its seed; of one that breaks something, the least that does."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from dmmlab.experiments.campaigns.places import Job, Place
from dmmlab.experiments.explorer.draw import drawn, written
from dmmlab.experiments.explorer.invariants import broken
from dmmlab.experiments.explorer.rounds import from_the_first_fault
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.runner.run import Clock, Progress, Runtime, run_scenario
from dmmlab.experiments.scenario.model import Scenario

Play = Callable[[Scenario, Path], list[str]]  # plays a scenario into a folder; what it breaks


@dataclass(frozen=True)
class Finding:
    """A scenario, as small as it could be made, and what it breaks; ``file`` has it."""

    scenario: Scenario
    breaks: list[str]
    file: Path
    same: bool  # a second run of it has the same bytes


@dataclass
class Explored:
    """What has been explored so far."""

    runs: int = 0
    virtual_s: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)


def explore(
    base: Scenario,
    seeds: range,
    out: Path,
    runtime: Runtime,
    clock: Clock,
    place: Place,
    keep: bool = False,
    rounds: int = 1,
) -> Generator[Explored, None, None]:
    """One run a seed, of so many rounds; after each, what there is so far. Runs that hold are removed unless they are
    to be kept.
    """
    explored = Explored()
    guest = runtime == "guest"
    jobs = [Job(drawn(base, seed, rounds, own_clock=guest), out / f"{seed}", runtime, clock) for seed in seeds]

    def play(scenario: Scenario, folder: Path) -> list[str]:
        shutil.rmtree(folder, ignore_errors=True)
        return judge(run_scenario(scenario, folder, runtime, clock, Progress()))

    for done in place.carry_out(jobs):
        if done.error is not None:
            raise done.error
        scenario = done.job.scenario
        explored.runs += 1
        explored.virtual_s += scenario.duration
        explored.faults.update(fault.kind for fault in scenario.faults)
        if breaks := judge(RunDirectory(done.job.folder)):
            explored.findings.append(_smallest(scenario, breaks, out, play))
        elif not keep:
            shutil.rmtree(done.job.folder)
        yield explored


def judge(run: RunDirectory) -> list[str]:
    """What a run breaks; that it could not be carried out, or may not be believed, counts as well."""
    outcome = run.outcome() or {"outcome": "failed", "reason": "there is no outcome"}
    if outcome["outcome"] == "failed":
        return [f"the run is carried out: {outcome['reason']}"]
    invalid = [f"the run is valid: {outcome['reason']}"] if outcome["outcome"] == "invalid" else []
    return [*invalid, *broken(Recording(run))]


def _smallest(scenario: Scenario, breaks: list[str], out: Path, play: Play) -> Finding:
    """With no fault and no session that is not needed for the same invariant to break, nor the time before them."""
    folder = out / f"{scenario.name}-less"
    for key in ("faults", "sessions"):
        less = from_the_first_fault(scenario)
        if less != scenario and (found := [one for one in play(less, folder) if _which(one) == _which(breaks[0])]):
            scenario, breaks = less, found
        many = len(getattr(scenario, key))
        while many:
            many //= 2
            scenario, breaks = _without(scenario, breaks, key, max(1, many), lambda less: play(less, folder))
    first = out / f"{scenario.name}-first"
    play(scenario, first)
    play(scenario, folder)
    same = RunDirectory(first).imprint() == RunDirectory(folder).imprint()
    file = out / f"{scenario.name}.yaml"
    file.write_text(yaml.safe_dump(written(scenario), sort_keys=False, default_flow_style=None, width=120))
    return Finding(scenario, breaks, file, same)


def _without(
    scenario: Scenario, breaks: list[str], key: str, many: int, play: Callable[[Scenario], list[str]]
) -> tuple[Scenario, list[str]]:
    """``scenario`` without each ``many`` neighbours of what it has at ``key`` of which none is needed."""
    wanted, at = _which(breaks[0]), 0
    while at < len(entries := getattr(scenario, key)):
        less = scenario.model_copy(update={key: (*entries[:at], *entries[at + many :])})
        if found := [one for one in play(less) if _which(one) == wanted]:
            scenario, breaks = less, found
        else:
            at += many
    return scenario, breaks


def _which(sentence: str) -> str:
    return sentence.split(":", 1)[0]
