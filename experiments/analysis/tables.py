"""From a run's raw records to its tables: events, probes, handovers, sessions.

A function of files: it reads ``run.json``, ``log/`` and ``capture/`` and can be repeated at any time. Every time in a
table is that of a kernel's capture stamp or of an event; nothing is assumed.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dmmlab.experiments.analysis import signalling, validity
from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import SERVER
from dmmlab.experiments.oracle.expectation import Expectation, Oracle
from dmmlab.experiments.records import packets
from dmmlab.experiments.records.rundir import HANDOVERS, PROBES, SESSIONS, SIGNALLING, RunDirectory, write_csv
from dmmlab.experiments.runner import clockwatch
from dmmlab.experiments.scenario.load import parse
from dmmlab.experiments.scenario.model import Movement, Scenario
from dmmlab.experiments.scenario.network import network_plan
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of
from dmmlab.nodes.orders import BULK_PORT, ECHO_PORT, FIRST_LOCAL_PORT, MOST_SESSIONS, PROBE_BYTES
from dmmlab.topologies.plan import NetworkPlan

Event = dict[str, Any]
_SEQUENCE_AT = 8  # of a probe: after magic and session, 8 bytes


class RecordError(Exception):
    """The raw records cannot be used; one sentence: why."""


@dataclass
class Flow:
    """What one host's capture shows of one session: ns of the first packet out, of the first payload in, of probes."""

    opened_ns: int | None = None
    answered_ns: int | None = None
    sent_ns: dict[int, int] = field(default_factory=dict)
    received_ns: dict[int, int] = field(default_factory=dict)
    _isn: dict[bool, int] = field(default_factory=dict)

    def add(self, packet: packets.Packet, outgoing: bool) -> None:
        if outgoing and self.opened_ns is None:
            self.opened_ns = packet.time_ns
        if packet.protocol == packets.TCP:
            self._add_segment(packet, outgoing)
        elif packet.payload_bytes >= PROBE_BYTES:
            number = int.from_bytes(packet.payload[_SEQUENCE_AT : _SEQUENCE_AT + 8], "big")
            (self.sent_ns if outgoing else self.received_ns).setdefault(number, packet.time_ns)
        if not outgoing and self.answered_ns is None and packet.payload_bytes:
            self.answered_ns = packet.time_ns

    def _add_segment(self, packet: packets.Packet, outgoing: bool) -> None:
        """Record n of a stream is sent with the segment that first holds its first byte, and received with the one
        that holds its last."""
        if packet.flags & packets.SYN:
            self._isn[outgoing] = packet.sequence
        if not packet.payload_bytes or outgoing not in self._isn:
            return
        start = (packet.sequence - self._isn[outgoing] - 1) % 2**32
        end = start + packet.payload_bytes
        if outgoing:
            for number in range(-(-start // PROBE_BYTES), -(-end // PROBE_BYTES)):
                self.sent_ns.setdefault(number, packet.time_ns)
        else:
            for number in range(start // PROBE_BYTES, end // PROBE_BYTES):
                if start <= (number + 1) * PROBE_BYTES - 1 < end:
                    self.received_ns.setdefault(number, packet.time_ns)


@dataclass(frozen=True)
class Raw:
    """All that a run left, in memory."""

    scenario: Scenario
    plan: NetworkPlan
    start_ns: int
    events: list[Event]
    flows: dict[int, Flow]
    at_mn: dict[str, list[packets.Packet]]

    def since_start(self, time_ns: int) -> float:
        return round((time_ns - self.start_ns) / 1e9, 9)

    @cached_property
    def _by_kind(self) -> dict[tuple[str, str], list[Event]]:
        kinds = defaultdict(list)
        for row in self.events:
            kinds[row["source"], row["event"]].append(row)
        return kinds

    def find(self, source: str, event: str, **fields: object) -> list[Event]:
        return [row for row in self._by_kind.get((source, event), ()) if fields.items() <= row.items()]


def reduce(run: RunDirectory) -> None:
    """Writes ``events.jsonl`` and the tables. Raises RecordError if the raw records do not allow it."""
    raw = _load(run)
    with run.events.open("w") as file:
        for event in raw.events:
            row = {"time_s": raw.since_start(event["time_ns"]), **event}
            del row["time_ns"]
            file.write(json.dumps(row) + "\n")
    sessions = sessions_of(raw.scenario)
    write_csv(run.probes, PROBES, _probes(raw, sessions))
    write_csv(run.handovers, HANDOVERS, _handovers(raw, sessions))
    expected = Oracle(raw.scenario)
    write_csv(run.sessions, SESSIONS, (_session(raw, session, expected.of(session)) for session in sessions))
    write_csv(run.signalling, SIGNALLING, signalling.rows(run))


def problems(run: RunDirectory) -> list[str]:
    """What makes a run invalid: packets that a capture lost, a machine that did not keep time, paths that were not
    what is configured."""
    found = []
    for log in sorted(run.log.glob("tcpdump-*.log")):
        dropped = re.search(r"(\d+) packets dropped by kernel", log.read_text())
        if dropped is None:
            found.append(f"{log.stem}: the capture did not end properly")
        elif int(dropped[1]):
            found.append(f"{log.stem}: {dropped[1]} packets were not captured")
    return [*found, *clockwatch.problems(run), *validity.problems(run)]


def _load(run: RunDirectory) -> Raw:
    scenario = parse(run.manifest()["scenario"], str(run.run_json))
    plan = network_plan(scenario)
    events = _events(run, plan)
    started = next((event for event in events if event["event"] == "scenario_started"), None)
    if started is None:
        raise RecordError("the scenario never started")
    flows: dict[int, Flow] = defaultdict(Flow)
    for host in scenario.correspondents:
        own = str(plan.host(host).address.ip)
        for packet in packets.read(run.pcap(host)):
            outgoing = packet.source == own
            local = packet.source_port if outgoing else packet.destination_port
            if FIRST_LOCAL_PORT <= local < FIRST_LOCAL_PORT + MOST_SESSIONS:
                flows[local - FIRST_LOCAL_PORT].add(packet, outgoing)
    at_mn = {node: list(packets.read(run.pcap(node))) for node in scenario.mobile_nodes}
    return Raw(scenario, plan, started["time_ns"], events, flows, at_mn)


def _events(run: RunDirectory, plan: NetworkPlan) -> list[Event]:
    """Everybody's events in one order, mobile nodes under their names instead of the MACs that the controller sees."""
    names = {node.mac: node.name for node in plan.mobile_nodes}
    events: list[Event] = []
    for file in sorted(run.log.glob("*.events.jsonl")):
        for line in file.read_text().splitlines():
            event = json.loads(line)
            if event.get("mn") in names:
                event["mn"] = names[event["mn"]]
            events.append(event)
    return sorted(events, key=lambda event: event["time_ns"])


def _probes(raw: Raw, sessions: Iterable[SessionSpec]) -> Iterable[Mapping[str, object]]:
    for session in sessions:
        flow = raw.flows.get(session.number, Flow())
        for number in range(session.count):
            sent_ns, received_ns = flow.sent_ns.get(number), flow.received_ns.get(number)
            row: dict[str, object] = {"session": session.name, "seq": number}
            if sent_ns is not None:
                row["sent_s"] = f"{raw.since_start(sent_ns):.9f}"
                if received_ns is not None:
                    row["received_s"] = f"{raw.since_start(received_ns):.9f}"
                    row["rtt_ms"] = f"{(received_ns - sent_ns) / 1e6:.6f}"
            yield row


def _handovers(raw: Raw, sessions: list[SessionSpec]) -> Iterable[Mapping[str, object]]:
    for node in raw.scenario.mobile_nodes:
        moves = raw.scenario.moves_of(node)
        for turn in range(1, len(moves)):
            until_s = moves[turn + 1].at if turn + 1 < len(moves) else raw.scenario.duration + 60
            yield _handover(raw, sessions, moves[turn - 1], moves[turn], until_s)


def _handover(
    raw: Raw, sessions: list[SessionSpec], before: Movement, move: Movement, until_s: float
) -> Mapping[str, object]:
    node = move.node
    start_ns, end_ns = raw.start_ns + round(move.at * 1e9), raw.start_ns + round(until_s * 1e9)

    def first(source: str, event: str, last: bool = False, **fields: object) -> str:
        times = [row["time_ns"] for row in raw.find(source, event, **fields) if start_ns <= row["time_ns"] < end_ns]
        return f"{raw.since_start(times[-1 if last else 0]):.9f}" if times else ""

    attach = first("runner", "attached", mn=node)
    attach_ns = raw.start_ns + round(float(attach or "inf") * 1e9) if attach else end_ns
    arrived = (
        packet.time_ns
        for packet in raw.at_mn[node]
        if attach_ns <= packet.time_ns < end_ns and packet.destination_port in (ECHO_PORT, BULK_PORT)
    )
    first_packet_ns = next(arrived, None)
    return {
        "mn": node,
        "from_mr": before.to,
        "to_mr": move.to,
        "detach_s": first("runner", "detached", mn=node),
        "attach_s": attach,
        "address_s": first(node, "address_configured"),
        "redirect_s": first("controller", "redirect_confirmed", last=True, mn=node),
        "registered_s": max((first(node, event) for event in ("registered", "zone_updated")), default=""),
        "first_packet_s": "" if first_packet_ns is None else f"{raw.since_start(first_packet_ns):.9f}",
        "lost_packets": _lost(raw, sessions, node, start_ns, end_ns),
    }


def _lost(raw: Raw, sessions: list[SessionSpec], node: str, start_ns: int, end_ns: int) -> int:
    """Probes to ``node`` that were never answered and that the move may have cost: those sent since it began, and
    those that were under way then."""
    lost = 0
    for session in sessions:
        if session.mn != node or session.number not in raw.flows or session.size is not None:
            continue  # a bulk transfer has no probes
        flow = raw.flows[session.number]
        longest_ns = max((ns - flow.sent_ns[n] for n, ns in flow.received_ns.items() if n in flow.sent_ns), default=0)
        lost += sum(
            start_ns - longest_ns <= sent_ns < end_ns - longest_ns
            for number, sent_ns in flow.sent_ns.items()
            if number not in flow.received_ns
        )
    return lost


def _session(raw: Raw, session: SessionSpec, expected: Expectation | None) -> Mapping[str, object]:
    """One row: what the session was, what it took, and what it should have taken."""
    entry, flow = session.entry, raw.flows.get(session.number, Flow())
    lookups = raw.find(entry.from_, "lookup_ended", session=session.name)
    chosen = [row["address"] for row in raw.find(entry.from_, "address_chosen", session=session.name)]
    found = [row["addresses"][0] for row in lookups if row["addresses"]]
    address = (chosen or found or [""])[-1]
    row: dict[str, object] = {
        "session": session.name,
        "method": session.method,
        "transport": session.transport,
        "cn": entry.from_,
        "mn": entry.to,
        "start_s": f"{session.at_s:.9f}",
        "address": address,
        "anchor": _anchor_of(raw.plan, address),
        "serving": _serving_at(raw, entry.to, raw.start_ns + round(session.at_s * 1e9)),
        "path": "none",
        "outcome": lookups[-1]["outcome"] if lookups and lookups[-1]["outcome"] != "ok" else "timeout",
    }
    if expected is not None:
        row["expected_setup_ms"] = f"{expected.setup_s * 1e3:.6f}"
    if flow.opened_ns is None or flow.answered_ns is None:
        return row
    row |= _delays(raw, session, flow.opened_ns, flow.answered_ns, retried=len(lookups) > 1)
    return row | {
        "path": _path(raw, session, address, flow.opened_ns),
        "outcome": "retried" if len(lookups) > 1 else "ok",
    }


def _delays(raw: Raw, session: SessionSpec, opened_ns: int, answered_ns: int, retried: bool) -> dict[str, object]:
    """``lookup`` as the agent saw it, ``connect`` between capture stamps, ``setup`` their sum.

    Of a session that was retried, ``setup`` lasts from its start to the first answer and ``connect`` is all of it
    that was not spent on lookups: waiting in vain, mostly.
    """
    starts = raw.find(session.cn, "lookup_started", session=session.name)
    ends = raw.find(session.cn, "lookup_ended", session=session.name)
    lookup_ms = sum(end["time_ns"] - start["time_ns"] for start, end in zip(starts, ends, strict=False)) / 1e6
    setup_ms = (answered_ns - starts[0]["time_ns"]) / 1e6
    connect_ms = setup_ms - lookup_ms if retried else (answered_ns - opened_ns) / 1e6
    return {
        "lookup_ms": f"{lookup_ms:.6f}",
        "connect_ms": f"{connect_ms:.6f}",
        "setup_ms": f"{lookup_ms + connect_ms:.6f}",
    }


def _anchor_of(plan: NetworkPlan, address: str) -> str:
    owners = (router for node in plan.mobile_nodes for router, own in node.addresses.items() if str(own) == address)
    return next(owners, "")


def _serving_at(raw: Raw, node: str, time_ns: int) -> str:
    """Where the runner had attached ``node`` by then; empty while it was detached."""
    serving = ""
    for row in raw.events:
        if row["time_ns"] > time_ns:
            break
        if row["source"] == "runner" and row.get("mn") == node:
            serving = row["to"] if row["event"] == "attached" else ""
    return serving


def _path(raw: Raw, session: SessionSpec, address: str, since_ns: int) -> str:
    """By which router's hand the session's first packet reached the mobile node, as its frame's source MAC tells."""
    if METHODS[session.method].relayed:
        return "relay" if address == str(raw.plan.host(SERVER).address.ip) else "none"
    routers = {router.access_mac: router.name for router in raw.plan.mobile_routers}
    for packet in raw.at_mn[session.mn]:
        ours = packet.source_port == FIRST_LOCAL_PORT + session.number and packet.destination == address
        if ours and packet.time_ns >= since_ns:
            serving = _serving_at(raw, session.mn, packet.time_ns)
            return "direct" if routers.get(packet.from_mac) == serving else "redirect"
    return "none"
