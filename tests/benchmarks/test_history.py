"""What the benchmarks' history says: with what a figure is compared, and when it got worse."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scripts import script

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
history = script(BENCHMARKS / "history.py")
HERE, ELSEWHERE = {"processor": "A", "cores": 2}, {"processor": "B", "cores": 2}


def entry(date: str, machine: dict[str, Any] = HERE, subject: str = "two_mr", **figures: Any) -> dict[str, Any]:
    return {"subject": subject, "date": date, "machine": machine, "figures": figures}


def said(name: str, before: float, now: float) -> list[str]:
    changes = history.changes({name: now}, entry("2026-11-01") | {"figures": {name: before}})
    return [change.sentence("two_mr") for change in history.worse(changes)]


def test_what_takes_longer_got_worse_and_is_said_so_in_a_sentence() -> None:
    assert said("wall_s", 7.9, 9.4) == ["two_mr wall_s got worse: 7.9 s -> 9.4 s (+19 %)"]


@pytest.mark.parametrize(("now", "worse"), [(11.4, False), (11.6, True), (5.0, False)])
def test_what_is_timed_may_vary_by_its_threshold(now: float, worse: bool) -> None:
    assert bool(said("wall_s", 10.0, now)) is worse


@pytest.mark.parametrize(("now", "worse"), [(101.0, False), (103.0, True)])
def test_what_is_counted_may_hardly_vary(now: float, worse: bool) -> None:
    assert bool(said("probe_traps", 100.0, now)) is worse


@pytest.mark.parametrize(("now", "worse"), [(900.0, False), (800.0, True), (2000.0, False)])
def test_of_a_rate_less_is_worse(now: float, worse: bool) -> None:
    assert bool(said("writes_per_s", 1000.0, now)) is worse


def test_an_error_that_was_none_has_no_percentage() -> None:
    assert said("rtt_error_max_ms", 0.0, -0.002) == ["two_mr rtt_error_max_ms got worse: 0 ms -> -0.002 ms"]
    assert said("rtt_error_max_ms", 0.0, 0.0) == []


def test_a_figure_of_which_chance_decides_is_never_called_worse() -> None:
    changes = history.changes({"real time.max_ms": 9.0}, entry("2026-11-01") | {"figures": {"real time.max_ms": 1.0}})
    assert changes[0].worse
    assert history.worse(changes, ["real time.max"]) == []


def test_it_is_compared_with_the_last_one_of_the_same_kind_of_machine() -> None:
    entries = [
        entry("2026-11-03T10:00:00", wall_s=1.0),
        entry("2026-11-04T10:00:00", ELSEWHERE, wall_s=2.0),
        entry("2026-11-02T10:00:00", wall_s=3.0),
        entry("2026-11-05T10:00:00", subject="idle", wall_s=4.0),
    ]
    assert history.last(entries, "two_mr", HERE)["figures"] == {"wall_s": 1.0}
    assert history.last(entries, "two_mr", {"processor": "C", "cores": 2}) is None


def test_without_a_last_one_nothing_got_worse() -> None:
    assert history.worse(history.changes({"wall_s": 9.4}, None)) == []
    assert history.worse(history.changes({"new_s": 9.4}, entry("2026-11-01", wall_s=7.9))) == []


def test_figures_may_be_nested_and_what_is_no_number_is_left_out() -> None:
    figures = {"plain": {"rtt_ms": 0.5, "how": "TCLink"}, "wall_s": 2}
    assert history.flat(figures) == {"plain.rtt_ms": 0.5, "wall_s": 2}


def test_a_subject_of_several_sizes_is_measured_at_each() -> None:
    one = SimpleNamespace(measure=lambda: {"wall_s": 2.0})
    several = SimpleNamespace(SIZES=((20, 5), (200, 20)), measure=lambda nodes, routers: {"wall_s": nodes / routers})
    assert history.measured(one) == {"wall_s": 2.0}
    assert history.measured(several) == {"20/5.wall_s": 4.0, "200/20.wall_s": 10.0}


def test_entries_come_back_as_they_were_written(tmp_path: Path) -> None:
    file, written = tmp_path / "new" / "history.jsonl", [entry("2026-11-01", wall_s=7.9), entry("2026-11-02", wall_s=8)]
    for each in written:
        history.append(file, each)
    assert list(history.read([tmp_path / "not there", file])) == written


def test_the_committed_history_is_readable() -> None:
    for line in (BENCHMARKS / "history.jsonl").read_text().splitlines():
        assert {"subject", "date", "commit", "kernel", "machine", "figures"} == set(json.loads(line))
