"""Closed forms while a node changes links: what routers keep, what a node drops, whom it can ask; worked out by hand on
the delays of `two-mr` (see test_oracle.py). MN1 moves at 10 s, has a link at MR2 at 10.050 s, an address 8 ms later.
"""

from __future__ import annotations

from typing import Any

import pytest

from dmmlab.experiments.oracle.expectation import Oracle
from dmmlab.experiments.oracle.moves import released_s
from dmmlab.experiments.oracle.trips import Trips
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import sessions_of


def scenario(at: str = "3s", session: dict[str, Any] | None = None, **keys: Any) -> Scenario:
    one = {"name": "X", "at": at, "from": "CN3", "to": "MN1", "method": "fixed", **(session or {})}
    return load("two-mr", {"sessions": [one], **keys})


def setup_ms(of: Scenario) -> float | None:
    expected = Oracle(of).of(sessions_of(of)[0])
    return None if expected is None else round(expected.setup_s * 1e3, 6)


def trip_ms(of: Scenario, sent_s: float) -> float | None:
    expected_s = Trips(of).expected_s(sessions_of(of)[0], "", "MR1", sent_s)
    return None if expected_s is None else round(expected_s * 1e3, 6)


@pytest.mark.parametrize(
    ("at", "plain", "kept"),
    [("9.8s", 34, 34), ("9.95s", 34, None), ("10.055s", 42, None), ("10.063s", 42, 42)],
)
def test_a_session_that_routers_may_keep_has_no_closed_form(at: str, plain: float, kept: float | None) -> None:
    """From the announcement on; the redirect is in force at 10.054, and what was kept is delivered at 10.062."""
    assert setup_ms(scenario(at, handover={"announce": "100ms"})) == plain
    assert setup_ms(scenario(at, handover={"announce": "100ms", "buffer": True})) == kept


def test_a_probe_that_routers_may_keep_has_no_closed_form() -> None:
    probing = {"interval": "10ms", "duration": "10s"}
    told = scenario(session=probing, handover={"announce": "100ms"})
    kept = scenario(session=probing, handover={"announce": "100ms", "buffer": True})
    assert (trip_ms(told, 9.95), trip_ms(kept, 9.95)) == (34, None)
    assert trip_ms(kept, 9.85) == 34
    assert (trip_ms(told, 10.0625), trip_ms(kept, 10.0625)) == (42, None)
    assert trip_ms(kept, 10.07) == 42


def test_an_address_is_dropped_after_the_next_that_the_node_had() -> None:
    """It leaves MR2 5 ms after it came, without an address; that of MR3 it has at 10.113 s."""
    links = load("two-mr").model_dump(by_alias=True, mode="json", exclude_none=True)["links"]
    more = [{"between": ["MR3", "CORE"], "delay": "5ms"}, {"between": ["MR2", "MR3"], "delay": "4ms"}]
    moves = [("0s", "MR1"), ("10s", "MR2"), ("10.055s", "MR3")]
    movement = [{"at": at, "node": "MN1", "to": to} for at, to in moves]
    of = scenario(
        mobile_routers=["MR1", "MR2", "MR3"], links=[*links, *more], movement=movement, addresses={"keep": "1s"}
    )
    assert released_s(of, "MN1", "MR1", 10.02) == pytest.approx(11.058), "if it stayed there"
    assert released_s(of, "MN1", "MR1", 12) == pytest.approx(11.113)


def test_in_ipv6_an_address_is_old_when_there_is_another_or_its_link_goes() -> None:
    def dropped_s(**how: str) -> float:
        movement = [{"at": "0s", "node": "MN1", "to": "MR1"}, {"at": "10s", "node": "MN1", "to": "MR2", **how}]
        return released_s(scenario(family="ipv6", movement=movement, addresses={"keep": "1s"}), "MN1", "MR1", 12)

    assert dropped_s(gap="50ms") == pytest.approx(11)
    assert dropped_s(overlap="200ms") == pytest.approx(11.004)
    assert dropped_s(overlap="3ms") == pytest.approx(11.003)


def test_an_address_that_was_dropped_has_the_timer_of_a_stream_double_until_it_is_back() -> None:
    """It goes at 11.058 and is back with its link at 15.05 s; a stream may repeat itself 6 s later."""
    movement = [{"at": at, "node": "MN1", "to": to} for at, to in (("0s", "MR1"), ("10s", "MR2"), ("15s", "MR1"))]
    probing = {"interval": "50ms", "duration": "20s", "transport": "tcp"}
    of = scenario(session=probing, movement=movement, addresses={"keep": "1s"})
    assert trip_ms(of, 20) is None
    assert trip_ms(of, 21.5) == 34


@pytest.mark.parametrize(("at_ms", "lookup_ms"), [(10_070, 36 + 44), (10_105, 1 + 44), (10_200, 44), (10_055, None)])
def test_who_asks_waits_for_the_connection_that_it_opens_from_its_new_address(
    at_ms: int, lookup_ms: float | None
) -> None:
    """It knows its router at 10.062 s, and a round trip of 44 ms later the connection stands."""
    links = load("two-mr").model_dump(by_alias=True, mode="json", exclude_none=True)["links"]
    links.append({"between": ["radio", "MN2"], "delay": "2ms"})
    movement = [{"at": at, "node": node, "to": to} for at, node, to in (("0s", "MN1", "MR1"), ("10s", "MN1", "MR2"))]
    movement.append({"at": "0s", "node": "MN2", "to": "MR1"})
    of = scenario(
        f"{at_ms}ms",
        {"from": "MN1", "to": "MN2", "method": "p2p"},
        links=links,
        movement=movement,
        registration={"control": "tcp"},
    )
    expected = Oracle(of).of(sessions_of(of)[0])
    assert (None if expected is None else round(expected.lookup_s * 1e3, 6)) == lookup_ms
