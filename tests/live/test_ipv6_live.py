"""IPv6 as the equal of IPv4: every method to the nanosecond, addresses by SLAAC, duplicates looked for or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmmlab.experiments.analysis.distance import Distances
from dmmlab.experiments.campaigns.reproduce import reproduce
from dmmlab.experiments.figures.base import EXACT_MS
from dmmlab.experiments.oracle.moves import configured_s, late_s
from dmmlab.experiments.records import pcap
from dmmlab.experiments.records.recording import recordings
from dmmlab.experiments.records.rundir import RunDirectory, read_csv
from dmmlab.experiments.runner.run import Progress, run_scenario
from dmmlab.experiments.scenario.load import load
from dmmlab.guest.cache import GuestKernel

NANOSECOND_MS = 1e-6
pytestmark = pytest.mark.live

Run = Callable[..., RunDirectory]
METHODS = ["fixed", "ddns", "p2p", "central", "combined"]
AND_BACK = [
    {"at": "0s", "node": "MN1", "to": "MR1"},
    {"at": "10s", "node": "MN1", "to": "MR2", "gap": "53ms"},
    {"at": "20s", "node": "MN1", "to": "MR1", "gap": "50ms"},
]
IP1, IP2 = "2001:db8:1:1:0:ff:fe00:201", "2001:db8:1:2:0:ff:fe00:201"


@pytest.fixture(scope="module")
def two_mr(run: Run) -> RunDirectory:
    return run("two-mr-ipv6")


def test_every_session_of_every_method_takes_its_closed_form(two_mr: RunDirectory) -> None:
    rows = read_csv(two_mr.sessions)
    assert len(rows) == 237
    for row in rows:
        assert row["outcome"] == "ok", row
        assert abs(float(row["setup_ms"]) - float(row["expected_setup_ms"])) < NANOSECOND_MS, row
    assert {row["address"] for row in rows if row["path"] != "relay" and row["mn"] == "MN1"} == {IP1, IP2}
    assert {row["method"] for row in rows} == set(METHODS)


def test_not_one_packet_of_ipv4_but_on_the_control_channel(two_mr: RunDirectory) -> None:
    frames = [frame for file in sorted(two_mr.capture.glob("*.pcap")) if file.stem != "CONTROLLER"
              for frame in pcap.read(file)]  # fmt: skip
    assert len(frames) > 1000
    assert all(frame.protocol and ":" in frame.source for frame in frames)


def test_the_timeline_and_the_signalling_say_how_it_came_by_its_address(two_mr: RunDirectory) -> None:
    handover = read_csv(two_mr.handovers)[0]
    assert [handover[name] for name in ("address_s", "redirect_s", "registered_s")] == [
        *("10.054000000", "10.055000000", "10.098000000")
    ]
    told = [row for row in read_csv(two_mr.signalling) if row["protocol"] == "nd" and row["cause"] == "MN1→MR2@10s"]
    assert [row["message"].removeprefix(IP2) for row in told][1:] == [
        *("router solicitation", "router advertisement", " is-at")
    ]
    assert not [row for row in read_csv(two_mr.signalling) if row["cause"] == "unknown"]


@pytest.mark.parametrize("dad", ["off", "on", "optimistic"])
def test_detection_of_duplicates_takes_what_its_closed_form_says(run: Run, dad: str) -> None:
    """And once there is an address, sessions take theirs; P1 goes on through all of it."""
    keys: dict[str, Any] = {"family": "ipv6", "addresses": {"dad": dad}, "movement": AND_BACK}
    sessions = [
        {"name": "P1", "at": "4s", "from": "CN1", "to": "MN1", "interval": "10ms", "duration": "20s"},
        {"name": "P3", "at": "13s", "from": "CN3", "to": "MN1", "method": METHODS, "transport": ["udp", "tcp"]},
        {"name": "P4", "at": "23s", "from": "CN3", "to": "MN1", "method": METHODS},
    ]
    done = run(**keys, sessions=sessions)
    scenario = load("two-mr", {**keys, "sessions": sessions})
    moved = read_csv(done.handovers)
    for turn, row in enumerate(moved, 1):
        taken_s = float(row["address_s"]) - float(row["attach_s"])
        least_s = configured_s(scenario, "MN1", turn)
        assert -1e-9 <= taken_s - least_s <= late_s(scenario, "MN1", turn) + 1e-9
    for row in read_csv(done.sessions):
        assert row["outcome"] == "ok" and row["expected_setup_ms"], row
        assert abs(float(row["setup_ms"]) - float(row["expected_setup_ms"])) < NANOSECOND_MS, row
    lost = [int(row["lost_packets"]) for row in moved]
    assert all(100 < count < 120 for count in lost) if dad == "on" else all(count < 10 for count in lost), lost
    formed = [event["address"] for event in done.timeline() if event["event"] == "address_configured"]
    assert formed == [IP1, IP2, IP1]


def test_the_anchor_answers_for_a_node_that_is_nowhere(run: Run) -> None:
    """So its router knows where to send as soon as it is somewhere: the first packet after 90 s of absence arrives."""
    movement = [{"at": "0s", "node": "MN1", "to": "MR1"}, {"at": "10s", "node": "MN1", "to": "MR2", "gap": "90s"}]
    stream = {"name": "P1", "at": "4s", "from": "CN1", "to": "MN1", "interval": "100ms", "duration": "100s"}
    done = run(family="ipv6", movement=movement, sessions=[stream], duration="110s")
    answered = [event for event in done.timeline() if event["event"] == "neighbour_answered"]
    assert answered and {(event["mn"], event["address"], event["anchor"]) for event in answered} == {
        ("MN1", IP1, "MR1")
    }
    first = next(row for row in read_csv(done.probes) if row["received_s"] and float(row["sent_s"]) > 10)
    assert first["sent_s"] == "100.000000000"
    assert float(first["rtt_ms"]) == pytest.approx(42)


def test_servers_are_found_by_name_and_over_tcp(run: Run) -> None:
    session = {"name": "X", "at": "12s", "from": "CN3", "to": "MN1", "method": ["ddns", "p2p", "central", "combined"]}
    bulk = {"name": "B", "at": "9s", "from": "CN3", "to": "MN1", "transport": "tcp", "method": METHODS, "size": "2MB"}
    done = run(family="ipv6", discovery="dns", registration={"control": "tcp"}, sessions=[session, bulk])
    assert {row["outcome"] for row in read_csv(done.sessions)} == {"ok"}
    found = [event for event in done.timeline() if event["event"] == "server_discovered"]
    assert found and all(event["status"] == "ok" and ":" in event["address"] for event in found)
    checked = [event["intact"] for event in done.timeline() if event["event"] == "bulk_checked"]
    assert checked == [True] * len(METHODS)


def test_an_old_address_is_dropped_when_its_time_is_over(run: Run) -> None:
    stream = {"name": "P1", "at": "4s", "from": "CN1", "to": "MN1", "interval": "100ms", "duration": "20s"}
    done = run(family="ipv6", addresses={"keep": "5s"}, sessions=[stream])
    (released,) = [event for event in done.timeline() if event["event"] == "address_released"]
    assert (released["address"], released["time_s"]) == (IP1, 15.0)
    last = max(float(row["sent_s"]) for row in read_csv(done.probes) if row["received_s"])
    assert 14.9 <= last < 15.1
    # Its anchor hears of it over the redirect, 2 + 4 ms, and 1 ms later the controller, which then takes that away.
    told = [event for event in done.timeline() if event["event"] in ("binding_released", "redirect_removed")]
    assert [(event["event"], event["address"]) for event in told] == [
        ("binding_released", IP1),
        ("redirect_removed", IP1),
    ]
    assert told[0]["time_s"] == pytest.approx(15.007, abs=1e-6)
    assert IP1 not in "".join(file.read_text() for file in sorted(done.log.glob("*.flows")))
    (said,) = [row for row in read_csv(done.signalling) if row["message"] == f"release {IP1}"]
    assert (said["protocol"], said["source"], said["cause"]) == ("nd", "MN1", "MN1→MR2@10s")
    assert not [row for row in read_csv(done.signalling) if row["cause"] == "unknown"]


def test_mobile_nodes_open_sessions_from_their_newest_addresses(run: Run) -> None:
    """RFC 6724 section 5: rule 3 (deprecated ones last) goes before rule 8 (the one most like the destination)."""
    links = [link for link in load("two-mr").model_dump(mode="json", by_alias=True)["links"]]
    movement = [
        {"at": "0s", "node": "MN1", "to": "MR1"},
        {"at": "1s", "node": "MN2", "to": "MR1"},
        {"at": "10s", "node": "MN1", "to": "MR2", "gap": "50ms"},
        {"at": "20s", "node": "MN2", "to": "MR2", "gap": "50ms"},
    ]
    ends = [
        ("A", "3s", "MN1", "MN2"),
        ("B", "13s", "MN1", "MN2"),
        ("C", "15s", "MN2", "MN1"),
        ("D", "23s", "MN2", "MN1"),
    ]
    sessions = [
        {"name": name, "at": at, "from": opener, "to": to, "method": METHODS, "transport": ["udp", "tcp"]}
        for name, at, opener, to in ends
    ]
    links.append({"between": ["radio", "MN2"], "delay": "3ms"})
    rows = read_csv(run(family="ipv6", links=links, movement=movement, sessions=sessions).sessions)
    assert len(rows) == 40
    for row in rows:
        assert row["outcome"] == "ok", row
        assert abs(float(row["setup_ms"]) - float(row["expected_setup_ms"])) < NANOSECOND_MS, row


def test_in_real_time_every_method_works_before_and_after_a_move(live_kernel: GuestKernel, tmp_path: Path) -> None:
    """And nothing is faster than the network. Whether the machine kept time is for the gate to say.

    A slow machine needs seconds until a new address is in the zone, and a name that is not there yet is refused: the
    sessions begin five seconds after an attachment.
    """
    movement = [{"at": "0s", "node": "MN1", "to": "MR1"}, {"at": "10s", "node": "MN1", "to": "MR2", "gap": "50ms"}]
    sessions = [
        {"name": "P1", "at": "5s", "from": "CN1", "to": "MN1", "interval": "100ms", "duration": "11s"},
        {"name": "A", "at": "5s", "from": "CN3", "to": "MN1", "method": METHODS, "transport": ["udp", "tcp"]},
        {"name": "B", "at": "15s", "from": "CN3", "to": "MN1", "method": METHODS, "transport": ["udp", "tcp"]},
    ]
    keys = {"movement": movement, "sessions": sessions, "duration": "18s"}
    done = run_scenario(load("two-mr-ipv6", keys), tmp_path / "run", "guest", "real", Progress())
    outcome = done.outcome()
    assert outcome is not None and outcome["outcome"] in ("ok", "invalid"), outcome
    rows = read_csv(done.sessions)
    assert len(rows) == 21
    for row in rows:
        assert row["outcome"] in ("ok", "retried"), row
        assert float(row["setup_ms"]) > float(row["expected_setup_ms"]) - 0.1, row
    last = [row for row in read_csv(done.probes) if row["session"] == "P1"][-20:]
    assert all(row["received_s"] for row in last)


def test_a_figure_s_scenarios_in_this_family_hold_and_are_exact(live_kernel: GuestKernel, tmp_path: Path) -> None:
    """As `dmmlab reproduce F3 --family ipv6` has it."""
    (verdict,), result = reproduce(["F3"], tmp_path, "guest", "virtual", reference=None, family="ipv6")
    assert verdict.holds, verdict
    made = recordings(result.runs)
    assert {run.scenario.family for run in made} == {"ipv6"}
    found = Distances.of(made)
    assert found.setups and len(found.trips) > 1000
    assert not found.beyond(EXACT_MS)
