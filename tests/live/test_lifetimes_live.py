"""Addresses that do not stay, in the virtual-time guest: when they are given back, and what the switches then hold."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.runner.run import prepare
from dmmlab.experiments.scenario.load import load
from dmmlab.guest import launch
from dmmlab.machine import isolation

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("live_kernel")]

INSIDE = Path(__file__).parents[1] / "support" / "lifetimes_inside.py"
Run = Callable[..., RunDirectory]
FAMILIES = ["ipv4", "ipv6"]


def session(name: str, at: str, one: str, other: str, duration: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "at": at, "from": one, "to": other, "interval": "50ms", "duration": duration, **keys}


P1 = session("P1", "2s", "CN1", "MN1", "11s")


def times(recording: Recording, source: str, event: str, address: str) -> list[float]:
    return [
        e["time_s"] for e in recording.events if (e["source"], e["event"], e.get("address")) == (source, event, address)
    ]


def first_address(recording: Recording) -> str:
    return str(recording.plan.mobile_node("MN1").addresses["MR1"])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_tables_are_what_they_were_once_the_address_is_given_back(family: str, tmp_path: Path) -> None:
    """Read in the switches, by ovs-ofctl: before the move, between, and after."""
    scenario = load(
        "two-mr",
        {"family": family, "addresses": {"lifetime": "session-lasting"}, "sessions": [P1], "duration": "20s"},
    )
    run, output = prepare(scenario, tmp_path / "run", "guest", "virtual"), bytearray()
    argv = isolation.argv([sys.executable, str(INSIDE), str(run.root), "9", "12", "18"])
    status = launch.execute(argv, writable=[run.root], stdout=output.extend, stderr=output.extend, time_limit_s=240)
    assert status == 0, output.decode()
    before, between, after = ((run.log / f"{at}.rules").read_text().splitlines() for at in ("9", "12", "18"))
    address = str(Recording(run).plan.mobile_node("MN1").addresses["MR1"])
    assert sum(address in rule for rule in between) > 3 * sum(address in rule for rule in before) > 0
    assert not any(address in rule for rule in after)
    assert len(between) > len(before) == len(after)
    # The same rules, but that they are about the other router's switch and address.
    assert sorted(map(of_the_other_router, after)) == sorted(map(anonymous, before))


def anonymous(rule: str) -> str:
    """Without names, numbers and times: what kind of rule it is."""
    rule = re.sub(r"cookie=0x[0-9a-f]+, |hard_timeout=\d+,?|in_port=\"?[\w-]+\"?|s\d ", "", rule)
    return re.sub(r"10\.1\.\d\.\d+|2001:db8:1:\d[0-9a-f:]*|[0-9a-f]{2}(:[0-9a-f]{2}){5}", "X", rule)


of_the_other_router = anonymous


@pytest.mark.parametrize("family", FAMILIES)
def test_an_address_is_given_back_when_the_last_session_on_it_has_ended(family: str, run: Run) -> None:
    """Over UDP and TCP, opened by either end; the closed form is exact."""
    ends = {"udp in": "13s", "tcp in": "12.3s", "udp out": "14.2s", "tcp out": "15.7s"}
    for turn, (name, until) in enumerate(ends.items()):
        transport, way = name.split()
        pair = ("CN1", "MN1") if way == "in" else ("MN1", "CN2")
        length = f"{float(until[:-1]) - 2:g}s"
        last = session(f"L{turn}", "2s", *pair, length, transport=transport)
        others = [session("S1", "2s", "CN1", "MN1", "9s"), session("S2", "14s", "CN3", "MN1", "3s", method="p2p")]
        recording = Recording(
            run(
                folder=f"{family}-{turn}",
                family=family,
                addresses={"lifetime": "session-lasting", "idle": "500ms"},
                sessions=[last, *others],
                duration="20s",
            )
        )
        address, expected = first_address(recording), recording.oracle.given_back_s("MN1", 0)
        (released,) = times(recording, "MN1", "address_released", address)
        assert expected is not None and released == pytest.approx(expected, abs=1e-6), name
        assert released >= float(until[:-1]) - 0.05
        (heard,) = times(recording, "controller", "binding_released", address)
        assert heard == pytest.approx(released + 0.007, abs=1e-6)  # radio, inter-MR link, control channel
        (gone,) = times(recording, "controller", "redirect_removed", address)
        assert gone == pytest.approx(heard + 0.002, abs=1e-6)
        said = [row for row in recording.signalling if row.time_s == pytest.approx(released, abs=1e-6)]
        assert {"ipv4": "release", "ipv6": f"release {address}"}[family] in {row.message for row in said}
        lost = [p for name in (f"L{turn}", "S2") for p in recording.probes[name] if p.rtt_ms is None]
        assert all(9.9 < probe.sent_s < 10.1 for probe in lost)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_address_that_comes_back_into_use_is_not_given_back(family: str, run: Run) -> None:
    moves = [("0s", "MR1"), ("10s", "MR2"), ("13s", "MR1")]
    recording = Recording(
        run(
            family=family,
            addresses={"lifetime": "session-lasting", "idle": "4s"},
            movement=[{"at": at, "node": "MN1", "to": to} for at, to in moves],
            sessions=[session("P1", "2s", "CN1", "MN1", "16s")],
            duration="20s",
        )
    )
    assert times(recording, "MN1", "address_released", first_address(recording)) == []
    second = str(recording.plan.mobile_node("MN1").addresses["MR2"])
    assert times(recording, "MN1", "address_released", second) == [
        pytest.approx(recording.oracle.given_back_s("MN1", 1))
    ]
    assert all(probe.rtt_ms is not None for probe in recording.probes["P1"] if probe.sent_s > 13.2)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_non_persistent_address_goes_with_the_link_and_has_no_redirect(family: str, run: Run) -> None:
    sessions = [P1, session("P2", "12s", "CN2", "MN1", "5s", method="p2p")]
    recording = Recording(
        run(family=family, addresses={"lifetime": "non-persistent"}, sessions=sessions, duration="20s")
    )
    assert times(recording, "MN1", "address_dropped", first_address(recording)) == [10.0]
    assert not [e for e in recording.events if e["event"].startswith("redirect_")]
    assert all(
        (probe.rtt_ms is None) == (probe.sent_s > 9.9)
        for probe in recording.probes["P1"]
        if abs(probe.sent_s - 10) > 0.1
    )
    assert all(probe.rtt_ms == pytest.approx(34.0, abs=1e-3) for probe in recording.probes["P2"])


def test_two_nodes_of_one_process_do_not_take_each_others_sessions_for_their_own(run: Run) -> None:
    base = load("two-mr").model_dump(mode="json", by_alias=True)
    moves = [("0s", "MN1", "MR1"), ("0s", "MN2", "MR1"), ("10s", "MN1", "MR2"), ("10s", "MN2", "MR2")]
    sessions = [
        session("A", "2s", "CN1", "MN1", "15s", transport="tcp"),
        session("B", "2s", "CN2", "MN2", "9s", transport="tcp"),
        session("C", "3s", "CN3", "MN2", "10s"),
    ]
    recording = Recording(
        run(
            links=[*base["links"], {"between": ["radio", "MN2"], "delay": "2ms"}],
            movement=[{"at": at, "node": node, "to": to} for at, node, to in moves],
            addresses={"lifetime": "session-lasting"},
            sessions=sessions,
            duration="22s",
        )
    )
    for node, least_s in (("MN1", 17.0), ("MN2", 14.0)):
        address = str(recording.plan.mobile_node(node).addresses["MR1"])
        expected = recording.oracle.given_back_s(node, 0)
        assert expected is not None and least_s <= expected < least_s + 0.3
        assert times(recording, node, "address_released", address) == [pytest.approx(expected, abs=1e-6)]
