"""Distributions of set-up delays over lossy signalling links: known cases, and a simulation of the schedules."""

from __future__ import annotations

from random import Random

import pytest

from dmmlab.experiments.oracle import loss
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of


def lossy(method: str, percent: float) -> tuple[Scenario, SessionSpec]:
    base = load("two-mr")
    links = [link.model_dump(mode="json") for link in base.links]
    for link in links:
        if set(link["between"]) & {"SERVER", "RESOLVER", "DDNS"}:
            link["loss"] = f"{percent}%"
    session = {"name": "S", "at": "5s", "from": "CN3", "to": "MN1", "method": method}
    scenario = load("two-mr", {"links": links, "sessions": [session]})
    return scenario, sessions_of(scenario)[0]


def test_a_request_is_sent_again_as_the_protocol_says() -> None:
    assert [at / 1e9 for at in loss.sendings_ns(10.0)] == [0, 0.5, 1.5, 3.5, 5.5, 7.5, 9.5]


@pytest.mark.parametrize(("method", "setup_ms"), [("fixed", 34), ("p2p", 84), ("combined", 128), ("central", 188)])
def test_without_loss_it_is_the_closed_form(method: str, setup_ms: int) -> None:
    delays = loss.setup(*lossy(method, 0))
    assert delays is not None
    assert {at / 1e6: chance for at, chance in delays.items() if chance} == {setup_ms: pytest.approx(1)}


def test_p2p_is_geometric() -> None:
    delays = loss.setup(*lossy("p2p", 30))
    assert delays is not None
    first, again = 0.7**2, 1 - 0.7**2
    for number, at_ms in enumerate((84, 584, 1584, 3584)):
        assert delays[round(at_ms * 1e6)] == pytest.approx(first * again**number)
    assert loss.works(delays) == pytest.approx(1 - again**21, abs=1e-9)  # three lookups of seven sendings


def test_central_works_as_often_as_three_attempts_make_it() -> None:
    for percent in (5, 15, 30):
        delays = loss.setup(*lossy("central", percent))
        assert delays is not None
        passes = (1 - percent / 100) ** 4
        assert loss.works(delays) == pytest.approx(1 - (1 - passes) ** 3, abs=0.03)
        assert loss.works(delays) <= 1 - (1 - passes) ** 3 + 1e-9, "a lookup may fail, too"


def test_nothing_lost() -> None:
    for method, crossings in (("fixed", 0), ("p2p", 2), ("combined", 4), ("central", 8), ("ddns", 12)):
        assert loss.at_once(*lossy(method, 10)) == pytest.approx(0.9**crossings)


def test_ddns_has_no_closed_form() -> None:
    assert loss.setup(*lossy("ddns", 10)) is None


def test_combined_is_what_the_schedules_make_of_dice() -> None:
    """Each message thrown for, in a loop that knows nothing of distributions."""
    delays = loss.setup(*lossy("combined", 20))
    assert delays is not None
    dice, n = Random(3), 20_000
    heard_s = [_play(dice, 0.2) for _ in range(n)]
    for within_s in (0.094, 0.6, 1.6, 3.6):
        share = sum(at_s is not None and at_s <= within_s + 1e-9 for at_s in heard_s) / n
        due = sum(chance for at, chance in delays.items() if at / 1e9 <= within_s + 0.034 + 1e-9)
        assert share == pytest.approx(due, abs=0.015)


def _play(dice: Random, lost: float) -> float | None:
    """When one lookup is answered, s: 25 ms to the server, 22 ms from there to the node."""
    times_s = (0.0, 0.5, 1.5, 3.5, 5.5, 7.5, 9.5)
    arrived_s = [at_s + 0.025 for at_s in times_s if dice.random() >= lost]
    if not arrived_s:
        return None
    passed = (at_s for at_s in times_s[:6] if dice.random() >= lost and dice.random() >= lost)
    asked_s = next(passed, None)
    if asked_s is None:
        return None
    ready_s = arrived_s[0] + asked_s + 0.044
    if dice.random() >= lost:
        return ready_s + 0.025
    return next((at_s + 0.025 for at_s in arrived_s if at_s > ready_s and dice.random() >= lost), None)
