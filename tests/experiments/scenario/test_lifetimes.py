"""Kinds of addresses (RFC 8653) in a scenario: what is refused, and when a session-lasting one is given back."""

from __future__ import annotations

from typing import Any

import pytest

from dmmlab.experiments.figures.base import digest
from dmmlab.experiments.oracle.expectation import Oracle
from dmmlab.experiments.oracle.lifetimes import survives
from dmmlab.experiments.oracle.retransmission import longest_silence_s
from dmmlab.experiments.scenario.load import ScenarioError, load
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import sessions_of


def scenario(lifetime: str = "session-lasting", *sessions: dict[str, Any], **keys: Any) -> Scenario:
    entries = [{"name": f"S{n}", "from": "CN1", "to": "MN1", "interval": "20ms", **s} for n, s in enumerate(sessions)]
    return load("two-mr", {"addresses": {"lifetime": lifetime}, "sessions": entries, **keys})


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"addresses": {"lifetime": "session-lasting", "keep": "5s"}}, "so does keep; leave one of them out"),
        ({"addresses": {"lifetime": "non-persistent", "lease": "0s"}}, "an address needs a lease of a second at least"),
        ({"addresses": {"lifetime": "session-lasting", "idle": "0s"}}, "idle must be greater than 0"),
        ({"addresses": {"lifetime": "session-lasting"}, "redirect": False}, "without the redirect no session lasts"),
        ({"addresses": {"lifetime": "for-ever"}}, "must be 'fixed', 'session-lasting' or 'non-persistent'"),
    ],
)
def test_what_cannot_be_is_one_sentence(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ScenarioError, match=sentence):
        load("two-mr", keys)


def test_fixed_is_what_has_always_been() -> None:
    assert digest(load("two-mr", {"addresses": {"lifetime": "fixed"}})) == digest(load("two-mr"))


@pytest.mark.parametrize(
    ("family", "sessions", "expected_s"),
    [
        ("ipv4", [], 11.058),  # the first look, a second after the new lease
        ("ipv6", [], 11.0),
        # the last probe is sent at 14.98 s, is there 21 ms later, and then it is silent for a second
        ("ipv4", [{"at": "2s", "duration": "13s"}], 16.058),
        ("ipv6", [{"at": "2s", "duration": "13s"}], 16.1),
        ("ipv4", [{"at": "2s", "duration": "13s", "transport": "tcp"}], 15.158),
        ("ipv4", [{"at": "2s", "duration": "13s", "from": "MN1", "to": "CN1"}], 15.058),
        ("ipv4", [{"at": "2s", "duration": "3s"}, {"at": "12s", "duration": "5s", "method": "p2p"}], 11.058),
        # one that is opened on the old address while it is there keeps it, one that comes too late does not
        ("ipv4", [{"at": "2s", "duration": "9s"}, {"at": "11.5s", "duration": "4s"}], 16.558),
        ("ipv4", [{"at": "2s", "duration": "3s"}, {"at": "15s", "duration": "4s"}], 11.058),
    ],
)
def test_it_is_given_back_when_its_last_session_has_ended(
    family: str, sessions: list[dict[str, Any]], expected_s: float
) -> None:
    found = Oracle(scenario("session-lasting", *sessions, family=family)).given_back_s("MN1", 0)
    assert found == pytest.approx(expected_s, abs=1e-9)


def test_what_is_opened_on_an_address_that_is_gone_has_no_closed_form() -> None:
    made = scenario(
        "session-lasting",
        {"at": "2s", "duration": "3s"},
        {"at": "10.5s", "duration": "0.1s"},
        {"at": "15s", "duration": "1s"},
    )
    expected = [Oracle(made).of(spec) for spec in sessions_of(made)]
    assert [each is not None for each in expected] == [True, True, False]
    gone = scenario("non-persistent", {"at": "2s", "duration": "3s"}, {"at": "12s", "duration": "1s"})
    assert [Oracle(gone).of(spec) is not None for spec in sessions_of(gone)] == [True, False]


def test_a_session_on_an_address_that_is_gone_does_not_survive_a_move() -> None:
    assert survives(scenario("session-lasting"), "MN1", 2.0, 13.0, "CN1")
    assert not survives(scenario("non-persistent"), "MN1", 2.0, 13.0, "CN1")
    assert survives(scenario("non-persistent"), "MN1", 11.0, 4.0, "CN1")


def test_the_longest_silence_of_tcp_is_the_timers() -> None:
    """34 ms of round trip before, 21 ms one way after; the redirect is there 54 ms after the link went."""
    made = scenario("fixed")
    before, move = made.moves_of("MN1")
    assert longest_silence_s(made, "CN1", before, move) == pytest.approx(0.017 + 1.0 + 0.021)
    assert longest_silence_s(made, "CN1", before, move, linux=True) == pytest.approx(0.017 + 0.234 + 0.021)
    long = load(
        "two-mr",
        {
            "movement": [
                {"at": "0s", "node": "MN1", "to": "MR1"},
                {"at": "10s", "node": "MN1", "to": "MR2", "gap": "1.5s"},
            ]
        },
    )
    before, move = long.moves_of("MN1")
    assert longest_silence_s(long, "CN1", before, move) == pytest.approx(
        0.017 + 3.0 + 0.021
    )  # the second, after 1 + 2 s
    off = load("two-mr", {"redirect": False})
    before, move = off.moves_of("MN1")
    assert longest_silence_s(off, "CN1", before, move) is None
