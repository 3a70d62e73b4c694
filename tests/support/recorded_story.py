"""The draft's story as a run directory made by hand: MN1 registers and opens P1, moves, registers and opens P2; then
CN3 opens a session by each method at once.
"""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import dns.message
import dns.rdataset
import dns.update
from recorded_run import START_NS, Recorded, scenario
from scapy.layers.inet import UDP
from scapy.packet import Packet, Raw

from dmmlab.experiments.analysis import signalling
from dmmlab.experiments.records import rows
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rows import HandoverRow, ProbeRow, SessionRow, SignallingRow
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.identities import node_id
from dmmlab.nodes.orders import PROBE_BYTES
from dmmlab.nodes.probe import MAGIC
from dmmlab.nodes.registration.wire import Message, MessageType, Mode, Transport

MN, CN = node_id(scenario(), "MN1"), node_id(scenario(), "CN3")
NAMES = {"P1": "fixed", "P2": "fixed", **{f"Px.{method}": method for method in ("ddns", "p2p", "central", "combined")}}


def udp(source: int, destination: int, payload: bytes) -> Packet:
    return UDP(sport=source, dport=destination) / Raw(payload)


class Story:
    """The draft's story, once: CN3 opens a session by each method at the same moment."""

    def __init__(self, folder: Path) -> None:
        sessions = [
            {"name": "P1", "at": "2s", "from": "MN1", "to": "CN1"},
            {"name": "P2", "at": "12s", "from": "MN1", "to": "CN2"},
            {"name": "Px", "at": "15s", "from": "CN3", "to": "MN1", "method": ["ddns", "p2p", "central", "combined"]},
        ]
        links = [link.model_dump(mode="json") for link in scenario().links] + [
            {"between": ["CN2", "CORE"], "delay": "10ms"}
        ]
        self.of = Recorded(folder, scenario(sessions=sessions, links=links))
        self.registrations()
        self.lookup(0, "MN1", 2.0, 2.0, "CN1")
        self.probe(2.0, "MN1@MR1", "CN1", 0)
        self.lookup(1, "MN1", 12.0, 12.0, "CN2")
        self.probe(12.0, "MN1@MR2", "CN2", 1)
        self.ddns()
        for number, mode in ((3, Mode.P2P), (4, Mode.CENTRAL), (5, Mode.COMBINED)):
            self.request(number, mode)

    def probe(self, at_s: float, opener: str, where: str, number: int, ports: tuple[int, int] | None = None) -> None:
        payload = struct.pack("!IIQ", MAGIC, number, 0) + bytes(PROBE_BYTES - 16)
        one, other = ports or (20_000 + number, 5001)
        self.of.packet(at_s, 0.017, opener, where, udp(one, other, payload))
        self.of.packet(at_s + 0.017, 0.017, where, opener, udp(other, one, payload))

    def lookup(self, number: int, opener: str, start_s: float, end_s: float, where: str) -> None:
        """What the agent of ``opener`` notes of a session whose lookup gave the address of ``where``."""
        about = {"session": list(NAMES)[number], "attempt": 0}
        self.of.event(opener, start_s, "lookup_started", **about)
        found = {"outcome": "ok", "addresses": [self.of.address[where]], "cached": False}
        self.of.event(opener, end_s, "lookup_ended", **about, **found)

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
        self.lookup(2, "CN3", 15.0, 15.0545, "MN1@MR2")
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
        granted_to = (self.of.address["SERVER"], 46000) if central else (where, 5001)
        self.lookup(number, "CN3", 15.0, at_s + 0.026, "SERVER" if central else "MN1@MR2")
        answer = Message(MessageType.SERVICE_ANSWER, number, node=CN, addresses=granted_to[:1], port=granted_to[1])
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
        """The run directory, with tables as a run has them."""
        self.of.event("runner", 10.0, "detached", mn="MN1", to="MR2")
        self.of.event("runner", 10.05, "attached", mn="MN1", to="MR2")
        run = self.of.write()
        recording = Recording(run)
        session = SessionRow(
            transport="udp", cn="CN3", mn="MN1", start_s=15.0, lookup_ms=50.001, connect_ms=34.001, setup_ms=84.002,
            expected_setup_ms=84.0, address="10.1.2.100", anchor="MR2", serving="MR2", path="direct", outcome="ok",
        )  # fmt: skip
        sessions = [replace(session, session=name, method=method) for name, method in NAMES.items()]
        for turn, (cn, router) in enumerate((("CN1", "MR1"), ("CN2", "MR2"))):
            opened = {"cn": "MN1", "mn": cn, "anchor": "", "serving": "", "mn_anchor": router, "mn_serving": router}
            sessions[turn] = replace(sessions[turn], address=self.of.address[cn], **opened)  # type: ignore[arg-type]
        rows.write(run.sessions, SessionRow, sessions)
        rows.write(run.signalling, SignallingRow, signalling.rows(recording))
        rows.write(run.probes, ProbeRow, [ProbeRow(session="P1", seq=0, sent_s=2.0, received_s=2.034, rtt_ms=34.0)])
        move = HandoverRow(
            mn="MN1", from_mr="MR1", to_mr="MR2", detach_s=10.0, attach_s=10.05, address_s=10.06, redirect_s=10.056,
            registered_s=10.12, first_packet_s=10.08, lost_packets=3,
        )  # fmt: skip
        rows.write(run.handovers, HandoverRow, [move])
        with run.events.open("w") as file:
            for event in recording.logged:
                row = {**event, "time_s": (event["time_ns"] - START_NS) / 1e9}
                del row["time_ns"]
                file.write(json.dumps(row) + "\n")
        self.of.finish()
        return run
