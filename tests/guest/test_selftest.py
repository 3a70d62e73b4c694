"""The verdict of the kernel's self-test."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dmmlab.guest import exactness, job, selftest


def _selftest_output(features: str = "netem present\nopenvswitch present\n", **changed: Any) -> str:
    clock = {
        "exact_clock": True,
        "round_trips_ns": [60_000_000, 30_000_000, 30_000_000],
        "failing_ns": 0,
        "sleeping_ns": exactness.SLEEP_NS,
        "selecting_ns": 500_000_000,
        "coarse_ns": 0,
        "spinning_ns": exactness.SPIN_NS,
        "spins": [0, 1001],
    }
    epoch = f"epoch={job.EPOCH_NS // 10**9 + job.UPTIME_S + 1}.000000001"
    return f"{features}{epoch}\n 8f a6\n{json.dumps(clock | changed)}\n"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"exact_clock": False}, "exact-clock.patch"),
        ({"round_trips_ns": [60_000_000, 30_000_000, 30_000_256]}, "30.000000 ms of netem measured as 30.000256 ms"),
        ({"failing_ns": 1_000_000}, "1000 failing look-ups took 1000000 ns instead of 0"),
        ({"sleeping_ns": 10_000_256}, "a sleep"),
        ({"selecting_ns": 500_500_000}, "a select"),
        ({"coarse_ns": 9_000_000}, "coarse"),
        ({"spinning_ns": 1_000_256}, "a loop on the clock"),
        ({"spins": [7, 1008]}, "7 calls of a spinning task"),
        ({"spins": [0, 0]}, "0 with it"),
    ],
)
def test_selftest_accepts_an_exact_clock_only(changed: dict[str, Any], reason: str) -> None:
    assert selftest.judge([_selftest_output(), _selftest_output()]) is None
    assert reason in str(selftest.judge([_selftest_output(**changed)] * 2))


def test_selftest_wants_its_features_and_the_same_twice() -> None:
    good = _selftest_output()
    assert selftest.round_trips_ms(good) == [60.0, 30.0, 30.0]
    assert "openvswitch" in str(selftest.judge([_selftest_output("netem present\n")] * 2))
    assert "different times" in str(selftest.judge([good, _selftest_output(spins=[0, 1002])]))
    assert "random" in str(selftest.judge([good, good.replace("8f a6", "8f a7")]))
    assert "epoch" in str(selftest.judge([good.replace("epoch=", "epoch=9")] * 2))
