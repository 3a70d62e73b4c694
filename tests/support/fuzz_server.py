"""The registration server's core under well-signed, badly signed and broken messages in any order, at any time."""

from __future__ import annotations

import random

from dmmlab.nodes.registration.bindings import MOST_HOSTS, Peer, Record, RelayWanted
from dmmlab.nodes.registration.replies import ANSWERS_KEPT
from dmmlab.nodes.registration.requests import MOST_ASKED, MOST_TIMERS
from dmmlab.nodes.registration.server_core import ServerCore
from dmmlab.nodes.registration.wire import (
    ATTRIBUTES,
    REQUIRED,
    SEQUENCE_LIMIT,
    Leg,
    Message,
    MessageType,
    Mode,
    Reason,
    Transport,
    WireError,
    decode,
    encode,
    verified,
)

KEYS = {name: name.encode() * 8 for name in ("mn1", "mn2", "cn3", "cn4")}
EPOCH_NS = 1_704_067_217_123_456_789
HOSTS = ("10.1.0.2", "10.2.0.2", "2001:db8::2", "10.9.0.9")
VALUES: dict[str, tuple[object, ...]] = {
    "text": ("mn1", "mn2", "cn3", "cn4", "echo", "x" * 255),
    "address": HOSTS,
    "u16": (0, 7, 65535),
    "u32": (0, 1, 10**5, 10**6, 2**32 - 1),
    "u64": (0, 2**64 - 1),
    "mode": tuple(Mode),
    "transport": tuple(Transport),
    "reason": tuple(Reason),
    "leg": tuple(Leg),
    "service": (("echo", 7), ("x" * 20, 0)),
}
ANSWERS = (MessageType.INCOMING_ANSWER, MessageType.DECLINED)
LIKELY = (
    *[MessageType.REGISTER] * 3, *[MessageType.SERVICE_REQUEST] * 4, *[MessageType.LEG_OPEN] * 4,
    MessageType.SESSION_CLOSE, MessageType.LEG_CLOSE, MessageType.DEREGISTER, MessageType.KEEPALIVE,
)  # fmt: skip


class Stepper:
    """A server, what it has on disk, and what has been sent to it: :meth:`step` does something to it, and looks."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now_ns = EPOCH_NS
        self.disk: dict[str, Record] = {}
        self.sent: list[tuple[bytes, Peer]] = []
        self.sequences = dict.fromkeys(KEYS, EPOCH_NS)
        self.highest = dict.fromkeys(KEYS, 0)
        self.ports = 30_000
        self.core = self._core()

    def _core(self) -> ServerCore:
        return ServerCore(KEYS, self.now_ns, records=list(self.disk.values()), relay_address="10.0.0.5")

    def step(self) -> None:
        """One message, or time, or a restart."""
        rng = self.rng
        drawn = rng.random()
        if drawn < 0.0005:
            self.core = self._core()
        elif drawn < 0.1:
            self.now_ns += round(rng.choice((0, 1e-9, 0.1, 0.1, 0.5, 0.5, 2, 2, 20, 3600)) * 1e9)
            self.core.handle_timer(self.now_ns)
        elif drawn < 0.2 and self.sent:
            data, source = rng.choice(self.sent)
            self.core.receive(data, source if rng.random() < 0.7 else self._source(), self.now_ns)
        elif drawn < 0.3:
            broken = bytearray(rng.choice(self.sent)[0]) if self.sent else bytearray(b"x" * 60)
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
            self.core.receive(bytes(broken), self._source(), self.now_ns)
        else:
            self._message()
        self._settle()

    def _source(self, host: str | None = None) -> Peer:
        kind = self.rng.choice(("udp", "udp", "udp", "tcp", "leg"))
        return kind, host or self.rng.choice(HOSTS), self.rng.randint(1, 3)

    def _message(self) -> None:
        rng = self.rng
        node = rng.choice(tuple(KEYS))
        kind = rng.choice(LIKELY) if rng.random() < 0.8 else rng.choice(tuple(MessageType))
        self.sequences[node] += rng.choice((0, 1, 1, 1, 1, 2, 70))
        message = Message(kind, self.sequences[node], node=node)
        for row in ATTRIBUTES[1:]:
            if row.name in REQUIRED[kind] or rng.random() < 0.2:
                value = rng.choice(VALUES[row.kind.name])
                setattr(message, row.name, (value,) * rng.choice((1, 1, 2, 16)) if row.many else value)
        known = [*self.core.requests.sessions, *self.core.requests._pending]
        if known and rng.random() < 0.6:
            chosen = rng.choice(known)
            session, pending = self.core.requests.sessions.get(chosen), self.core.requests._pending.get(chosen)
            if message.session is not None:
                message.session = chosen
                if session is not None and rng.random() < 0.8:
                    message.node = rng.choice((session.target, session.requester))
            elif pending is not None and rng.random() < 0.7:
                message = Message(rng.choice(ANSWERS), chosen, node=pending.target, addresses=(rng.choice(HOSTS),))
                message.port, message.reason = 7, Reason.DECLINED
        key = KEYS[message.node] if rng.random() < 0.97 else rng.choice((None, b"wrong" * 8, KEYS["mn1"]))
        try:
            data = encode(message, key)
        except WireError:
            return
        source = self._source(message.addresses[0] if message.addresses and rng.random() < 0.8 else None)
        self.sent.append((data, source))
        del self.sent[:-200]
        self.core.receive(data, source, self.now_ns)

    def _settle(self) -> None:
        while (event := self.core.next_event()) is not None:
            if isinstance(event, RelayWanted) and event.session in self.core.requests.sessions:
                self.ports += 2
                if self.rng.random() < 0.9:
                    self.core.requests.relay_ready(event.session, self.ports, self.ports + 1, self.now_ns)
                else:
                    self.core.requests.relay_failed(event.session, self.now_ns)
        for record in self.core.take_changes():
            self.disk[record.name] = Record(
                record.name, type(record.window)(record.window.highest, record.window.bitmap)
            )
            self.disk[record.name].binding = record.binding
        for data, _ in self.core.datagrams_to_send():
            said = decode(data)
            unsigned = data.endswith(bytes(16))
            assert said.type is MessageType.REFUSED if unsigned else verified(data, KEYS[said.node])
            if said.type is MessageType.REGISTERED:
                held = self.disk[said.node].binding
                assert held is None or held.sequence >= said.sequence, "acknowledged, and not on disk"
                assert self.disk[said.node].window.highest >= said.sequence
        self._check()

    def _check(self) -> None:
        core, requests = self.core, self.core.requests
        assert set(core.records) == set(KEYS)
        for record in core.records.values():
            assert len(record.answers) <= ANSWERS_KEPT and len(record.hosts) <= MOST_HOSTS
            assert record.window.highest >= self.highest[record.name], "the window was reopened"
            self.highest[record.name] = record.window.highest
            assert record.window.highest < SEQUENCE_LIMIT
        assert len(requests._pending) == len(requests._running)
        assert set(requests._unsent) <= set(requests._pending)
        assert len(core._expiries) <= 2 * len(KEYS) + 1100
        assert len(requests.timers) <= max(MOST_TIMERS + 1, 5 * (len(requests._pending) + len(requests.sessions)))
        assert all(0 <= count <= MOST_ASKED for count in requests._asked.values())
        waiting = sum(pending.session is None for pending in requests._pending.values())
        assert sum(requests._asked.values()) == waiting + len(requests.sessions)
        for session in requests.sessions.values():
            assert len(set(session.legs)) == len(session.legs)
            assert set(session.retire_ns) <= set(session.legs)
            hosts = core.records[session.target].hosts
            assert all(host in hosts or len(hosts) == MOST_HOSTS for host, _ in session.legs[-1:])
        due_ns = core.due_ns()
        assert due_ns is None or due_ns > 0
