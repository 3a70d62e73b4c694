"""The message ladders hold against the draft's Figures 2 to 5: who speaks to whom, in which order."""

from __future__ import annotations

import struct
from itertools import groupby
from pathlib import Path

import dns.message
import dns.update
import pytest
from recorded_run import Recorded, scenario
from scapy.layers.inet import UDP
from scapy.packet import Packet, Raw

from dmmlab.experiments import ladders
from dmmlab.experiments.ladders import CONTROL, USER, Ladder
from dmmlab.experiments.layout import node_id
from dmmlab.experiments.rundir import SESSIONS, RunDirectory, read_csv, write_csv
from dmmlab.guest.cache import GuestKernel
from dmmlab.nodes.orders import PROBE_BYTES
from dmmlab.nodes.probe import MAGIC
from dmmlab.nodes.registration.wire import Message, MessageType, Mode, Transport

MN, CN = node_id("MN1"), node_id("CN3")

# The draft's figures, restated: (plane, from, to, what is said), and what answers it. "IP1" is from MR1, "IP2" from
# MR2, the latest one when CN3 opens its session. The resolver stands between CN3 and the DDNS server.
UPDATES = [(CONTROL, "MN1", "DDNS", "update IP1, port 5001, ID"), (CONTROL, "DDNS", "MN1", "updated")]
FIRST = [
    (CONTROL, "CN3", "SERVER", "register CN3's IP, port 5001, ID"),
    (CONTROL, "SERVER", "CN3", "registered"),
    (CONTROL, "MN1", "SERVER", "register IP1, port 5001, ID"),
    (CONTROL, "SERVER", "MN1", "registered"),
    (CONTROL, "MN1", "SERVER", "register IP2, port 5001, ID"),
    (CONTROL, "SERVER", "MN1", "registered"),
]
ASKED = [(CONTROL, "CN3", "SERVER", "service request to MN1")]
PASSED_ON = [
    (CONTROL, "SERVER", "MN1", "service request from CN3"),
    (CONTROL, "MN1", "SERVER", "answer: IP2, port 5001"),
]
ANSWERED = [(CONTROL, "SERVER", "CN3", "answer: IP2, port 5001")]
DIRECT = [(USER, "CN3", "MN1", "first packet to IP2"), (USER, "MN1", "CN3", "answer from IP2")]
DRAFT = {
    "ddns": [
        *UPDATES,
        (USER, "CN1", "MN1", "first packet to IP1"), (USER, "MN1", "CN1", "answer from IP1"),
        (CONTROL, "MN1", "DDNS", "update IP2, port 5001, ID"), (CONTROL, "DDNS", "MN1", "updated"),
        (USER, "CN2", "MN1", "first packet to IP2"), (USER, "MN1", "CN2", "answer from IP2"),
        (CONTROL, "CN3", "RESOLVER", "query"), (CONTROL, "RESOLVER", "DDNS", "query"),
        (CONTROL, "DDNS", "RESOLVER", "answer"), (CONTROL, "RESOLVER", "CN3", "answer"),
        *DIRECT,
    ],
    "p2p": [*FIRST, *ASKED, *ANSWERED, *DIRECT],
    "central": [
        *FIRST, *ASKED, *PASSED_ON, (CONTROL, "SERVER", "CN3", "answer: relay, port 46000"),
        (USER, "CN3", "SERVER", "first packet to relay"), (USER, "SERVER", "MN1", "first packet to IP2"),
        (USER, "MN1", "SERVER", "answer from IP2"), (USER, "SERVER", "CN3", "answer from relay"),
    ],
    "combined": [*FIRST, *ASKED, *PASSED_ON, *ANSWERED, *DIRECT],
}  # fmt: skip


def told(ladder: Ladder) -> list[tuple[str, str, str, str]]:
    """The ladder's steps; two questions (or answers) that go side by side, for port and address, count as one."""

    def words(says: str) -> str:
        kind = says.split(":")[0]
        return kind if ladder.method == "ddns" and kind in ("query", "answer") else says

    steps = [step for section in ladder.sections for step in section.steps]
    return [key for key, _ in groupby((step.plane, step.source, step.destination, words(step.says)) for step in steps)]


def without_port(steps: list[tuple[str, str, str, str]]) -> list[tuple[str, str, str, str]]:
    """The relay's port is the kernel's choice."""
    return [(*step[:3], step[3].split(", port")[0] if "relay" in step[3] else step[3]) for step in steps]


# -- a run made by hand -------------------------------------------------------------------------------------------
def udp(source: int, destination: int, payload: bytes) -> Packet:
    return UDP(sport=source, dport=destination) / Raw(payload)


class Story:
    """The draft's story, once: CN3 opens a session by each method at the same moment."""

    def __init__(self, folder: Path) -> None:
        sessions = [
            {"name": "P1", "at": "2s", "from": "CN1", "to": "MN1"},
            {"name": "P2", "at": "12s", "from": "CN2", "to": "MN1", "anchor": "MR2"},
            {"name": "Px", "at": "15s", "from": "CN3", "to": "MN1", "method": ["ddns", "p2p", "central", "combined"]},
        ]
        links = [link.model_dump(mode="json") for link in scenario().links] + [
            {"between": ["CN2", "CORE"], "delay": "10ms"}
        ]
        self.of = Recorded(folder, scenario(sessions=sessions, links=links))
        self.registrations()
        self.probe(2.0, "CN1", "MN1@MR1", 0)
        self.probe(12.0, "CN2", "MN1@MR2", 1)
        self.ddns()
        for number, mode in ((3, Mode.P2P), (4, Mode.CENTRAL), (5, Mode.COMBINED)):
            self.request(number, mode)

    def probe(self, at_s: float, cn: str, where: str, number: int, ports: tuple[int, int] | None = None) -> None:
        payload = struct.pack("!IIQ", MAGIC, number, 0) + bytes(PROBE_BYTES - 16)
        one, other = ports or (20_000 + number, 5001)
        self.of.packet(at_s, 0.017, cn, where, udp(one, other, payload))
        self.of.packet(at_s + 0.017, 0.017, where, cn, udp(other, one, payload))

    def registrations(self) -> None:
        for turn, (at_s, who, name) in enumerate(
            [(-1.0, "CN3", CN), (0.02, "MN1@MR1", MN), (10.07, "MN1@MR2", MN)], start=1
        ):
            own = (self.of.address[who],)
            asked = Message(MessageType.REGISTER, turn, node=name, addresses=own, port=5001, lifetime_ms=9000)
            self.of.registration(at_s, 0.022, who, "SERVER", asked)
            granted = Message(MessageType.REGISTERED, turn, node=name, lifetime_ms=9000)
            self.of.registration(at_s + 0.022, 0.022, "SERVER", who, granted)
        for at_s, who in ((0.03, "MN1@MR1"), (10.08, "MN1@MR2")):
            update = dns.update.UpdateMessage("mn.dmm.test", id=4)
            update.add(f"{MN}.", 5, "A", self.of.address[who])
            update.add(f"_dmm._udp.{MN}.", 5, "SRV", f"0 0 5001 {MN}.")
            self.of.packet(at_s, 0.022, who, "DDNS", udp(9000, 53, update.to_wire()))
            done = dns.message.make_response(update).to_wire()
            self.of.packet(at_s + 0.022, 0.022, "DDNS", who, udp(53, 9000, done))

    def ddns(self) -> None:
        self.of.event("CN3", 15.0, "lookup_started", session="Px.ddns", attempt=0)
        for turn, (kind, name, data) in enumerate(
            [("SRV", f"_dmm._udp.{MN}", f"0 0 5001 {MN}."), ("A", MN, "10.1.2.100")]
        ):
            asked = dns.message.make_query(f"{name}.", kind, id=50 + turn)
            answer = dns.message.make_response(asked)
            answer.find_rrset(answer.answer, asked.question[0].name, 1, asked.question[0].rdtype, create=True).update(
                dns.rdataset.from_text("IN", kind, 5, data)
            )
            for first, one, other, port in ((15.0, "CN3", "RESOLVER", 700), (15.0111, "RESOLVER", "DDNS", 800)):
                at_s, took_s = first + turn * 1e-5, 0.011 if one == "CN3" else 0.016
                back_s = 15.0433 if one == "CN3" else 15.0272
                self.of.packet(at_s, took_s, one, other, udp(port + turn, 53, asked.to_wire()))
                self.of.packet(back_s + turn * 1e-5, took_s, other, one, udp(53, port + turn, answer.to_wire()))
        self.of.event("CN3", 15.0545, "lookup_ended", session="Px.ddns", attempt=0, cached=False)
        self.probe(15.0546, "CN3", "MN1@MR2", 2)

    def request(self, number: int, mode: Mode) -> None:
        fields = {"mode": mode, "transport": Transport.UDP, "peer_port": 20_000 + number}
        asked = Message(MessageType.SERVICE_REQUEST, number, node=CN, target=MN, **fields)  # type: ignore[arg-type]
        self.of.registration(15.0, 0.025, "CN3", "SERVER", asked)
        at_s, where = (
            15.0251,
            self.of.address["MN1@MR2"],
        )
        if mode is not Mode.P2P:
            passed = Message(MessageType.INCOMING_REQUEST, number, node=MN, target=CN, **fields)  # type: ignore[arg-type]
            agreed = Message(MessageType.INCOMING_ANSWER, number, node=MN, addresses=(where,), port=5001)
            self.of.registration(at_s, 0.022, "SERVER", "MN1@MR2", passed)
            self.of.registration(at_s + 0.0221, 0.022, "MN1@MR2", "SERVER", agreed)
            at_s += 0.0445
        central = mode is Mode.CENTRAL
        told = (self.of.address["SERVER"], 46000) if central else (where, 5001)
        answer = Message(MessageType.SERVICE_ANSWER, number, node=CN, addresses=told[:1], port=told[1])
        self.of.registration(at_s, 0.025, "SERVER", "CN3", answer)
        if not central:
            self.probe(at_s + 0.026, "CN3", "MN1@MR2", number)
            return
        payload = struct.pack("!IIQ", MAGIC, number, 0) + bytes(8)
        hops = [("CN3", "SERVER", 20_004, 46000), ("SERVER", "MN1@MR2", 46001, 5001),
                ("MN1@MR2", "SERVER", 5001, 46001), ("SERVER", "CN3", 46000, 20_004)]  # fmt: skip
        for turn, (one, other, *ports) in enumerate(hops):
            self.of.packet(at_s + 0.026 + turn * 0.026, 0.025, one, other, udp(ports[0], ports[1], payload))

    def write(self) -> RunDirectory:
        run = self.of.write()
        names = ("P1", "P2", "Px.ddns", "Px.p2p", "Px.central", "Px.combined")
        write_csv(run.sessions, SESSIONS, [{"session": name, "outcome": "ok"} for name in names])
        return run


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return Story(tmp_path / "run").write()


@pytest.mark.parametrize("method", DRAFT)
def test_order_and_parties_are_those_of_the_drafts_figure(run: RunDirectory, method: str) -> None:
    ladder = next(ladder for ladder in ladders.ladders(run) if ladder.method == method)
    assert told(ladder) == DRAFT[method]


def test_a_message_out_of_place_is_noticed(tmp_path: Path) -> None:
    story = Story(tmp_path / "run")
    late = Message(MessageType.INCOMING_REQUEST, 9, node=MN, target=CN, mode=Mode.P2P, transport=Transport.UDP,
                   peer_port=20_003)  # fmt: skip
    story.of.registration(15.03, 0.022, "SERVER", "MN1@MR2", late)  # the server must not ask MN1 in mode P2P
    ladder = next(ladder for ladder in ladders.ladders(story.write()) if ladder.method == "p2p")
    assert told(ladder) != DRAFT["p2p"]


def test_times_are_those_of_both_ends(run: RunDirectory) -> None:
    ladder = next(ladder for ladder in ladders.ladders(run) if ladder.method == "combined")
    rows = [row for row in ladder.rows() if row["since"] == "Px.combined"]
    assert [(row["departed_ms"], row["arrived_ms"]) for row in rows[:2]] == [
        ("0.000000", "25.000000"), ("25.100000", "47.100000"),
    ]  # fmt: skip
    assert all(float(str(row["arrived_ms"])) > float(str(row["departed_ms"])) for row in ladder.rows())


def test_a_lost_message_has_no_arrival(tmp_path: Path) -> None:
    story = Story(tmp_path / "run")
    lost = Message(MessageType.SERVICE_REQUEST, 30, node=CN, target=MN, mode=Mode.P2P, transport=Transport.UDP,
                   peer_port=20_003)  # fmt: skip
    story.of.registration(14.9, None, "CN3", "SERVER", lost)
    ladder = next(ladder for ladder in ladders.ladders(story.write()) if ladder.method == "p2p")
    assert ladder.sections[-1].steps[0].arrived_ns is None


def test_files_and_caption(run: RunDirectory, tmp_path: Path) -> None:
    drawn = ladders.write(run, tmp_path / "figures")
    assert [path.name for path in drawn] == [f"ladder-{method}.png" for method in DRAFT]
    for path in drawn:
        assert path.stat().st_size > 10_000 and path.with_suffix(".pdf").stat().st_size > 5_000
        assert f"Figure {ladders.METHODS[path.stem.removeprefix('ladder-')]}" in path.with_suffix(".txt").read_text()
        assert set(read_csv(path.with_suffix(".csv"))[0]) == set(ladders.COLUMNS)


def test_a_method_without_a_session_that_worked_has_no_ladder(run: RunDirectory) -> None:
    rows = [{**row, "outcome": "timeout" if "p2p" in row["session"] else "ok"} for row in read_csv(run.sessions)]
    write_csv(run.sessions, SESSIONS, rows)
    assert [ladder.method for ladder in ladders.ladders(run)] == ["ddns", "central", "combined"]


@pytest.mark.live
def test_a_run_in_the_guest_has_the_drafts_ladders(live_kernel: GuestKernel, tmp_path: Path) -> None:
    from dmmlab.experiments.run import Progress, run_scenario
    from dmmlab.experiments.scenario import load

    short = {
        "name": "ladders",
        "sessions": [
            {"name": "P1", "at": "1s", "from": "CN1", "to": "MN1"},
            {"name": "P2", "at": "3s", "from": "CN2", "to": "MN1", "anchor": "MR2"},
            {"name": "Px", "at": "4s", "from": "CN3", "to": "MN1", "method": list(DRAFT)},
        ],
        "movement": [{"at": "0s", "node": "MN1", "to": "MR1"}, {"at": "2s", "node": "MN1", "to": "MR2"}],
        "duration": "6s",
    }
    run = run_scenario(load("two-mr", short), tmp_path / "run", "guest", "virtual", Progress())
    found = {ladder.method: told(ladder) for ladder in ladders.ladders(run)}
    assert set(found) == set(DRAFT)
    for method, steps in found.items():
        assert without_port(steps) == without_port(DRAFT[method])
