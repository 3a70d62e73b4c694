"""Sessions of mobile nodes in the virtual-time guest: with hosts, and with each other while either or both move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dmmlab.experiments.ladders.reading import ladders
from dmmlab.experiments.oracle.delays import Place, path_s
from dmmlab.experiments.oracle.moves import serving
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rows import SessionRow
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.load import load

pytestmark = pytest.mark.live

MICROSECOND_MS = 1e-3
METHODS = ["fixed", "ddns", "p2p", "central", "combined"]
EVERY = {"method": METHODS, "transport": ["udp", "tcp"]}
SECOND_RADIO = {"between": ["radio", "MN2"], "delay": "3ms"}
LINKS = [*load("two-mr").model_dump(mode="json", by_alias=True)["links"], SECOND_RADIO]
AT_ONCE = [
    {"at": "0s", "node": "MN1", "to": "MR1"},
    {"at": "0s", "node": "MN2", "to": "MR2"},
    {"at": "10s", "node": "MN1", "to": "MR2"},
    {"at": "10s", "node": "MN2", "to": "MR1"},
]
SETTLED_S = 11.0  # the round trips are those of the new places, and TCP has repeated what the gap cost

Run = Callable[..., RunDirectory]


def session(name: str, at: str, one: str, other: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "at": at, "from": one, "to": other, **keys}


def check_against_the_oracle(recording: Recording) -> None:
    """Every session was set up as its closed form says, to a microsecond."""
    for found in recording.sessions:
        row, expected = found.row, recording.expected(found)
        assert row.outcome == "ok", row
        assert expected is not None, row
        assert row.setup_ms == pytest.approx(expected.setup_s * 1e3, abs=MICROSECOND_MS), row
        assert row.lookup_ms == pytest.approx(expected.lookup_s * 1e3, abs=MICROSECOND_MS), row


@pytest.fixture(scope="module", params=["ipv4", "ipv6"])
def swapped(run: Run, request: pytest.FixtureRequest) -> Recording:
    """Two nodes, each the other's correspondent, change places at the same instant."""
    long = {**EVERY, "interval": "50ms", "duration": "16s"}
    sessions = [
        session("A", "2s", "MN1", "MN2", **long),
        session("B", "3s", "MN2", "MN1", **long),
        session("C", "14s", "MN1", "MN2", **EVERY),
        session("D", "15s", "MN2", "MN1", **EVERY),
    ]
    where = {"family": request.param, "links": LINKS, "movement": AT_ONCE}
    return Recording(run(**where, sessions=sessions, duration="25s"))


def test_two_that_change_places_set_up_what_their_closed_forms_say(swapped: Recording) -> None:
    check_against_the_oracle(swapped)


def test_every_established_session_goes_on_over_a_move_of_both_ends(swapped: Recording) -> None:
    """By each of five methods, over UDP and TCP; 10 ms after settling every round trip is the new places'."""
    established = [found for found in swapped.sessions if found.spec.entry.name in ("A", "B")]
    assert len(established) == 20
    for found in established:
        after = [probe for probe in swapped.probes[found.spec.name] if probe.sent_s >= SETTLED_S]
        assert len(after) > 100
        assert all(probe.rtt_ms is not None for probe in after), found.row
        if found.spec.method != "central":
            assert {round(probe.rtt_ms or 0.0, 3) for probe in after} == {expected_rtt_ms(swapped, found.row)}


def expected_rtt_ms(recording: Recording, row: SessionRow) -> float:
    """The round trip at the end, between the addresses that the session began with."""
    scenario = recording.scenario
    ends = [
        Place(name, anchor, serving(scenario, name, 20.0) or "")
        for name, anchor in ((row.cn, row.mn_anchor), (row.mn, row.anchor))
    ]
    return round(2e3 * (path_s(scenario, *ends) or 0.0), 3)


def test_both_ends_register_again_and_each_message_has_its_cause(swapped: Recording) -> None:
    for node, moves in (("MN1", ("MR1@0s", "MR2@10s")), ("MN2", ("MR2@0s", "MR1@10s"))):
        registered = [row.cause for row in swapped.signalling if (row.source, row.message) == (node, "REGISTER")]
        assert registered == [f"{node}→{move}" for move in moves]
    assert {row.cause for row in swapped.signalling} & {"unknown", ""} == set()
    drawn = {ladder.name: ladder for ladder in ladders(swapped)}
    assert [
        (section.since, [step.message for step in section.steps]) for section in drawn["correspondent"].sections
    ] == [(f"MN1→{move}", ["REGISTER", "REGISTERED"]) for move in ("MR1@0s", "MR2@10s")]
    assert {step.source for section in drawn["p2p"].sections for step in section.steps} == {"MN1", "MN2", "SERVER"}
    said = [step.says for section in drawn["correspondent"].sections for step in section.steps]
    assert [words for words in said if words != "registered"] == [
        "register MN1's IP1, port 5001, ID", "register MN1's IP2, port 5001, ID",
    ]  # fmt: skip


def test_which_end_moved_and_by_which_path(run: Run) -> None:
    """Sessions on known addresses after a move of neither, either or both, and from an address that is just going.

    MN1's radio takes 2 ms, so its new address comes 8 ms after the attachment and its redirect 4 ms after it.
    """
    movement = [
        *({"at": "0s", "node": node, "to": "MR1"} for node in ("MN1", "MN2")),
        {"at": "6s", "node": "MN2", "to": "MR2"},
        {"at": "10s", "node": "MN1", "to": "MR2"},
    ]
    both = {"transport": ["udp", "tcp"], "method": ["fixed"]}
    sessions = [
        session("neither", "3s", "MN1", "MN2", **both),
        session("to", "8s", "MN1", "MN2", anchor="MR1", **both),
        session("from", "10.055s", "MN1", "CN1", method=["fixed"]),
        session("ends", "10.055s", "MN1", "MN2", method=["fixed"], anchor="MR2"),
        session("back", "14s", "MN2", "MN1", **both),
        session("relay", "15s", "MN2", "MN1", method=["central"]),
    ]
    links = [*LINKS, {"between": ["CN9", "CORE"], "delay": "1ms"}]
    recording = Recording(run(links=links, movement=movement, sessions=sessions))
    check_against_the_oracle(recording)
    assert {row.session: (row.path, row.mn_anchor, row.mn_serving, row.anchor) for row in recording.session_rows} == {
        "neither.udp": ("direct", "MR1", "MR1", "MR1"),
        "neither.tcp": ("direct", "MR1", "MR1", "MR1"),
        "to.udp": ("redirect", "MR1", "MR1", "MR1"),
        "to.tcp": ("redirect", "MR1", "MR1", "MR1"),
        "from": ("redirect", "MR1", "MR2", ""),
        "ends": ("redirect", "MR1", "MR2", "MR2"),
        "back.udp": ("redirect", "MR2", "MR2", "MR1"),
        "back.tcp": ("redirect", "MR2", "MR2", "MR1"),
        "relay": ("relay", "MR2", "MR2", ""),
    }


def test_an_address_that_is_just_going_reaches_one_that_is_gone_by_two_redirects(run: Run) -> None:
    """MN1 moves to MR3 and speaks 5 ms after its attachment to MN2's address of MR2, which MN2 left for MR3 before."""
    links = [
        *LINKS,
        {"between": ["MR3", "CORE"], "delay": "7ms"},
        {"between": ["MR1", "MR3"], "delay": "6ms"},
        {"between": ["MR2", "MR3"], "delay": "3ms"},
    ]
    movement = [
        {"at": "0s", "node": "MN1", "to": "MR1"},
        {"at": "0s", "node": "MN2", "to": "MR2"},
        {"at": "6s", "node": "MN2", "to": "MR3"},
        {"at": "10s", "node": "MN1", "to": "MR3"},
    ]
    sessions = [session("X", "10.055s", "MN1", "MN2", method=["fixed"], transport=["udp", "tcp"])]
    recording = Recording(run(links=links, mobile_routers=["MR1", "MR2", "MR3"], movement=movement, sessions=sessions))
    check_against_the_oracle(recording)
    for row in recording.session_rows:
        assert (row.path, row.mn_anchor, row.mn_serving, row.anchor) == ("redirect-both", "MR1", "MR3", "MR2")
        assert row.setup_ms == pytest.approx(2 * (2 + 6 + 5 + 5 + 3 + 3) * (1 if row.transport == "udp" else 2))


def test_neighbours_of_one_link_lose_nothing_but_the_gap_when_one_leaves(run: Run) -> None:
    """MN2 leaves the link that it shares with MN1, and returns: the switch answers for it, the router passes on."""
    movement = [
        {"at": "0s", "node": "MN1", "to": "MR1"},
        {"at": "0s", "node": "MN2", "to": "MR1"},
        {"at": "5s", "node": "MN2", "to": "MR2"},
        {"at": "15s", "node": "MN2", "to": "MR1"},
    ]
    long = {"method": ["fixed"], "transport": ["udp", "tcp"], "interval": "50ms", "duration": "20s"}
    sessions = [
        session("A", "2s", "MN1", "MN2", **long),
        session("B", "2.5s", "MN2", "MN1", **long),
        session("N", "8s", "CN1", "MN2", method=["fixed"]),
        session("L", "7s", "MN1", "MN2", method=["fixed"], anchor="MR1"),
    ]
    recording = Recording(run(links=LINKS, movement=movement, sessions=sessions))
    check_against_the_oracle(recording)
    for name in ("A.udp", "A.tcp", "B.udp", "B.tcp"):
        probes = recording.probes[name]
        for from_s, until_s, rtt_ms in ((3, 4.9, 10.0), (6.5, 14.9, 18.0), (16.5, 22, 10.0)):
            among = [probe.rtt_ms for probe in probes if from_s <= probe.sent_s < until_s]
            assert among
            assert all(rtt == pytest.approx(rtt_ms, abs=MICROSECOND_MS) for rtt in among), (name, from_s)


@pytest.mark.parametrize("redirect", [True, False])
def test_a_lazy_update_leaves_when_it_is_due_and_relayed_sessions_do_not_wait_for_it(run: Run, redirect: bool) -> None:
    """Draft 4.2.2: another address in the user plane, and the server is not told of it at once."""
    relayed = {"method": ["central"], "transport": ["udp", "tcp"], "interval": "50ms", "duration": "10s"}
    asking = {"method": ["p2p", "central", "combined"], "transport": ["udp", "tcp"]}
    sessions = [session("S", "4s", "CN3", "MN1", **relayed), session("N", "20s", "CN3", "MN1", **asking)]
    if redirect:
        sessions.append(session("L", "12s", "CN3", "MN1", **asking))
    lazy = {"update": "lazy", "after": "5s"}
    recording = Recording(run(sessions=sessions, registration=lazy, redirect=redirect))
    check_against_the_oracle(recording)
    registered = [row.time_s for row in recording.signalling if (row.source, row.message) == ("MN1", "REGISTER")]
    assert registered == pytest.approx([0.012, 10.058 + 5.0], abs=1e-6)
    for name in ("S.udp", "S.tcp"):
        after = [probe.rtt_ms for probe in recording.probes[name] if 10.5 < probe.sent_s < 14]
        assert len(after) == 70
        assert None not in after


def test_each_service_is_at_the_port_that_the_method_gives(run: Run) -> None:
    """Also over the move, in central mode; and what has a size goes to the port that the DNS has for it."""
    chat = {**EVERY, "service": "chat"}
    sessions = [
        session("C", "3s", "CN3", "MN1", **chat),
        session("D", "15s", "CN3", "MN1", **chat),
        session("B", "5s", "CN3", "MN1", method=METHODS, transport="tcp", size="1kB"),
        session("L", "6s", "CN3", "MN1", method=["central"], service="chat", interval="100ms", duration="8s"),
    ]
    recording = Recording(run(sessions=sessions, services=[{"name": "chat", "port": 7001}]))
    check_against_the_oracle(recording)
    server = str(recording.plan.host("SERVER").address.ip)
    ports = {
        name.split(".")[0]: {found[0]["port"]}
        for name, found in recording.lookups.items()
        if found[0]["addresses"] != [server]
    }
    assert ports == {"C": {7001}, "D": {7001}, "B": {5002}}
    served = {
        frame.destination_port for frame in recording.frames("MN1") if frame.destination_port in (5001, 5002, 7001)
    }
    assert served == {5002, 7001}
    assert all(probe.rtt_ms is not None for probe in recording.probes["L"] if probe.sent_s > 10.5)
    assert all(event["intact"] for event in recording.events if event["event"] == "bulk_checked")


def test_who_a_node_is_and_where_the_servers_are_can_be_found_in_the_dns(run: Run) -> None:
    """By DNS-SD a correspondent, fixed or mobile, finds the ID by the name; a node finds its DDNS server by SRV."""
    asking = {"method": ["ddns", "p2p", "combined"], "transport": ["udp", "tcp"]}
    sessions = [session("A", "3s", "CN3", "MN1", **asking), session("B", "15s", "MN2", "MN1", **asking)]
    recording = Recording(run(links=LINKS, movement=AT_ONCE, sessions=sessions, discovery="dns-sd"))
    check_against_the_oracle(recording)
    found = [event for event in recording.logged if event["event"] == "node_discovered"]
    assert [(event["source"], event["node"], event["id"]) for event in found] == [
        ("CN3", "MN1", "mn1.mn.dmm.test"),
        ("MN2", "MN1", "mn1.mn.dmm.test"),
    ]
    ddns = [event for event in recording.logged if event["event"] == "ddns_discovered"]
    address = str(recording.plan.host("DDNS").address.ip)
    assert [(event["status"], event["address"], event["port"]) for event in ddns] == [("ok", address, 53)] * 2
    causes = {row.cause for row in recording.signalling}
    assert "discovery" in causes and "unknown" not in causes
