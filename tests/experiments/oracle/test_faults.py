"""Closed forms beside faults: none for what one touches, as ever for all else (`two-mr`: the node moves at 10 s)."""

from __future__ import annotations

from typing import Any

import pytest

from dmmlab.experiments.oracle.expectation import Oracle
from dmmlab.experiments.oracle.trips import Trips
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.sessions import sessions_of

SERVER = {"at": "15s", "for": "3s", "crash": "SERVER"}
CUT = {"at": "15s", "for": "3s", "partition": ["CN3", "CORE"]}
CONTROLLER = {"at": "9500ms", "for": "3s", "crash": "CONTROLLER"}
STEP = {"at": "9500ms", "for": "3s", "clock-step": "2s"}  # the node moves meanwhile
INTER_MR = {"at": "15s", "for": "3s", "partition": ["MR1", "MR2"]}

METHODS = ("fixed", "ddns", "p2p", "central", "combined")


def setup_s(at: str, method: str, *faults: dict[str, Any]) -> float | None:
    session = {"name": "X", "at": at, "from": "CN3", "to": "MN1", "method": method}
    others = {"name": "Y", "at": "1s", "from": "CN1", "to": "MN1", "method": [*METHODS]}  # so that there are servers
    scenario = load("two-mr", {"sessions": [session, others], "faults": list(faults)})
    found = Oracle(scenario).of(sessions_of(scenario)[0])
    return None if found is None else found.setup_s


@pytest.mark.parametrize(
    ("fault", "at", "touched"),
    [
        (SERVER, "16s", ("p2p", "central", "combined")),
        (SERVER, "14s", ()),
        (SERVER, "20s", ("p2p", "central", "combined")),  # it is there again, and whoever asked may still wait
        (SERVER, "25s", ()),
        (CUT, "16s", ("fixed", "ddns", "p2p", "central", "combined")),
        (CUT, "14970ms", ("fixed", "ddns", "p2p", "central", "combined")),  # under way when it begins
        (INTER_MR, "16s", ("fixed",)),  # on the old address, so by the redirect
        (STEP, "9s", ()),
        (STEP, "12s", ("ddns",)),  # and nothing but names has a time of day
        (STEP, "29s", ()),
        (CONTROLLER, "9800ms", ()),  # who does not move needs none
        (CONTROLLER, "12s", ("fixed", "ddns", "p2p", "central", "combined")),
        # A router may have given up on the node's old address; and an old one may be in the resolver's cache.
        (CONTROLLER, "20s", ("fixed", "ddns")),
    ],
)
def test_what_is_touched_has_none_and_all_else_has_its_own(
    fault: dict[str, Any], at: str, touched: tuple[str, ...]
) -> None:
    for method in METHODS:
        assert setup_s(at, method) is not None
        expected = None if method in touched else setup_s(at, method)
        assert setup_s(at, method, fault) == expected, method


def test_a_probe_that_a_cut_may_have_cost_has_none() -> None:
    session = {"name": "X", "at": "12s", "from": "CN3", "to": "MN1", "method": "fixed", "interval": "1s"}
    scenario = load("two-mr", {"sessions": [{**session, "duration": "15s"}], "faults": [CUT]})
    trips, (spec,) = Trips(scenario), sessions_of(scenario)
    expected = {at_s: trips.expected_s(spec, "", "MR1", float(at_s)) for at_s in range(13, 27)}
    assert {at_s for at_s, trip_s in expected.items() if trip_s is None} == set(
        range(15, 23)
    )  # 3 s to recover, and a second more: the next one asks
    assert expected[13] == expected[24] == pytest.approx(0.042)


def test_a_stream_ends_with_its_opener() -> None:
    crash = {"at": "15s", "for": "1s", "crash": "CN3"}
    session = {"name": "X", "at": "12s", "from": "CN3", "to": "MN1", "method": "fixed", "interval": "1s"}
    scenario = load("two-mr", {"sessions": [{**session, "duration": "15s"}], "faults": [crash]})
    (spec,) = sessions_of(scenario)
    assert Trips(scenario).expected_s(spec, "", "MR1", 26.0) is None


def test_what_is_asked_for_all_the_time_stays_touched_and_what_is_not_does_not() -> None:
    silent = {"at": "3s", "for": "3s", "dns": "silent"}
    assert setup_s("29s", "ddns", silent) == setup_s("29s", "ddns")
    session = {"name": "D", "at": "2s", "from": "CN3", "to": "MN1", "method": "ddns", "repeat": 8, "every": "3500ms"}
    scenario = load("two-mr", {"sessions": [session], "faults": [silent]})
    oracle, specs = Oracle(scenario), sessions_of(scenario)
    assert oracle.of(specs[0]) is not None
    assert [oracle.of(spec) for spec in specs[1:]] == [None] * 7


@pytest.mark.parametrize(("long_s", "known"), [(3, True), (200, False)])
def test_a_registration_ends_for_faults_alone_that_outlast_half_of_it(long_s: int, known: bool) -> None:
    session = {"name": "X", "at": f"{560 + long_s}s", "from": "CN3", "to": "MN1", "method": "p2p"}
    fault = {"at": "500s", "for": f"{long_s}s", "crash": "SERVER"}
    scenario = load("two-mr", {"sessions": [session], "faults": [fault], "duration": "1100s"})
    assert (Oracle(scenario).of(sessions_of(scenario)[0]) is not None) == known
