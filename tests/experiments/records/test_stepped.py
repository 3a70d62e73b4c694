"""Stamps of captures beside a clock that steps: each packet when it was in truth, also where a stamp comes twice."""

from __future__ import annotations

from typing import Any

import pytest

from dmmlab.experiments.records.stepped import stamps, stretches


def stamped(*true_s: float, of: tuple[float, float, float]) -> list[int]:
    """What the kernel stamps: ``of`` is when the clock was put forward, and back, and by how much."""
    began_s, ended_s, by_s = of
    return [round((at_s + by_s if began_s < at_s <= ended_s else at_s) * 1e9) for at_s in true_s]


def events(*steps: tuple[float, float, float], true_s: tuple[float, ...]) -> list[dict[str, Any]]:
    """As the runner notes the steps, of a capture that sees packets at these times."""
    noted = []
    for began_s, ended_s, by_s in steps:
        for at_s, by in ((began_s, by_s), (ended_s, -by_s)):
            seen = 100 + sum(each <= at_s for each in true_s)  # and a hundred before the capture began
            noted.append({"time_ns": round(at_s * 1e9), "by_s": by, "frames": {"CN1": seen}})
    return noted


@pytest.mark.parametrize(
    ("step", "true_s"),
    [
        ((5.0, 9.0, 2.0), (1.0, 4.9, 5.1, 8.9, 9.1, 10.9, 12.0)),  # stamps go back
        ((5.0, 9.0, 2.0), (4.0, 5.5, 9.8, 10.5)),  # silent for longer than the step: they do not
        ((5.0, 9.0, 2.0), (4.0, 9.5, 11.5)),  # nothing came while it was ahead
        ((5.0, 9.0, 2.0), (6.0, 7.0)),  # nothing but that
        ((5.0, 9.0, 3600.0), (1.0, 5.1, 8.0, 9.0, 9.1, 3610.0)),  # further than the run is long
        ((5.0, 9.0, 0.001), (4.9995, 5.0001, 5.0002, 9.0, 9.0005)),
    ],
)
def test_each_packet_is_when_it_was(step: tuple[float, float, float], true_s: tuple[float, ...]) -> None:
    put_right = stamps(stretches(events(step, true_s=true_s)), "CN1")
    assert [put_right(each) for each in stamped(*true_s, of=step)] == [round(each * 1e9) for each in true_s]


def test_one_step_after_the_other() -> None:
    first, second, true_s = (5.0, 9.0, 2.0), (20.0, 21.0, 4.0), (1.0, 6.0, 9.5, 15.0, 20.5, 21.5, 30.0)
    put_right = stamps(stretches(events(first, second, true_s=true_s)), "CN1")
    kernel = [*stamped(*true_s[:4], of=first), *stamped(*true_s[4:], of=second)]
    assert [put_right(each) for each in kernel] == [round(each * 1e9) for each in true_s]


def test_a_long_step_without_a_packet_and_a_shorter_one_while_its_stamps_would_come() -> None:
    steps, true_s = ((2.0, 2.4, 11.8), (11.7, 12.0, 1.8)), (1.0, 11.6, 11.72, 11.98, 12.1, 14.0)
    seen = [stamped(at_s, of=step)[0] for at_s in true_s for step in steps[1:]]
    put_right = stamps(stretches(events(*steps, true_s=true_s)), "CN1")
    assert [put_right(stamp) / 1e9 for stamp in seen] == list(true_s)


def test_without_steps_stamps_are_times() -> None:
    assert stretches([]) == []
    assert [stamps([], "CN1")(each) for each in (3, 1, 2)] == [3, 1, 2]
