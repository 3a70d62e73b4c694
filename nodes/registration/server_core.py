"""The registration server without input or output (draft 4.2): datagrams and time go in, datagrams and events out.

The shell calls ``receive`` and ``handle_timer``, serves ``next_event``, writes ``take_changes`` to disk and only then
sends ``datagrams_to_send``: an answer never leaves before what it acknowledges is safe.
"""

import heapq
from collections.abc import Iterable, Mapping

from dmmlab.nodes.registration.bindings import Backoff, Binding, Event, Peer, Record
from dmmlab.nodes.registration.replay import Window
from dmmlab.nodes.registration.replies import ANSWER_LIFETIME_NS, Replies
from dmmlab.nodes.registration.requests import Requests
from dmmlab.nodes.registration.wire import Message, MessageType, Reason, WireError, decode, verified

_SPARE = 1024


class ServerCore:
    """Bindings, replay windows and running service requests of all nodes.

    ``keys`` gives each node's key; ``records`` is what an earlier run saved; ``now_ns`` is CLOCK_REALTIME in
    nanoseconds, since bindings outlive the process.
    """

    def __init__(
        self,
        keys: Mapping[str, bytes],
        now_ns: int,
        *,
        records: Iterable[Record] = (),
        relay_address: str | None = None,
        most_lifetime_s: float = 86400.0,
        backoff: Backoff = Backoff(deadline_s=8.0),  # noqa: B008 - frozen
        leg_linger_s: float = 10.0,
    ) -> None:
        self.keys = keys
        self.records = {name: Record(name, Window()) for name in keys}
        self.records |= {record.name: record for record in records if record.name in keys}
        self._most_lifetime_s = most_lifetime_s
        self._expiries: list[tuple[int, str, int]] = []
        self._changed: dict[str, Record] = {}
        self.replies = Replies(keys, self.records)
        self.events = self.replies.events
        self.requests = Requests(self.replies, now_ns, relay_address, backoff, leg_linger_s)
        self._handlers = {
            MessageType.REGISTER: self._register,
            MessageType.DEREGISTER: self._deregister,
            MessageType.KEEPALIVE: self._keepalive,
            MessageType.SERVICE_REQUEST: self.requests.ask,
            MessageType.LEG_OPEN: self.requests.open_leg,
            MessageType.LEG_CLOSE: self.requests.close_leg,
            MessageType.SESSION_CLOSE: self.requests.close_session,
        }
        for record in self.records.values():
            if record.binding is not None:
                self._watch(record, record.binding)
        self.handle_timer(now_ns)

    # ---- what the shell calls

    def receive(self, data: bytes, source: Peer, now_ns: int) -> bool:
        """Take one message as it came from the network; whether a node has signed it."""
        try:
            message = decode(data)
        except WireError as error:
            self.replies.note_stranger(now_ns, source, Reason.MALFORMED, detail=str(error))
            return False
        key = self.keys.get(message.node)
        if key is None:
            self.replies.refuse_unsigned(message, len(data), source, now_ns, Reason.UNKNOWN_NODE)
            return False
        if not verified(data, key):
            self.replies.refuse_unsigned(message, len(data), source, now_ns, Reason.BAD_AUTHENTICATOR)
            return False
        record = self.records[message.node]
        if message.type in (MessageType.INCOMING_ANSWER, MessageType.DECLINED):
            self.requests.answered(record, message, source, now_ns)  # our own sequence numbers guard answers to us
        elif (handler := self._handlers.get(message.type)) is None:
            self.replies.note_stranger(now_ns, source, Reason.MALFORMED, node=message.node, message=message.type.name)
        elif not record.window.accept(message.sequence):
            self._repeated(record, message, len(data), source, now_ns)
        else:
            record.hear(source[1])
            self._changed[record.name] = record
            handler(record, message, source, now_ns)
        return True

    def turn_away(self, data: bytes, source: Peer, now_ns: int) -> None:
        """Refuse a request unread, at a tenth of what it costs to serve it: there are too many. Whoever wants it served
        sends it again.
        """
        if len(data) > 1 and data[1] in self._handlers:
            self.replies.refuse_unread(data, source, now_ns, Reason.OVERLOADED)

    def held(self) -> dict[str, list[str]]:
        """By node, the addresses of its binding, newest first, of those that have one."""
        return {name: list(each.binding.addresses) for name, each in self.records.items() if each.binding is not None}

    def next_event(self) -> Event | None:
        """Return the next thing that happened, or None."""
        return self.events.popleft() if self.events else None

    def take_changes(self) -> list[Record]:
        """Return the records that must be on disk before anything is sent."""
        changed = list(self._changed.values())
        self._changed.clear()
        return changed

    def datagrams_to_send(self) -> list[tuple[bytes, Peer]]:
        """Return, and forget, the messages to send."""
        return self.replies.take_outbox()

    def due_ns(self) -> int | None:
        """Return when ``handle_timer`` is next due, in nanoseconds since the epoch, or None."""
        times = [heap[0][0] for heap in (self._expiries, self.requests.timers) if heap]
        return min(times, default=None)

    def handle_timer(self, now_ns: int) -> None:
        """Expire bindings, repeat our requests, retire legs."""
        while self._expiries and self._expiries[0][0] <= now_ns:
            _, name, sequence = heapq.heappop(self._expiries)
            record = self.records[name]
            if record.binding is not None and record.binding.sequence == sequence and not record.expired:
                record.expired = True
                self.note(now_ns, "expired", node=name, addresses=list(record.binding.addresses))
        self.requests.handle_timer(now_ns)

    def note(self, now_ns: int, name: str, **fields: object) -> None:
        """Add an entry to the event log."""
        self.replies.note(now_ns, name, **fields)

    # ---- messages

    def _register(self, record: Record, message: Message, source: Peer, now_ns: int) -> None:
        asked_ms, old = message.lifetime_ms or 0, record.binding
        if record.newest > message.sequence:
            self.replies.refuse(record, message.sequence, source, now_ns, Reason.SUPERSEDED)
            return
        if asked_ms == 0:
            self.replies.refuse(record, message.sequence, source, now_ns, Reason.MALFORMED, detail="lifetime 0")
            return
        granted_ms = min(asked_ms, int(self._most_lifetime_s * 1e3))
        # Nobody has the server speak to an address from which he has not been heard. (A registration that is sent
        # again after a move says another address than it comes from.)
        told = message.control_port is not None and message.addresses[0] == source[1]
        control = ("udp", source[1], message.control_port or 0) if told else source
        port, expires_ns = message.port or 0, now_ns + granted_ms * 1_000_000
        binding = Binding(message.addresses, port, message.service, control, now_ns, expires_ns, message.sequence)
        binding.services = message.services
        record.binding, record.expired = binding, False
        self._watch(record, binding)
        self.replies.answer(
            record, message.sequence, source, now_ns, Message(MessageType.REGISTERED, 0, lifetime_ms=granted_ms)
        )
        moved = old is None or old.addresses != binding.addresses
        self.note(
            now_ns,
            "registered",
            node=record.name,
            addresses=list(binding.addresses),
            port=port,
            service=binding.service,
            lifetime_s=granted_ms / 1e3,
            refresh=not moved,
        )
        if moved:
            self.requests.moved(record.name, now_ns)

    def _watch(self, record: Record, binding: Binding) -> None:
        heapq.heappush(self._expiries, (binding.expires_ns, record.name, binding.sequence))
        if len(self._expiries) > 2 * len(self.records) + _SPARE:  # of bindings that others have replaced
            held = [(each, each.binding) for each in self.records.values() if each.binding and not each.expired]
            self._expiries = [(bound.expires_ns, each.name, bound.sequence) for each, bound in held if bound]
            heapq.heapify(self._expiries)

    def _deregister(self, record: Record, message: Message, source: Peer, now_ns: int) -> None:
        if record.newest > message.sequence:
            self.replies.refuse(record, message.sequence, source, now_ns, Reason.SUPERSEDED)
            return
        record.binding, record.withdrawn, record.expired = None, message.sequence, False
        self.replies.answer(record, message.sequence, source, now_ns, Message(MessageType.DEREGISTERED, 0))
        self.note(now_ns, "deregistered", node=record.name)

    def _keepalive(self, record: Record, message: Message, source: Peer, now_ns: int) -> None:
        if record.binding is None or record.binding.expires_ns <= now_ns:
            self.replies.refuse(record, message.sequence, source, now_ns, Reason.NOT_REGISTERED)
            return
        left_ms = (record.binding.expires_ns - now_ns) // 1_000_000
        self.replies.answer(
            record, message.sequence, source, now_ns, Message(MessageType.ALIVE, 0, lifetime_ms=left_ms)
        )

    # ---- refusals and repetitions

    def _repeated(self, record: Record, message: Message, request_bytes: int, source: Peer, now_ns: int) -> None:
        """Answer a retransmission as before; refuse a replay: from elsewhere, too late, or overtaken."""
        peer, data, sent_ns = record.answers.get(message.sequence, (None, b"", 0))
        of_binding = message.type in (MessageType.REGISTER, MessageType.DEREGISTER)
        overtaken = of_binding and record.newest > message.sequence
        if peer == source and now_ns - sent_ns <= ANSWER_LIFETIME_NS and not overtaken:
            self.note(now_ns, "repeated", node=record.name, message=message.type.name, sequence=message.sequence)
            self.replies.send(data, source)
        elif not self.requests.waits(record.name, message.sequence, source):
            self.replies.refuse_replay(record, message, request_bytes, source, now_ns)
