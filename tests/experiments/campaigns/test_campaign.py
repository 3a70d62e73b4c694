"""A campaign: each run once, several at a time, continued where it stopped. No network: the runner is replaced."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import figures_fake
import pytest

from dmmlab.experiments.campaigns import campaign, places, program
from dmmlab.experiments.campaigns.campaign import Planned, complete
from dmmlab.experiments.campaigns.places import MADE_BY, Here
from dmmlab.experiments.figures import FIGURES
from dmmlab.experiments.figures.base import digest
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.load import load, parse


def planned() -> list[Planned]:
    return campaign.plan([FIGURES["F1"]])


def make_complete(one: Planned, out: Path, outcome: str = "ok") -> Path:
    folder = out / one.folder
    figures_fake.make(one.scenario, folder, outcome=outcome)
    (folder / MADE_BY).write_text(json.dumps({"program": program.program()}))
    return folder


def test_a_run_that_two_figures_need_is_planned_once() -> None:
    once = campaign.plan([FIGURES["F1"]])
    twice = campaign.plan([FIGURES["F1"], FIGURES["F1"]])
    assert [one.digest for one in once] == [one.digest for one in twice]
    assert len({one.folder for one in once}) == len(once) == 2
    assert twice[0].figures == ("F1", "F1")


def test_the_whole_plan_has_what_was_promised() -> None:
    whole = campaign.plan()
    assert sum(one.scenario.duration for one in whole) >= 2 * 3600
    assert {name for one in whole for name in one.figures} == set(FIGURES)
    assert len({one.folder for one in whole}) == len(whole)


def test_the_digest_is_of_what_is_run_and_not_of_its_name() -> None:
    one, other = load("two-mr"), load("two-mr", {"name": "another"})
    assert digest(one) == digest(other)
    assert digest(one) != digest(load("two-mr", {"seed": 2}))
    assert digest(one) == digest(parse(one.model_dump(mode="json", by_alias=True), "run.json"))


def test_a_run_is_complete_with_outcome_scenario_and_program(tmp_path: Path) -> None:
    one = planned()[0]
    folder = make_complete(one, tmp_path)
    assert complete(folder, one.digest, "guest", "virtual")
    assert not complete(folder, one.digest, "native", "real"), "another way of running"
    assert not complete(folder, "0" * 16, "guest", "virtual"), "another scenario"
    (folder / MADE_BY).write_text(json.dumps({"program": "older"}))
    assert not complete(folder, one.digest, "guest", "virtual"), "another program"


def test_a_run_without_an_outcome_or_with_a_failed_one_is_not_complete(tmp_path: Path) -> None:
    one = planned()[0]
    folder = make_complete(one, tmp_path, outcome="failed")
    assert not complete(folder, one.digest, "guest", "virtual")
    RunDirectory(folder).outcome_json.unlink()
    assert not complete(folder, one.digest, "guest", "virtual")
    assert not complete(tmp_path / "nothing", one.digest, "guest", "virtual")


def test_an_invalid_run_is_kept_listed_and_in_no_figure(tmp_path: Path) -> None:
    one, other = planned()
    make_complete(one, tmp_path)
    make_complete(other, tmp_path, outcome="invalid")
    result = campaign.carry_out([one, other], tmp_path, "guest", "virtual")
    assert result.kept == 2
    assert [run.root.name for run in result.runs] == [one.folder]
    assert result.invalid == ((other.folder, "invalid: a test says so"),)


def test_what_is_complete_is_not_redone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = planned()
    folder = make_complete(one, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done: list[str] = []

    def run(scenario: object, out: Path, *_: object) -> None:
        done.append(out.name)
        make_complete(other, tmp_path)

    monkeypatch.setattr(places, "run_scenario", run)
    steps: list[campaign.Step] = []
    result = campaign.carry_out([one, other], tmp_path, "guest", "virtual", Here(1), steps.append)
    assert done == [other.folder]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert [(step.done, step.of, step.name, step.outcome) for step in steps] == [(2, 2, other.folder, "ok")]
    assert steps[0].left_s == 0
    assert len(result.runs) == 2


def test_whatever_records_or_verdict_follow_from_is_part_of_the_program() -> None:
    """Or a campaign would keep runs of another program. Asked in a fresh interpreter: here all is loaded already."""
    parts = ", ".join(f"dmmlab.experiments.{part}" for part in ("runner.run", "runner.carry_out", "analysis.tables"))
    code = f"import sys, {parts}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    own = [name.removeprefix("dmmlab.").replace(".", "/") for name in loaded if name.startswith("dmmlab.experiments.")]
    assert "experiments/records/recording" in own
    assert not [name for name in own if program.only_draws(f"{name}.py")]


def test_a_run_that_breaks_the_program_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> None:
        raise KeyError("address")

    monkeypatch.setattr(places, "run_scenario", run)
    result = campaign.carry_out(planned(), tmp_path, "guest", "virtual", Here(1))
    assert len(result.invalid) == 2
    assert result.invalid[0][1].startswith("failed: KeyError")
