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
    base: Scenario, seeds: range, out: Path, runtime: Runtime, clock: Clock, place: Place, keep: bool = False
) -> Generator[Explored, None, None]:
    """One run a seed; after each, what there is so far. Runs that hold are removed unless they are to be kept."""
    explored = Explored()
    jobs = [Job(drawn(base, seed), out / f"{seed}", runtime, clock) for seed in seeds]

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
    """Without each fault that is not needed for the same invariant to break, one after the other."""
    wanted, folder = _which(breaks[0]), out / f"{scenario.name}-less"
    for fault in scenario.faults:
        less = scenario.model_copy(update={"faults": tuple(one for one in scenario.faults if one is not fault)})
        found = [one for one in play(less, folder) if _which(one) == wanted]
        if found:
            scenario, breaks = less, found
    first = out / f"{scenario.name}-first"
    play(scenario, first)
    play(scenario, folder)
    same = RunDirectory(first).imprint() == RunDirectory(folder).imprint()
    file = out / f"{scenario.name}.yaml"
    file.write_text(yaml.safe_dump(written(scenario), sort_keys=False, default_flow_style=None, width=120))
    return Finding(scenario, breaks, file, same)


def _which(sentence: str) -> str:
    return sentence.split(":", 1)[0]
