"""A processor takes one message after another."""

from __future__ import annotations

from pathlib import Path

from dmmlab.machine.processing import Cost, Processor

MS = 1_000_000


def test_one_after_another() -> None:
    processor = Processor(Cost((0.003,), "x"))
    assert [processor.done_ns(now * MS) // MS for now in (10, 11, 20)] == [13, 16, 23]


def test_what_costs_nothing_waits_for_what_came_before() -> None:
    processor = Processor(Cost((0.003,), "x"))
    assert processor.done_ns(10 * MS) == 13 * MS
    assert processor.done_ns(11 * MS, costs=False) == 13 * MS
    assert processor.done_ns(14 * MS, costs=False) == 14 * MS


def test_what_is_drawn_follows_from_the_seed(tmp_path: Path) -> None:
    cost = Cost((0.001, 0.002, 0.004), "1/controller")
    cost.write(tmp_path / "cost.json")

    def taken(of: Cost) -> list[int]:
        processor = Processor(of)
        return [processor.done_ns(now * 1000 * MS) - now * 1000 * MS for now in range(20)]

    first = taken(cost)
    assert taken(Cost.read(tmp_path / "cost.json")) == first
    assert set(first) == {1 * MS, 2 * MS, 4 * MS}
    assert taken(Cost(cost.durations_s, "2/controller")) != first
