"""A steady clock goes on whoever sets the machine's; what is put forward is told from what is not."""

from __future__ import annotations

import time

import pytest

from dmmlab.machine import timekeeping
from dmmlab.machine.timekeeping import Steady

HOUR_NS = 3600 * 10**9


def test_a_steady_clock_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    before, real = Steady(), time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + HOUR_NS)
    assert abs(before.now_ns() - real()) < 10**9
    assert abs(before.off_ns() - HOUR_NS) < 10**9
    after = Steady()
    assert abs(after.now_ns() - real() - HOUR_NS) < 10**9
    assert abs(after.ahead_ns(before) - HOUR_NS) < 10**9
    assert before.ahead_ns(before) == 0


def test_it_never_goes_back() -> None:
    first = timekeeping.now_ns()
    assert first <= timekeeping.now_ns()


def test_a_step_is_relative(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(time, "time_ns", lambda: 5 * 10**9)
    monkeypatch.setattr(time, "clock_settime_ns", lambda _clock, to_ns: asked.append(to_ns))
    timekeeping.step(2 * 10**9)
    timekeeping.step(-(10**9))
    assert asked == [7 * 10**9, 4 * 10**9]
