"""Faults from a seed: the same ones each time, before the end, and a session by every method long after the last."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from dmmlab.experiments.explorer.draw import drawn, written
from dmmlab.experiments.explorer.explore import _smallest
from dmmlab.experiments.explorer.rounds import PROBE, RECOVERS_S, from_the_first_fault, slower
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.load import load, parse
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sections.movement import Movement
from dmmlab.experiments.scenario.sessions import sessions_of

BASE = load("two-mr")
SEEDS = range(60)


def test_a_seed_gives_the_same_scenario_and_what_is_written_is_read_again() -> None:
    assert drawn(BASE, 7) == drawn(BASE, 7) != drawn(BASE, 8)
    assert parse(written(drawn(BASE, 7)), "again") == drawn(BASE, 7)


def test_faults_of_every_kind_are_drawn_and_each_run_lacks_some() -> None:
    kinds = [{fault.kind for fault in drawn(BASE, seed).faults} for seed in SEEDS]
    assert set().union(*kinds) == {"crash", "pause", "partition", "impair", "dns", "disk-full", "clock-step"}
    assert all(0 < len(found) < 7 for found in kinds)


def test_no_clock_steps_that_is_not_the_hosts_own() -> None:
    native = [drawn(BASE, seed, own_clock=False) for seed in SEEDS]
    assert not any(fault.clock_step for scenario in native for fault in scenario.faults)


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


def test_in_a_slower_round_the_same_happens_over_more_time() -> None:
    slow = slower(BASE, 60)
    assert [move.at for move in slow.movement] == [0.0, 600.0] and slow.movement[1].gap == BASE.movement[1].gap
    quick = sessions_of(BASE)
    assert [spec.at_s for spec in sessions_of(slow)] == pytest.approx([60 * spec.at_s for spec in quick])
    assert [spec.count for spec in sessions_of(slow)] == [spec.count for spec in quick]
    assert slow.duration == 1800


@pytest.mark.parametrize("name", ["two-mr", "make-before-break", "ring-of-eight"])
def test_each_round_begins_where_the_first_did_and_ends_with_sessions_by_every_method(name: str) -> None:
    base = load(name)
    for seed in range(8):
        scenario = drawn(base, seed, 4)
        assert parse(written(scenario), "again") == scenario
        probes = [session for session in scenario.sessions if session.name.startswith(f"{PROBE}0")]
        assert [probe.name for probe in probes] == ["Z0", "Z0-1", "Z0-2", "Z0-3"]
        begins_s = [0.0, *(probe.at for probe in probes)]
        for begin_s, end_s in pairwise(begins_s):
            moves = [move for move in scenario.moves_of("MN1") if begin_s <= move.at < end_s]
            assert [move.to for move in moves][-1] == base.moves_of("MN1")[-1].to
            faults = [fault for fault in scenario.faults if begin_s <= fault.at < end_s]
            assert faults and max(fault.over_s for fault in faults) + RECOVERS_S <= end_s


def test_slow_rounds_have_faults_that_outlast_lifetimes() -> None:
    longest_s = max(fault.for_ for seed in range(30) for fault in drawn(BASE, seed, 4).faults)
    assert longest_s > 2 * BASE.registration.lifetime


def test_sessions_that_are_not_needed_go_as_well(tmp_path: Path) -> None:
    whole = drawn(BASE, 3, 3)
    needed = {whole.faults[-1], whole.sessions[5]}

    def play(scenario: Scenario, folder: Path) -> list[str]:
        RunDirectory(folder).create({}) if not folder.exists() else None
        return ["one binding a node: two"] if needed <= {*scenario.faults, *scenario.sessions} else []

    found = _smallest(whole, ["one binding a node: two"], tmp_path, play)
    assert {*found.scenario.faults, *found.scenario.sessions} == needed


@pytest.mark.parametrize("name", ["two-mr", "make-before-break", "ring-of-eight"])
def test_from_the_first_fault_on_all_is_as_it_was(name: str) -> None:
    for seed in range(8):
        whole = drawn(load(name), seed, 3)
        late = whole.model_copy(update={"faults": whole.faults[-1:]})
        less = parse(written(from_the_first_fault(late)), "less")
        gone_s = late.duration - less.duration
        assert gone_s > RECOVERS_S
        assert [fault.at for fault in less.faults] == [pytest.approx(late.faults[0].at - gone_s)]
        for node in whole.mobile_nodes:
            for at_s in (less.faults[0].at, less.duration):
                there = [moves[-1].to for moves in (_until(less, node, at_s), _until(late, node, at_s + gone_s))]
                assert there[0] == there[1]


def _until(scenario: Scenario, node: str, at_s: float) -> list[Movement]:
    return [move for move in scenario.moves_of(node) if move.at <= at_s + 1e-6]
