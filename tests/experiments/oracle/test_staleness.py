"""The formulas of renewals against what a seeded generator of stays makes of them."""

from __future__ import annotations

from random import Random
from statistics import fmean

import pytest

from dmmlab.experiments.figures.residences import SHORTEST_S, SIGMA, leavings
from dmmlab.experiments.oracle import staleness
from dmmlab.experiments.scenario.load import load

MEAN_S = 10.0
STAYS: dict[str, staleness.Stay] = {
    "constant": staleness.Constant(MEAN_S),
    "exponential": staleness.Exponential(MEAN_S, SHORTEST_S),
    "lognormal": staleness.Lognormal(MEAN_S, SHORTEST_S, SIGMA),
}


@pytest.mark.parametrize("kind", STAYS)
@pytest.mark.parametrize("within_s", [0.2, 1.0, 20.0])
def test_who_leaves_within_a_time(kind: str, within_s: float) -> None:
    chance, n = Random(7), 20_000
    firsts_s = [next(leavings(kind, MEAN_S, chance, 0, 1e9)) for _ in range(n)]
    left = fmean(first_s <= within_s for first_s in firsts_s)
    assert STAYS[kind].least_s(within_s) / MEAN_S == pytest.approx(left, abs=4 * 0.5 / n**0.5)
    area = fmean(max(0.0, within_s - first_s) for first_s in firsts_s)
    assert STAYS[kind].area_s2(within_s) / MEAN_S == pytest.approx(area, rel=0.1)


@pytest.mark.parametrize("kind", STAYS)
def test_a_node_moves_as_often_as_the_mean_says(kind: str) -> None:
    chance = Random(8)
    counts = [sum(1 for _ in leavings(kind, MEAN_S, chance, 5, 25)) for _ in range(5_000)]
    assert fmean(counts) == pytest.approx(2.0, abs=0.1)


def test_a_cache_that_is_asked_often_has_the_textbook_share() -> None:
    """L / 2T while L < T, times r L / (1 + r L) where it is asked less often."""
    scenario = load("two-mr", {"ddns": {"ttl": "20s"}})
    stay = staleness.Constant(80.0)
    assert staleness.by_cache(scenario, "MN1", stay, 1e6) == pytest.approx(20.5 / 160, abs=0.001)
    asked = 20.5 / 5
    assert staleness.by_cache(scenario, "MN1", stay, 0.2) == pytest.approx(20.5 / 160 * asked / (1 + asked), abs=0.001)


def test_a_copy_is_used_in_the_second_in_which_its_ttl_ends() -> None:
    scenario = load("two-mr", {"ddns": {"ttl": "20s"}})
    came_s = 10.3 + 0.011 + 0.032
    assert came_s - 0.3 + 20 < 10.3 + staleness.life_s(scenario, 10.3) + 0.011 == pytest.approx(31.0)


def test_the_server_is_told_a_gap_and_an_exchange_later() -> None:
    """50 ms gap, DHCP and ARP over a radio of 2 ms, 22 ms to the server; a question takes 25 ms there."""
    share = staleness.by_server(load("two-mr"), "MN1", staleness.Constant(10.0))
    assert share == pytest.approx((0.05 + 0.012 + 0.022 - 0.025) / 10)
