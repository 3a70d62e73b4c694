"""Programs of one's own in the virtual-time guest: those that are shipped as examples, and those that are not there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from dmmlab.experiments.campaigns.compare import differing
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rows import ProgramRow
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.machine import programs as machine

pytestmark = pytest.mark.live

Run = Callable[..., RunDirectory]
NEEDED = ("iperf3", "curl", "ssh", "sshd")
ROUND_TRIP_MS = 34.0  # CN to MN1 at MR1


def at(name: str, role: str, recording: Recording) -> ProgramRow:
    (found,) = [row for row in recording.programs if (row.session, row.role) == (name, role)]
    return found


def output(row: ProgramRow, recording: Recording) -> str:
    return (recording.run.root / row.output).read_text()


@pytest.fixture(scope="module", params=["ipv4", "ipv6"])
def shipped(run: Run, request: pytest.FixtureRequest) -> Recording:
    if missing := [machine.lacking(name) for name in NEEDED if machine.found(name) is None]:
        pytest.skip("; ".join(missing))
    return Recording(run("own-program", family=request.param))


def test_every_example_does_its_work_through_the_move(shipped: Recording) -> None:
    for session in shipped.sessions:
        assert session.row.outcome == "ok"
        assert session.row.connect_ms == pytest.approx(2 * ROUND_TRIP_MS, abs=1e-3)
        assert at(session.row.session, "client", shipped).status == "0"
    assert at("T", "server", shipped).status == "0"
    assert {at(name, "server", shipped).status for name in "HSV"} == {"stopped"}


def test_the_port_is_the_one_that_the_method_gives(shipped: Recording) -> None:
    for session in shipped.sessions:
        lookup = shipped.lookups[session.spec.name][-1]
        assert (lookup["outcome"], lookup["port"]) == ("ok", 30000 + session.spec.number)


def test_what_reached_a_program_is_what_it_says_itself(shipped: Recording) -> None:
    iperf3 = json.loads(output(at("T", "client", shipped), shipped))
    received = at("T", "server", shipped)
    # 37 bytes of cookie on each connection, and the exchange of parameters and results, are not in iperf3's sum
    assert 0 <= (received.bytes or 0) - iperf3["end"]["sum_received"]["bytes"] < 4000
    assert received.goodput_mbps == pytest.approx(10.0, rel=0.02)
    curl, fetched = json.loads(output(at("H", "client", shipped), shipped)), at("H", "client", shipped)
    assert fetched.bytes == curl["size_header"] + curl["size_download"] == 12 * 2**20 + curl["size_header"]
    assert output(at("S", "client", shipped), shipped).split() == [str(turn) for turn in range(1, 101)]
    film, watched = json.loads(output(at("V", "client", shipped), shipped)), at("V", "client", shipped)
    assert film["stalls"] == 1
    assert film["longest_stall_s"] < (watched.longest_silence_s or 0.0)
    assert (watched.bytes or 0) // 5000 - film["pictures"] in (0, 1, 2)


def test_a_move_costs_each_transfer_its_gap_and_not_more_than_a_retransmission(shipped: Recording) -> None:
    moves = {(row.session, row.role): row for row in shipped.program_moves}
    for key in (("T", "server"), ("V", "client")):
        assert 0.05 < (moves[key].longest_silence_s or 0.0) < 0.4
    assert moves["T", "server"].before_mbps == pytest.approx(10.0, rel=0.05)
    assert moves["T", "server"].after_mbps == pytest.approx(10.0, rel=0.05)


def test_a_run_with_programs_is_the_same_to_the_byte_again(shipped: Recording, run: Run) -> None:
    again = run("own-program", family=shipped.scenario.family)
    assert differing(again, shipped.run) == []  # what they print and what is captured, ssh's keys included


def session(name: str, one: str, other: str, client: str, server: str | None = None, **keys: Any) -> dict[str, Any]:
    run = {"client": client, "ahead": "8s", **({"server": server} if server else {})}
    return {"name": name, "at": "9s", "from": one, "to": other, "duration": "4s", "run": run, **keys}


def test_what_is_not_there_is_unsupported_and_what_is_started_is_stopped(run: Run) -> None:
    only_ipv4 = "python3 -c 'import socket; socket.getaddrinfo(\"{address}\", 1, socket.AF_INET)'"
    sessions = [
        session("A", "CN1", "MN1", "iperf3 -c {address} -p {port}", "netperfd -p {port}", method="p2p"),
        session("B", "MN1", "CN1", "sleep 99", "sh -c 'sipp {port}'"),
        session("D", "CN2", "MN1", only_ipv4, method="ddns"),
        session("E", "CN3", "MN1", "sh -c 'trap \"\" TERM; echo {name} {{name}}; sleep 99'", method="combined"),
        session(
            "C",
            "CN1",
            "MN1",
            "curl -sS http://{host}:{port}/",
            "python3 -m http.server -b :: {port}",
            method="central",
            transport="tcp",
        ),
    ]
    recording = Recording(run(family="ipv6", sessions=sessions, movement=[{"at": "0s", "node": "MN1", "to": "MR1"}]))
    outcomes = {found.spec.name: found.row.outcome for found in recording.sessions}
    assert {name for name, outcome in outcomes.items() if outcome == "unsupported"} == {"A", "D"} | (
        set() if machine.found("sipp") else {"B"}
    )
    for role in ("server", "client"):
        assert at("A", role, recording).status == "unsupported: netperfd is not installed (package netperfd)"
    assert "sipp" not in at("B", "client", recording).status
    assert "(package sip-tester)" in at("B", "server", recording).status or machine.found("sipp")
    assert "Address family" in at("D", "client", recording).status
    assert at("E", "client", recording).status == "stopped"
    assert at("E", "client", recording).ended_s == pytest.approx(14.0, abs=0.01)  # it does not mind being asked
    assert output(at("E", "client", recording), recording) == "mn1.mn.dmm.test {name}\n"
    assert outcomes["C"] == "ok" and "Directory listing" in output(at("C", "client", recording), recording)


def test_programs_speak_through_the_relay_over_udp_too(run: Run) -> None:
    """From whatever port the client has, and through a move, after which the node has another user plane."""
    begin = "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(9)\n"
    echo = begin + "s.bind(('', {port}))\nwhile 1: s.sendto(*s.recvfrom(99))"
    ask = begin + "s.connect(('{address}', {port}))\n"
    ask += "for n in range(8):\n s.send(b'%d' % n); print(s.recv(99).decode()); time.sleep(0.5)"
    entry = session("U", "CN1", "MN1", "", method="central") | {"at": "8s", "duration": "6s"}
    entry["run"] = {"server": ["python3", "-c", echo], "client": ["python3", "-u", "-c", ask]}
    recording = Recording(run(sessions=[entry], duration="16s"))
    (found,) = recording.sessions
    assert (found.row.outcome, found.row.path) == ("ok", "relay")
    assert output(at("U", "client", recording), recording).split() == [str(turn) for turn in range(8)]
