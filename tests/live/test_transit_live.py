"""Redirects over several hops and through the core by tunnels, in the virtual-time guest, in both families."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmmlab.experiments.oracle.delays import Place, path_s
from dmmlab.experiments.oracle.moves import serving
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rundir import RunDirectory

pytestmark = pytest.mark.live

MICROSECOND_MS = 1e-3
SETTLED_S = 0.5  # after a move: its gap, the redirect, and what was on the way
LEAVES_S = 4.9  # of 5 s at a router: what is sent later is still under way when the link goes
SERVERS = {"SERVER": "15ms", "RESOLVER": "1ms", "DDNS": "15ms", "CN1": "10ms"}
CORE = {"MR1": "5ms", "MR2": "20ms", "MR3": "5ms", "MR4": "6ms"}
# MR1 to MR3 over two links (8 ms; 10 through the core); nothing leads to MR4 but the core, and from MR2 the way there
# is shorter over the link to MR1 or MR3 (15 ms) than over its own link to the core (26).
LINKS: list[dict[str, Any]] = [
    {"between": ["radio", "MN1"], "delay": "2ms"},
    {"between": ["MR1", "MR2"], "delay": "4ms"},
    {"between": ["MR2", "MR3"], "delay": "4ms"},
    {"between": ["CONTROLLER", "switches"], "delay": "1ms"},
    *({"between": [name, "CORE"], "delay": delay} for name, delay in {**CORE, **SERVERS}.items()),
]
MOVEMENT = [
    {"at": f"{5 * turn}s", "node": "MN1", "to": router}
    for turn, router in enumerate(["MR1", "MR2", "MR3", "MR4", "MR1"])
]
LONG = {"from": "CN1", "to": "MN1", "method": "fixed", "transport": ["udp", "tcp"], "interval": "20ms"}
BRIEF = {"from": "CN1", "to": "MN1", "method": ["ddns", "p2p", "central", "combined"], "transport": ["udp", "tcp"]}
SESSIONS: list[dict[str, Any]] = [
    {"name": "P1", "at": "2s", "duration": "21s", **LONG},
    {"name": "P2", "at": "7s", "duration": "16s", "anchor": "MR2", **LONG},
    {"name": "P3", "at": "12s", "duration": "11s", "anchor": "MR3", **LONG},
    {"name": "P4", "at": "17s", "duration": "6s", "anchor": "MR4", **LONG},
    {"name": "Q", "at": "3s", "repeat": 4, "every": "5s", **BRIEF},
    {"name": "B", "at": "17s", "from": "CN1", "to": "MN1", "method": "fixed", "transport": "tcp", "size": "1MB"},
]
KEYS: dict[str, Any] = {
    "mobile_routers": list(CORE),
    "links": LINKS,
    "movement": MOVEMENT,
    "sessions": SESSIONS,
    "duration": "24s",
}

Run = Callable[..., RunDirectory]


@pytest.fixture(scope="module", params=["ipv4", "ipv6"])
def toured(run: Run, request: pytest.FixtureRequest) -> Recording:
    return Recording(run(**KEYS, transit="shortest", family=request.param))


def test_every_session_is_set_up_in_its_closed_form(toured: Recording) -> None:
    probed = [found for found in toured.sessions if found.spec.size is None]
    assert len(probed) == 8 + 32
    for found in probed:
        expected = toured.expected(found)
        assert found.row.outcome == "ok", found.row
        assert expected is not None, found.row
        assert found.row.setup_ms == pytest.approx(expected.setup_s * 1e3, abs=MICROSECOND_MS), found.row


def test_every_round_trip_is_the_shortest_way_s(toured: Recording) -> None:
    """By every address at every router, over both transports, once each move has settled."""
    seen: dict[tuple[str, str], set[float]] = defaultdict(set)
    for found in toured.sessions:
        if found.spec.entry.name.startswith("P"):
            for probe in toured.probes[found.spec.name]:
                at = serving(toured.scenario, "MN1", probe.sent_s)
                if at is not None and SETTLED_S < probe.sent_s % 5 < LEAVES_S:
                    seen[found.row.anchor, at].add(round(probe.rtt_ms or 0.0, 3))
    assert len(seen) == 13  # what each session has seen from its start on, in its own place too
    for (anchor, at), trips_ms in seen.items():
        way_s = path_s(toured.scenario, Place("CN1"), Place("MN1", anchor, at))
        assert trips_ms == {round(2e3 * (way_s or 0.0), 3)}, (anchor, at)
    assert seen["MR1", "MR3"] == {2 * (10 + 5 + 8 + 2)}  # over two links
    assert seen["MR1", "MR4"] == {2 * (10 + 5 + 11 + 2)}  # through the core
    assert seen["MR2", "MR4"] == {2 * (10 + 20 + 15 + 2)}  # over a link, and then through the core


def test_a_transfer_in_whole_segments_goes_through_a_tunnel(toured: Recording) -> None:
    (transfer,) = [found for found in toured.sessions if found.spec.size is not None]
    assert (transfer.row.path, transfer.row.outcome) == ("redirect", "ok")


def test_a_tunnel_takes_as_long_as_the_two_routers_are_apart(run: Run, tmp_path: Path) -> None:
    """Round trips from a matrix: MR1 and MR2 are 100 ms apart, but either is near MR3, so it goes there and on."""
    (tmp_path / "rtt.csv").write_text("0,100,10,30\n100,0,12,40\n10,12,0,50\n30,40,50,0\n")
    place = {"MR1": 0, "MR2": 1, "MR3": 2, "CN1": 3}
    links = [link for link in LINKS if not {"MR1", "MR2", "MR3"}.issuperset(link["between"])]
    links = [link for link in links if "MR4" not in link["between"]]
    (tmp_path / "base.yaml").write_text("extends: two-mr\n")
    recording = Recording(
        run(
            str(tmp_path / "base.yaml"),
            mobile_routers=["MR1", "MR2", "MR3"],
            links=links,
            movement=MOVEMENT[:3],
            sessions=[{**SESSIONS[0], "duration": "12s"}, {**SESSIONS[-2], "repeat": 3}],
            duration="15s",
            transit="shortest",
            geometry={"matrix": "rtt.csv", "place": place},
        )
    )
    probes = [probe for probe in recording.probes["P1.udp"] if SETTLED_S < probe.sent_s % 5 < LEAVES_S]
    seen = {serving(recording.scenario, "MN1", probe.sent_s): probe.rtt_ms for probe in probes}
    assert seen == pytest.approx({"MR1": 30 + 4, "MR2": 30 + 22 + 4, "MR3": 30 + 10 + 4}, abs=MICROSECOND_MS)
    for found in recording.sessions:
        expected = recording.expected(found)
        assert expected is not None, found.row
        assert found.row.setup_ms == pytest.approx(expected.setup_s * 1e3, abs=MICROSECOND_MS), found.row


def test_without_transit_nothing_leads_where_no_link_does(run: Run) -> None:
    recording = Recording(run(**KEYS, transit="links"))
    (session,) = [found for found in recording.sessions if found.spec.name == "P1.udp"]
    late = [probe for probe in recording.probes[session.spec.name] if 15.5 < probe.sent_s < 19.9]
    assert late
    assert all(probe.rtt_ms is None for probe in late)
    back = [probe for probe in recording.probes[session.spec.name] if probe.sent_s > 20.5]
    assert {round(probe.rtt_ms or 0.0, 3) for probe in back} == {34.0}
