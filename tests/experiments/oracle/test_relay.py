"""The queue of a relay's link: one packet, a busy time, and the mean of many at random."""

from __future__ import annotations

from random import Random
from statistics import fmean

import pytest

from dmmlab.experiments.oracle import relay

SENDING_S = 0.00264


def test_a_lonely_probe_is_sent_four_times() -> None:
    assert relay.round_trips_s([1.0], 0.025, 0.022, SENDING_S) == pytest.approx([0.094 + 4 * SENDING_S])


def test_who_comes_together_waits_for_the_other_to_be_sent() -> None:
    first, second = relay.round_trips_s([1.0, 1.0], 0.025, 0.022, SENDING_S)
    assert second - first == pytest.approx(SENDING_S), "what left the queue one after another does not meet again"


def test_at_light_load_the_wait_is_three_quarters_of_that_of_m_d_1() -> None:
    """Of probes and answers two answers never meet: they left the queue one after another."""
    dice, at_s, sent_s = Random(5), 0.0, []
    for _ in range(40_000):
        at_s += dice.expovariate(0.05 / SENDING_S / 2)
        sent_s.append(at_s)
    round_trips = relay.round_trips_s(sent_s, 0.025, 40.0, SENDING_S)
    added_s = fmean(round_trips) - 2 * 40.025 - 4 * SENDING_S
    wait_s = relay.waiting_s(0.05, SENDING_S)
    assert wait_s is not None
    assert added_s == pytest.approx(0.75 * 2 * wait_s, rel=0.1)


def test_overload_grows() -> None:
    assert relay.waiting_s(1.2, SENDING_S) is None
    assert relay.growth(1.0) == pytest.approx(0)
    every_s = 2 * SENDING_S / 1.5
    round_trips = relay.round_trips_s([number * every_s for number in range(6000)], 0.025, 0.022, SENDING_S)
    slope = (round_trips[4000] - round_trips[1000]) / (3000 * every_s)
    assert slope == pytest.approx(relay.growth(1.5), rel=0.1)
