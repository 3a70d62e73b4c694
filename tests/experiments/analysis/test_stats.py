"""Statistics: against values worked out by hand or published, and against simulation."""

from __future__ import annotations

import math
import random

import pytest

from dmmlab.experiments.analysis import stats


def test_quantiles_interpolate_between_order_statistics() -> None:
    assert stats.quantile([4, 1, 3, 2], 0.5) == 2.5
    assert stats.quantile([1, 2, 3, 4, 5], 0.95) == pytest.approx(4.8)
    assert stats.quantile([7.0], 0.95) == 7.0
    with pytest.raises(ValueError, match="no values"):
        stats.quantile([], 0.5)


@pytest.mark.parametrize(
    ("n", "low", "high"),
    [(5, 0, 4), (6, 0, 5), (10, 1, 8), (20, 5, 14), (30, 9, 20), (100, 39, 60)],  # David and Nagaraja, 7.1
)
def test_the_median_lies_between_the_published_order_statistics(n: int, low: int, high: int) -> None:
    assert stats.median_interval(list(range(n))) == (low, high)


def test_a_median_interval_of_very_many_values_is_found_too() -> None:
    low, high = stats.median_interval(list(range(10_001)))
    assert low == pytest.approx(5000 - 1.96 * math.sqrt(10_001) / 2, abs=2)
    assert low + high == 10_000


def test_wilson_interval() -> None:
    assert stats.share_interval(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    assert stats.share_interval(0, 30)[0] == 0.0
    assert stats.share_interval(30, 30)[1] == 1.0
    assert stats.share_interval(0, 0) == (0.0, 1.0)


def test_a_bootstrap_is_the_same_every_time_and_draws_whole_groups() -> None:
    values = [[random.Random(7).gauss(10, 2) + shift] for shift in range(40)]
    assert stats.bootstrap(values) == stats.bootstrap(values)
    together = [[float(shift)] * 50 for shift in range(4)]
    apart = [[value] for group in together for value in group]
    width = [high - low for low, high in (stats.bootstrap(together), stats.bootstrap(apart))]
    assert width[0] > 3 * width[1]


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_intervals_hold_the_truth_as_often_as_they_say(share: float) -> None:
    draw = random.Random(1)
    held = 0
    for _ in range(400):
        successes = sum(draw.random() < share for _ in range(60))
        low, high = stats.share_interval(successes, 60)
        held += low <= share <= high
    assert held / 400 > 0.92


def test_summary() -> None:
    summary = stats.summary([1.0] * 29 + [100.0])
    assert (summary.n, summary.median, summary.low, summary.high) == (30, 1.0, 1.0, 1.0)
    assert summary.p95 == 1.0
