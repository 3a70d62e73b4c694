"""Laws of sums and maxima, and a handover's times under jitter."""

from __future__ import annotations

import random
from statistics import mean

import pytest

from dmmlab.experiments.methods.base import DDNS, SERVER
from dmmlab.experiments.oracle import handover
from dmmlab.experiments.oracle.handover import Controlled, evenly
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.model import Scenario

_STEP = 1e-6


def jittered(control_ms: float, jitter_ms: float, **keys: object) -> Scenario:
    base = load("two-mr").model_dump(mode="json", by_alias=True)["links"]
    for link in base:
        if "CONTROLLER" in link["between"]:
            link.update(delay=f"{control_ms}ms", jitter=f"{jitter_ms}ms")
    return load("two-mr", {"links": base, **keys})


def test_an_even_delay() -> None:
    law = evenly(0.05, 0.01, _STEP)
    assert (law.mean_s, law.least_s, law.most_s) == pytest.approx((0.05, 0.04, 0.06), abs=2e-9)
    assert law.sd_s == pytest.approx(0.01 / 3**0.5, rel=1e-4)
    assert law.below(0.045) == pytest.approx(0.25, abs=1e-6)
    assert law.quantile_s(0.75) == pytest.approx(0.055, abs=2 * _STEP)


def test_a_sum_and_a_maximum_are_those_of_mathematics() -> None:
    """Of two even draws on 0 to 1: the sum has variance 1/6, the maximum the expectation 2/3; of three sums 1.35."""
    one = evenly(0.5, 0.5, 1e-3)
    both = one.plus(one)
    assert (both.mean_s, both.sd_s) == pytest.approx((1.0, (1 / 6) ** 0.5), abs=1e-3)
    assert one.latest(one).mean_s == pytest.approx(2 / 3, abs=1e-3)
    assert both.latest(both).latest(both).mean_s == pytest.approx(1.35, abs=2e-3)


def test_without_jitter_it_is_the_sum_of_the_ways() -> None:
    """2 ms of radio and three control delays; silent: the gap, the redirect in force, the detour and the radio."""
    laws = Controlled(jittered(10, 0), "MN1", 1)
    assert laws.confirmed().mean_s == pytest.approx(0.032, abs=1e-9)
    assert laws.confirmed().sd_s == 0
    assert laws.silence("MR1").mean_s == pytest.approx(0.05 + 0.022 + 2 * 0.004 + 2 * 0.002, abs=1e-9)


def test_with_jitter_it_is_what_drawing_it_often_gives() -> None:
    draw = random.Random(1)

    def way() -> float:
        return draw.uniform(0.04, 0.06)

    confirmed, silent = [], []
    for _ in range(40_000):
        heard = max(way(), 0.002 + way())
        anchor, serving = way(), way()
        confirmed.append(heard + max(anchor + way(), serving + way()))
        silent.append(0.05 + heard + max(anchor, serving - 0.004) + 2 * 0.004 + 2 * 0.002)
    laws = Controlled(jittered(50, 10), "MN1", 1)
    assert laws.confirmed().mean_s == pytest.approx(mean(confirmed), abs=2e-4)
    assert laws.silence("MR1").mean_s == pytest.approx(mean(silent), abs=2e-4)
    assert laws.confirmed().least_s <= min(confirmed) <= max(confirmed) <= laws.confirmed().most_s


def test_each_server_is_told_one_way_after_the_address() -> None:
    made = load("two-mr")
    assert handover.told_s(made, "MN1", 1, SERVER) == pytest.approx(0.012 + 0.022, abs=1e-9)
    assert handover.told_s(made, "MN1", 1, DDNS) == pytest.approx(0.012 + 0.022, abs=1e-9)


def test_who_waits_for_the_detection_of_duplicates_is_silent_for_a_second() -> None:
    made = load("two-mr", {"family": "ipv6", "addresses": {"dad": "on"}})
    least_s, most_s = handover.detected_between_s(made, "MN1", 1, "MR1", 0.005)
    assert least_s == pytest.approx(0.05 + 1.0 + 0.004 + 0.002 + 0.004, abs=1e-9)
    assert most_s == pytest.approx(least_s + 0.08 + 0.01, abs=1e-9)
