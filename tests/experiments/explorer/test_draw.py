"""Faults from a seed: the same ones each time, before the end, and a session by every method long after the last."""

from __future__ import annotations

from pathlib import Path

from dmmlab.experiments.explorer.draw import drawn, written
from dmmlab.experiments.explorer.explore import _smallest
from dmmlab.experiments.explorer.rounds import PROBE, RECOVERS_S
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.load import load, parse
from dmmlab.experiments.scenario.model import Scenario

BASE = load("two-mr")
SEEDS = range(60)


def test_a_seed_gives_the_same_scenario_and_what_is_written_is_read_again() -> None:
    assert drawn(BASE, 7) == drawn(BASE, 7) != drawn(BASE, 8)
    assert parse(written(drawn(BASE, 7)), "again") == drawn(BASE, 7)


def test_faults_of_every_kind_are_drawn_and_each_run_lacks_some() -> None:
    kinds = [{fault.kind for fault in drawn(BASE, seed).faults} for seed in SEEDS]
    assert set().union(*kinds) == {"crash", "pause", "partition", "impair", "dns", "disk-full"}
    assert all(0 < len(found) < 6 for found in kinds)


def test_probes_are_long_after_the_last_fault_and_by_every_method() -> None:
    for seed in SEEDS:
        scenario = drawn(BASE, seed)
        assert max(fault.over_s for fault in scenario.faults) <= BASE.duration
        probes = [session for session in scenario.sessions if session.name.startswith(PROBE)]
        assert [probe.at for probe in probes] == [BASE.duration + RECOVERS_S]
        assert set(probes[0].method) == {"fixed", "ddns", "p2p", "central", "combined"}


def test_what_fails_is_made_smaller_for_as_long_as_it_does(tmp_path: Path) -> None:
    whole = next(scenario for scenario in (drawn(BASE, seed) for seed in SEEDS) if len(scenario.faults) > 3)
    needed = whole.faults[1]

    def play(scenario: Scenario, folder: Path) -> list[str]:
        RunDirectory(folder).create({}) if not folder.exists() else None
        return ["one binding a node: two"] if needed in scenario.faults else ["another: thing"]

    found = _smallest(whole, ["one binding a node: two"], tmp_path, play)
    assert found.scenario.faults == (needed,)
    assert found.breaks == ["one binding a node: two"]
    assert load(found.file).faults == (needed,)
