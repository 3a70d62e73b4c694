"""Sizes of messages against what was captured of two-mr, and ratios at which two methods cost the same."""

from __future__ import annotations

import pytest

from dmmlab.experiments.oracle import messages
from dmmlab.experiments.oracle.messages import Cost, Said, Sizes
from dmmlab.experiments.scenario.load import load


@pytest.fixture(scope="module")
def sizes() -> Sizes:
    return Sizes(load("two-mr"), "mn1.mn.dmm.test", "cn3.mn.dmm.test")


def test_sizes_are_those_of_a_capture(sizes: Sizes) -> None:
    """Bytes above UDP, as tcpdump showed them once."""
    assert sizes.update() == Said(2, 260 + 117)
    assert sizes.registration(1) == Said(2, 87 + 51)
    assert sizes.registration(2) == Said(2, 93 + 51)
    assert sizes.asker_registration() == Said(2, 71 + 51)
    assert sizes.asked_resolver() == Said(4, 33 + 43 + 49 + 78)
    assert sizes.asked_server() == Said(4, 44 + 54 + 60 + 89)
    assert sizes.request("p2p", 1) == Said(2, 84 + 61)
    assert sizes.request("combined", 2) == Said(4, 84 + 84 + 67 + 67)
    assert sizes.request("central", 2) == Said(4, 84 + 104 + 80 + 71)
    assert sizes.end("central") == Said(3, 3 * 55)
    assert sizes.end("p2p") == Said(0, 0)


@pytest.mark.parametrize("life_s", [2.0, 5.5, 40.5])
def test_at_a_crossing_both_cost_the_same(sizes: Sizes, life_s: float) -> None:
    cached, other = (messages.cost(sizes, method, 2, 150.05) for method in ("ddns", "combined"))
    (ratio,) = messages.crossing(cached, other, 20.0, life_s)
    assert messages.per_session(cached, ratio, 20.0, life_s) == pytest.approx(
        messages.per_session(other, ratio, 20.0, life_s)
    )


def test_who_is_dearer_in_everything_never_crosses() -> None:
    assert messages.crossing(Cost(2, 2, 2, 2), Cost(1, 1, 0, 1), 20.0, 5.0) == []
