"""Finds in a run's messages what belongs to a session, and puts it in the draft's words."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import dns.exception
import dns.message
import dns.rdatatype
import dns.update

from dmmlab.experiments.analysis import signalling
from dmmlab.experiments.analysis.causes.moves import START_UP, SignallingTrace, movement_name
from dmmlab.experiments.analysis.messages import Dhcp, Dns, Message, Names
from dmmlab.experiments.ladders.ladder import CONTROL, FIGURES, START, USER, Ladder, Section, Step
from dmmlab.experiments.methods import METHODS, fixed
from dmmlab.experiments.methods.base import SERVER
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.scenario.identities import node_id
from dmmlab.experiments.scenario.sections.movement import Movement
from dmmlab.experiments.scenario.sessions import SessionSpec
from dmmlab.nodes.probe import MAGIC
from dmmlab.nodes.registration import wire
from dmmlab.nodes.registration.wire import MessageType

_PROBE = struct.Struct("!IIQ")  # how a probe begins: magic, session, sequence number
_REGISTERED = {"dns-update": ("update", "answer"), "registration": ("REGISTER", "REGISTERED")}


def ladders(recording: Recording) -> list[Ladder]:
    """The ladders that a run can show, in the draft's order; none of a method without a session that worked."""
    worked = {session.spec.name for session in recording.sessions if session.row.outcome == "ok"}
    reader = LadderReader(recording)
    chosen = ((method, reader.choose(method, worked)) for method in FIGURES)
    drawn = [reader.ladder(session) for _, session in chosen if session is not None]
    return [*drawn, *filter(None, [reader.registrations(worked)])]


class LadderReader:
    """Finds in a run's messages what belongs to a session, and puts it in the draft's words."""

    def __init__(self, recording: Recording) -> None:
        trace = SignallingTrace.of(recording)
        self._recording, self._trace, self._names = recording, trace, Names(trace.plan)
        self._by_cause: dict[str, list[Message]] = defaultdict(list)
        for message, cause in signalling.attributed(trace):
            self._by_cause[cause].append(message)
        self._copies: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for message in trace.heard:
            if message.at == message.destination:
                self._copies[_identity(message)].append(message.time_ns)

    def choose(self, method: str, worked: set[str]) -> SessionSpec | None:
        """UDP before TCP, after the last movement before the earlier; of a cached method, one that had to ask."""
        moved_s = max(move.over_s for move in self._trace.scenario.moves)
        found = [s for s in self._recording.specs if s.method == method and s.name in worked and s.count]

        def rank(session: SessionSpec) -> tuple[object, ...]:
            messages = self._by_cause[session.name] if METHODS[method].cached else []
            return session.transport != "udp", session.at_s < moved_s, -len(messages), session.at_s

        return min(found, key=rank, default=None)

    def ladder(self, session: SessionSpec) -> Ladder:
        """The ladder of ``session``, with what had to happen before it."""
        node, trace = session.mn, self._trace
        method = METHODS[session.method]
        assert method.draft is not None
        (protocol,) = method.signalling.updates
        mobile = session.cn in trace.scenario.mobile_nodes
        sections = [self._before(session.cn)] if method.draft.registers and not mobile else []
        moves = [move for move in trace.scenario.moves_of(node) if move.at <= session.at_s][-2:]
        own = [move for move in trace.scenario.moves_of(session.cn) if move.at <= session.at_s][-2:]
        for move in sorted([*moves, *(own if method.draft.registers else [])], key=lambda move: move.at):
            sections.append(self._movement(move, protocol))
            if method.draft.opened_before:
                sections += self._opened_there(move, moves, session)
        return Ladder(session.method, session, [s for s in [*sections, self._session(session)] if s.steps])

    def registrations(self, worked: set[str]) -> Ladder | None:
        """What a mobile opener tells the server after each attachment; None if there is none that does."""
        nodes = self._trace.scenario.mobile_nodes
        for session in self._recording.specs:
            if session.cn in nodes and session.name in worked and SERVER in METHODS[session.method].needs:
                moves = self._trace.scenario.moves_of(session.cn)
                sections = [self._movement(move, "registration") for move in moves]
                return Ladder(session.method, session, [s for s in sections if s.steps], of_opener=True)
        return None

    # -- sections -----------------------------------------------------------------------------------------------
    def _before(self, cn: str) -> Section:
        wanted = _REGISTERED["registration"]
        messages = [m for m in self._by_cause[START_UP] if cn in (m.source, m.destination) and m.text in wanted]
        section = Section(f"{cn} registers before the start", START, self._trace.start_ns)
        section.steps += self._steps(messages)
        return section

    def _movement(self, move: Movement, protocol: str) -> Section:
        name = movement_name(move)
        first = move == self._trace.scenario.moves_of(move.node)[0]
        verb = "attaches to" if first else "moves to"
        start_ns = self._trace.start_ns + round(move.at * 1e9)
        section = Section(f"{move.node} {verb} {move.to}, at {move.at:g} s", name, start_ns)
        section.steps += self._steps(
            message
            for message in self._by_cause[name]
            if message.protocol == protocol and message.text in _REGISTERED[protocol]
        )
        return section

    def _opened_there(self, move: Movement, moves: Sequence[Movement], drawn: SessionSpec) -> list[Section]:
        """The draft's P1 and P2: the first session with another host on the address of this attachment."""
        until_s = min((later.at for later in moves if later.at > move.at), default=drawn.at_s)
        for session in self._recording.specs:
            known = session.anchor or self._trace.scenario.moves_of(move.node)[0].to
            opens = session.cn == move.node and session.mn in self._trace.scenario.correspondents
            if (
                session.method == fixed.METHOD.name
                and (opens or (session.mn, known) == (move.node, move.to))
                and move.at <= session.at_s < until_s
                and drawn.cn not in (session.cn, session.mn)
                and session.count
            ):
                return [self._session(session)]
        return []

    def _session(self, session: SessionSpec) -> Section:
        """The session's messages before the first answer of its user plane: what is said on its arrival follows it."""
        trace = self._trace
        section = Section(
            f"{session.cn} opens {session.name} with {session.mn}, at {session.at_s:g} s",
            session.name,
            trace.start_ns + round(session.at_s * 1e9),
        )
        user = self._user_plane(session)
        end_ns = max((step.arrived_ns or step.departed_ns for step in user), default=section.origin_ns + 1)
        control = self._steps(m for m in self._by_cause[session.name] if m.time_ns < end_ns)
        section.steps += sorted([*control, *user], key=lambda step: step.departed_ns)
        return section

    # -- messages -----------------------------------------------------------------------------------------------
    def _steps(self, messages: Iterable[Message]) -> list[Step]:
        return [
            Step(
                CONTROL,
                message.source,
                message.destination,
                message.text,
                self._in_words(message),
                message.time_ns,
                self._arrival(message),
            )
            for message in messages
        ]

    def _arrival(self, message: Message) -> int | None:
        """When the receiver's capture first shows what is the same to the byte, from the departure on."""
        copies = self._copies[_identity(message)]
        return next((copy_ns for copy_ns in copies if copy_ns >= message.time_ns), None)

    def _in_words(self, message: Message) -> str:
        detail = message.detail
        if isinstance(detail, wire.Message):
            return self._registration(message, detail)
        if isinstance(detail, Dns):
            return self._dns(message, detail)
        return message.text

    def _registration(self, message: Message, detail: wire.Message) -> str:
        where = self._where(detail.addresses, detail.port)
        words = {
            MessageType.REGISTER: f"register {where}, ID",
            MessageType.REGISTERED: "registered",
            MessageType.SERVICE_REQUEST: f"service request to {self._named(detail.target)}",
            MessageType.INCOMING_REQUEST: f"service request from {self._named(detail.target)}",
            MessageType.INCOMING_ANSWER: f"answer: {where}",
            MessageType.SERVICE_ANSWER: f"answer: {where}",
            MessageType.LEG_HELLO: "leg hello",
        }
        return words.get(detail.type, message.text.lower())

    def _dns(self, message: Message, detail: Dns) -> str:
        asked = {"SRV": "port (SRV)", "A": "address (A)", "AAAA": "address (AAAA)"}.get(detail.kind, detail.kind)
        if message.protocol == "dns" and not detail.answer:
            return f"query: {asked}"
        addresses, ports = _records(detail.data)
        where = self._where(addresses, ports[0] if ports else None)
        if message.protocol == "dns-update":
            return message.text.replace("answer", "updated") if detail.answer else f"update {where}, ID"
        return f"answer: {where}" if where else message.text

    def _where(self, addresses: Sequence[str], port: int | None) -> str:
        """Addresses in the draft's words: IP1 is from the first mobile router; only the newest is named."""
        words = [self._short(addresses[0])] if addresses else []
        return ", ".join([*words, *([f"port {port}"] if port else [])])

    def _short(self, address: str) -> str:
        for node in self._trace.plan.mobile_nodes:
            for turn, own in enumerate(node.addresses.values(), 1):
                if str(own) == address:
                    return f"{node.name}'s IP{turn}" if self._trace.scenario.peers else f"IP{turn}"
        name = self._names.of(address)
        return "relay" if name == SERVER else f"{name}'s IP" if name != address else address

    def _named(self, identity: str) -> str:
        names = (*self._trace.scenario.mobile_nodes, *self._trace.scenario.correspondents)
        return next((name for name in names if node_id(self._trace.scenario, name) == identity), identity)

    # -- user plane ---------------------------------------------------------------------------------------------
    def _user_plane(self, session: SessionSpec) -> list[Step]:
        """The session's first probe and its answer, on every hop between hosts that have a capture."""
        mark = _PROBE.pack(MAGIC, session.number, 0)
        hosts = [session.cn, session.mn] + [SERVER] * METHODS[session.method].relayed
        stamps: dict[tuple[str, str, int, int], dict[str, int]] = defaultdict(dict)
        for host in hosts:
            for frame in self._recording.frames(host):
                if frame.protocol and mark in frame.payload[:64]:
                    key = (frame.source, frame.destination, *frame.ports)
                    stamps[key].setdefault(host, frame.time_ns)
        steps = [self._hop(session, key, times) for key, times in stamps.items()]
        return sorted((step for step in steps if step is not None), key=lambda step: step.departed_ns)

    def _hop(self, session: SessionSpec, key: tuple[str, str, int, int], times: dict[str, int]) -> Step | None:
        source, destination = self._names.of(key[0]), self._names.of(key[1])
        if source not in times:
            return None
        towards = destination == session.mn or source == session.cn
        own = key[0] if towards else key[1]
        if session.cn in self._names.mobile_nodes and session.mn not in self._names.mobile_nodes:
            says = f"{'first packet from' if towards else 'answer to'} {self._short(own)}"
        else:
            says = f"first packet to {self._short(key[1])}" if towards else f"answer from {self._short(key[0])}"
        return Step(
            USER, source, destination, "probe" if towards else "echo", says, times[source], times.get(destination)
        )


def _identity(message: Message) -> tuple[Any, ...]:
    """What the copies of a message have in common."""
    detail = message.detail
    number: object = None
    if isinstance(detail, wire.Message):
        number = detail.sequence
    elif isinstance(detail, Dns | Dhcp):
        number = detail.transaction
    return message.protocol, message.text, message.peers, message.ports, message.length, number


def _records(data: bytes) -> tuple[list[str], list[int]]:
    """The addresses and the ports in a DNS message's answer, or that an update adds; signatures are not looked at."""
    try:
        message = dns.message.from_wire(data, keyring=False, ignore_trailing=True)
    except dns.exception.DNSException:
        return [], []
    sets = message.update if isinstance(message, dns.update.UpdateMessage) else message.answer
    records = [record for one in sets for record in one]
    kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
    addresses = [r.address for r in records if r.rdtype in kinds and hasattr(r, "address")]
    return addresses, [r.port for r in records if r.rdtype == dns.rdatatype.SRV and hasattr(r, "port")]
