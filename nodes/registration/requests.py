"""The service requests of the three modes (draft 4.2.1 to 4.2.3) and the relayed sessions, inside the server's core."""

import heapq
from collections import Counter
from dataclasses import replace
from typing import Any

from dmmlab.nodes.registration.bindings import (
    Backoff,
    LegOpened,
    LegRetired,
    Peer,
    Pending,
    Record,
    RelayReleased,
    RelayWanted,
    Session,
    spell,
)
from dmmlab.nodes.registration.instants import nanoseconds
from dmmlab.nodes.registration.replies import Replies
from dmmlab.nodes.registration.wire import Leg, Message, MessageType, Mode, Reason, Transport, encode

MOST_ASKED = 2000  # requests and relayed sessions of one node at a time
MOST_TIMERS = 4096


class Requests:
    """Every request that waits for its MN, and every session on the relay."""

    def __init__(
        self, replies: Replies, now_ns: int, relay_address: str | None, backoff: Backoff, leg_linger_s: float
    ) -> None:
        self._replies, self.relay_address = replies, relay_address
        self._backoff, self._leg_linger_ns = backoff, nanoseconds(leg_linger_s)
        self._sequence = now_ns  # never used twice, even after a restart
        self._pending: dict[int, Pending] = {}
        self._running: dict[tuple[str, int], int] = {}
        self.sessions: dict[int, Session] = {}
        self.timers: list[tuple[int, int, tuple[str, int] | tuple[()]]] = []
        self._unsent: dict[int, Message] = {}
        self._asked: Counter[str] = Counter()  # by node: what it has asked for, and is not over

    # ---- Req1: CN to server

    def ask(self, record: Record, message: Message, source: Peer, now_ns: int) -> None:
        """Serve a CN's *service request to MN*."""
        assert message.mode is not None and message.transport is not None  # as the table of messages has it
        mode, transport = message.mode, message.transport
        fields: dict[str, Any] = {"target": message.target, "mode": mode.name.lower()}
        refusal = self._unwilling(record, message, now_ns)
        if refusal is not None:
            self._replies.refuse(record, message.sequence, source, now_ns, refusal, **fields)
            return
        self._replies.note(now_ns, "service_requested", node=record.name, transport=transport.name.lower(), **fields)
        binding = self._replies.records[message.target].binding
        assert binding is not None
        if mode is Mode.P2P:
            port, service = binding.port_of(message.service) or 0, message.service or binding.service
            self._answer(record, message.sequence, source, now_ns, binding.addresses, port, service)
            return
        self._ask_mn(record, message, source, now_ns)

    def _ask_mn(self, record: Record, message: Message, source: Peer, now_ns: int) -> None:
        """Pass the request on to the MN; in central mode, once there is a relay."""
        assert message.mode is not None and message.transport is not None
        self._sequence += 1
        number = self._sequence
        pending = Pending(
            record.name, message.sequence, source, message.target, message.mode, None, b"", self._backoff.first_s,
            now_ns + nanoseconds(self._backoff.deadline_s),
        )  # fmt: skip
        self._pending[number] = pending
        self._asked[record.name] += 1
        self._running[record.name, message.sequence] = number
        ours = replace(
            message, type=MessageType.INCOMING_REQUEST, sequence=number, node=message.target, target=record.name
        )
        if message.mode is Mode.COMBINED:
            self._forward(number, pending, ours, now_ns)
            return
        pending.session = ours.session = number
        # Who announces no address uses the one that it asks from.
        peer = (message.peer_address, message.peer_port or 0) if message.peer_address else (source[1], 0)
        self.sessions[number] = Session(number, record.name, message.target, message.transport, peer)
        self._unsent[number] = ours
        self._replies.events.append(RelayWanted(number, message.transport, peer))

    def _unwilling(self, record: Record, message: Message, now_ns: int) -> Reason | None:
        own, target = record.binding, self._replies.records.get(message.target)
        if own is None or own.expires_ns <= now_ns:
            return Reason.NOT_REGISTERED
        if target is None:
            return Reason.UNKNOWN_TARGET
        binding = target.binding
        if binding is None:
            return Reason.TARGET_NOT_REGISTERED
        if binding.expires_ns <= now_ns:
            return Reason.TARGET_EXPIRED
        if binding.port_of(message.service) is None:
            return Reason.UNKNOWN_SERVICE
        return self._unable(record, message)

    def _unable(self, record: Record, message: Message) -> Reason | None:
        if message.mode is Mode.CENTRAL and self.relay_address is None:
            return Reason.NO_RELAY
        if message.mode is not Mode.P2P and self._asked[record.name] >= MOST_ASKED:
            return Reason.OVERLOADED
        return None

    def relay_ready(self, number: int, port: int, leg_port: int, now_ns: int) -> None:
        """Take the ports of the relay that was asked for, the CN's side and the MN's, of a session that is wanted."""
        session = self.sessions[number]
        session.port, session.leg_port = port, leg_port
        pending = self._pending[number]
        assert self.relay_address is not None
        ours = self._unsent.pop(number)
        ours.addresses, ours.port = (self.relay_address,), leg_port
        self._forward(number, pending, ours, now_ns)

    def relay_failed(self, number: int, now_ns: int) -> None:
        """Refuse the request whose relay could not be opened."""
        del self._unsent[number]
        self._fail(number, now_ns, Reason.NO_RELAY)

    # ---- Req2: server to MN

    def _forward(self, number: int, pending: Pending, ours: Message, now_ns: int) -> None:
        pending.data = encode(ours, self._replies.keys[pending.target])
        self._send(pending, now_ns)
        heapq.heappush(self.timers, (now_ns + nanoseconds(pending.wait_s), number, ()))

    def _send(self, pending: Pending, now_ns: int) -> None:
        """Send, or repeat, our request to wherever the MN is registered by now."""
        binding = self._replies.records[pending.target].binding
        if binding is None:
            return
        pending.attempts += 1
        self._replies.note(
            now_ns, "request_forwarded", node=pending.target, requester=pending.requester,
            to=spell(binding.control), attempt=pending.attempts,
        )  # fmt: skip
        self._replies.send(pending.data, binding.control)

    def moved(self, name: str, now_ns: int) -> None:
        """The node has a new address: repeat at once what waits for its answer."""
        for pending in self._pending.values():
            if pending.target == name and pending.data:
                self._send(pending, now_ns)

    def waits(self, name: str, sequence: int, source: Peer) -> bool:
        """Whether this is a repetition of a request that still waits for the MN."""
        number = self._running.get((name, sequence))
        return number is not None and self._pending[number].source == source

    def answered(self, mn: Record, message: Message, source: Peer, now_ns: int) -> None:
        """Take the answer of ``mn`` to our request, and answer the CN."""
        pending = self._pending.get(message.sequence)
        if pending is None or pending.target != mn.name:
            return  # a repetition, or late: the CN has its answer already
        mn.hear(source[1])
        foreign = pending.session is not None and message.addresses[:1] and message.addresses[0] not in mn.hosts
        if foreign:
            self._replies.note_refusal(now_ns, source, Reason.FOREIGN_ADDRESS, node=mn.name, session=pending.session)
        if foreign or message.type is MessageType.DECLINED:
            self._fail(message.sequence, now_ns, Reason.DECLINED)
            return
        self._finish(message.sequence)
        addresses, port = message.addresses, message.port or 0
        if pending.session is not None:
            session = self.sessions[pending.session]
            if not session.legs:  # else it has moved since it first gave this answer, and has opened a newer one
                leg = ("udp", addresses[0], port)
                self._add_leg(session, (addresses[0], port), message.leg or Leg.PLAIN, leg, message, now_ns)
            assert self.relay_address is not None
            addresses, port = (self.relay_address,), session.port
        record = self._replies.records[pending.requester]
        self._answer(record, pending.request, pending.source, now_ns, addresses, port, message.service, pending.session)

    def _answer(
        self, record: Record, request: int, peer: Peer, now_ns: int, addresses: tuple[str, ...], port: int,
        service: str, session: int | None = None,
    ) -> None:  # fmt: skip
        answer = Message(
            MessageType.SERVICE_ANSWER, 0, addresses=addresses, port=port, service=service, session=session
        )
        self._replies.answer(record, request, peer, now_ns, answer)
        self._replies.note(now_ns, "service_answered", node=record.name, addresses=list(addresses), port=port)

    def _finish(self, number: int) -> Pending:
        pending = self._pending.pop(number)
        del self._running[pending.requester, pending.request]
        if pending.session is None:
            self._asked[pending.requester] -= 1
        return pending

    def _fail(self, number: int, now_ns: int, reason: Reason) -> None:
        pending = self._finish(number)
        record = self._replies.records[pending.requester]
        self._replies.refuse(record, pending.request, pending.source, now_ns, reason, target=pending.target)
        if pending.session is not None:
            self.release(pending.session, now_ns, reason.name.lower())

    # ---- relayed sessions

    def _add_leg(
        self, session: Session, address: tuple[str, int], leg: Leg, source: Peer, message: Message, now_ns: int
    ) -> None:
        if address in session.legs:
            session.legs.remove(address)
        session.retire_ns.pop(address, None)
        for old in session.legs:
            if old not in session.retire_ns:
                session.retire_ns[old] = now_ns + self._leg_linger_ns
                heapq.heappush(self.timers, (session.retire_ns[old], session.number, old))
                if len(self.timers) > MOST_TIMERS and len(self.timers) > 4 * (len(self._pending) + len(self.sessions)):
                    self._forget_timers()
        session.legs.append(address)
        self._replies.events.append(
            LegOpened(session.number, address, leg, source, message.offset or 0, message.sequence)
        )
        self._replies.note(
            now_ns, "leg_opened", session=session.number, node=session.target, address=spell(address),
            legs=len(session.legs),
        )  # fmt: skip

    def _forget_timers(self) -> None:
        """Of legs that have another time by now, and of requests that are answered."""
        self.timers = [
            (due_ns, number, leg)
            for due_ns, number, leg in self.timers
            if (leg and number in self.sessions and self.sessions[number].retire_ns.get(leg) == due_ns)
            or (not leg and number in self._pending)
        ]
        heapq.heapify(self.timers)

    def _session_of(self, record: Record, message: Message, source: Peer, now_ns: int) -> Session | None:
        session = self.sessions.get(message.session or 0)
        owners = [] if session is None else [session.target, session.requester]
        if message.type is not MessageType.SESSION_CLOSE:
            owners = owners[:1]  # the legs are the MN's
        if session is None or record.name not in owners:
            fields: dict[str, Any] = {"session": message.session}
            self._replies.refuse(record, message.sequence, source, now_ns, Reason.UNKNOWN_SESSION, **fields)
            return None
        return session

    def open_leg(self, record: Record, message: Message, source: Peer, now_ns: int) -> None:
        """Take the MN's newest user plane of a session; the older ones stay until their timer retires them."""
        session = self._session_of(record, message, source, now_ns)
        if session is None:
            return
        address = (message.addresses[0], message.port or 0)
        if address[0] not in record.hosts:
            fields: dict[str, Any] = {"session": session.number}
            self._replies.refuse(record, message.sequence, source, now_ns, Reason.FOREIGN_ADDRESS, **fields)
            return
        assert self.relay_address is not None
        answer = Message(
            MessageType.LEG_OPENED, 0, session=session.number, addresses=(self.relay_address,), port=session.leg_port
        )
        if source[0] == "leg":  # the stream itself: the relay answers, as only it knows the offset
            self._add_leg(session, address, Leg.RESUMABLE, source, message, now_ns)
            return
        self._add_leg(session, address, message.leg or Leg.PLAIN, source, message, now_ns)
        self._replies.answer(record, message.sequence, source, now_ns, answer)

    def close_leg(self, record: Record, message: Message, source: Peer, now_ns: int) -> None:
        """Retire one of the MN's user planes, unless it is the only one."""
        session = self._session_of(record, message, source, now_ns)
        if session is None:
            return
        self._retire(session, (message.addresses[0], message.port or 0), now_ns, "closed")
        closed = Message(MessageType.LEG_CLOSED, 0, session=session.number)
        self._replies.answer(record, message.sequence, source, now_ns, closed)

    def close_session(self, record: Record, message: Message, source: Peer, now_ns: int) -> None:
        """End a session at the wish of either side."""
        session = self._session_of(record, message, source, now_ns)
        if session is not None:
            self.release(session.number, now_ns, "closed", closer=record.name)
            closed = Message(MessageType.SESSION_CLOSED, 0, session=session.number)
            self._replies.answer(record, message.sequence, source, now_ns, closed)

    def release(self, number: int, now_ns: int, why: str, closer: str = "") -> None:
        """Forget the session, have its relay closed, and tell the MN unless it is the ``closer``."""
        if (session := self.sessions.pop(number, None)) is not None:
            self._asked[session.requester] -= 1
            self._unsent.pop(number, None)
            if number in self._pending:  # closed before its MN has answered
                self._fail(number, now_ns, Reason.DECLINED)
            self._replies.events.append(RelayReleased(number))
            self._replies.note(now_ns, "relay_closed", session=number, reason=why)
            if closer != session.target and session.legs and session.transport is Transport.UDP:
                self._tell_ended(session)

    def _tell_ended(self, session: Session) -> None:
        """The MN opens no more legs for it. Nothing answers this: where it is lost, the next leg is refused.

        A stream's end tells it by itself; a datagram socket has none.
        """
        binding = self._replies.records[session.target].binding
        if binding is not None:
            self._sequence += 1
            ended = Message(MessageType.SESSION_ENDED, self._sequence, node=session.target, session=session.number)
            self._replies.send(encode(ended, self._replies.keys[session.target]), binding.control)

    def _retire(self, session: Session, address: tuple[str, int], now_ns: int, why: str) -> None:
        if address in session.legs[:-1]:
            session.legs.remove(address)
            session.retire_ns.pop(address, None)
            self._replies.events.append(LegRetired(session.number, address))
            self._replies.note(now_ns, "leg_retired", session=session.number, address=spell(address), reason=why)

    def is_requester(self, number: int, host: str) -> bool:
        """Whether who asked for the session has been heard from this address."""
        session = self.sessions.get(number)
        return session is not None and host in self._replies.records[session.requester].hosts

    def sign(self, number: int, message: Message) -> bytes:
        """Return a message of the relay to the MN of a session; without a sequence number it gets one of ours."""
        target = self.sessions[number].target
        if message.sequence == 0:
            self._sequence += 1
            message.sequence = self._sequence
        message.node, message.session = target, number
        return encode(message, self._replies.keys[target])

    # ---- time

    def handle_timer(self, now_ns: int) -> None:
        """Repeat what is unanswered, give up what is too old, retire legs."""
        while self.timers and self.timers[0][0] <= now_ns:
            _, number, leg = heapq.heappop(self.timers)
            if leg:
                session = self.sessions.get(number)
                retire_ns = None if session is None else session.retire_ns.get(leg)
                if session is not None and retire_ns is not None and retire_ns <= now_ns:
                    self._retire(session, leg, now_ns, "timer")
                continue
            pending = self._pending.get(number)
            if pending is None:
                continue
            if now_ns >= pending.deadline_ns:
                self._fail(number, now_ns, Reason.UNREACHABLE)
                continue
            self._send(pending, now_ns)
            pending.wait_s = self._backoff.after(pending.wait_s)
            due_ns = min(now_ns + nanoseconds(pending.wait_s), pending.deadline_ns)
            heapq.heappush(self.timers, (due_ns, number, ()))
