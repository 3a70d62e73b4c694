"""The registration server's and the client's cores on a network with delay and loss, in simulated time."""

import heapq
import itertools
import random
from dataclasses import dataclass, field

from dmmlab.machine import catalogue
from dmmlab.nodes.registration.bindings import (
    Backoff,
    Event,
    Noted,
    Peer,
    Record,
    RelayWanted,
)
from dmmlab.nodes.registration.client_core import ClientCore, Completed, IncomingRequest, Outcome, SessionEnded
from dmmlab.nodes.registration.instants import nanoseconds
from dmmlab.nodes.registration.server_core import ServerCore
from dmmlab.nodes.registration.wire import (
    Message,
    MessageType,
    Mode,
    Reason,
    Transport,
    decode,
)

KEYS = {name: name.encode() * 8 for name in ("mn1", "mn2", "cn3")}
EPOCH_NS = 1_704_067_217_123_456_789  # no float holds it
SERVER = ("udp", "server", 48620)


@dataclass
class Node:
    """A client core at an address, what it was told, and what it answers."""

    core: ClientCore
    peer: Peer
    offer: tuple[str, int] = ("10.1.0.2", 7000)
    declines: Reason | None = None
    mute: bool = False
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    incoming: list[IncomingRequest] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)


class World:
    """A server and its nodes on a network with delay and loss, in simulated time."""

    def __init__(self, loss: float = 0.0, seed: int = 0, records: tuple[Record, ...] = (), **options: object) -> None:
        self.now_ns, self.loss, self.rng = EPOCH_NS, loss, random.Random(seed)
        self.queue: list[tuple[int, int, Peer, Peer, bytes]] = []
        self.order = itertools.count()
        self.log: list[Noted] = []
        self.relay_events: list[Event] = []
        self.saved: dict[str, Record] = {}
        self.sent: list[tuple[Peer, Peer, Message]] = []
        self.server = ServerCore(KEYS, self.now_ns, records=records, relay_address="10.0.0.5", **options)  # type: ignore[arg-type]
        self.nodes: dict[Peer, Node] = {}
        self.ports = itertools.count(30000)

    def node(
        self, name: str, host: str, key: bytes | None = None, first: int = 1, backoff: Backoff | None = None
    ) -> Node:
        core = ClientCore(name, KEYS.get(name, b"?" * 32) if key is None else key, first, backoff or Backoff())
        node = Node(core, ("udp", host, 5000), offer=(host, 7000))
        self.nodes[node.peer] = node
        return node

    def move(self, node: Node, host: str) -> None:
        node.peer = ("udp", host, 5000)
        self.nodes[node.peer] = node
        node.core.rebound(self.now_ns)

    def post(self, source: Peer, to: Peer, data: bytes, delay_s: float = 0.01) -> None:
        self.sent.append((source, to, decode(data)))
        if self.rng.random() >= self.loss:
            delay_s += self.rng.random() * 0.005 if self.loss else 0.0
            heapq.heappush(self.queue, (self.now_ns + nanoseconds(delay_s), next(self.order), source, to, data))

    def settle(self) -> None:
        """Collect what everybody has to send and to say."""
        while (event := self.server.next_event()) is not None:
            if isinstance(event, Noted):
                catalogue.check("server", event.name, event.fields)
                self.log.append(event)
                continue
            self.relay_events.append(event)
            if isinstance(event, RelayWanted) and event.session in self.server.requests.sessions:
                self.server.requests.relay_ready(event.session, next(self.ports), next(self.ports), self.now_ns)
        self.saved |= {record.name: record for record in self.server.take_changes()}
        for data, peer in self.server.datagrams_to_send():
            self.post(SERVER, peer, data)
        for node in {id(one): one for one in self.nodes.values()}.values():  # one that moved has two addresses
            self.settle_node(node)

    def settle_node(self, node: Node) -> None:
        while (event := node.core.next_event()) is not None:
            if isinstance(event, Completed):
                assert event.ticket not in node.outcomes
                node.outcomes[event.ticket] = event.outcome
                continue
            if isinstance(event, SessionEnded):
                node.ended.append(event.session)
                continue
            node.incoming.append(event)
            if node.declines is not None:
                node.core.answer(event.number, Message(MessageType.DECLINED, 0, reason=node.declines))
            elif not node.mute:
                host, port = node.offer
                answer = Message(MessageType.INCOMING_ANSWER, 0, addresses=(host,), port=port, session=event.session)
                node.core.answer(event.number, answer)
        for data in node.core.datagrams_to_send():
            self.post(node.peer, SERVER, data)

    def step(self, until_ns: int) -> bool:
        self.settle()
        cores: list[ServerCore | ClientCore] = [self.server, *(node.core for node in self.nodes.values())]
        timers = [due_ns for core in cores if (due_ns := core.due_ns()) is not None]
        due_ns = min([*timers, *(entry[0] for entry in self.queue[:1])], default=until_ns)
        if due_ns >= until_ns:
            self.now_ns = until_ns
            return False
        self.now_ns = max(self.now_ns, due_ns)
        while self.queue and self.queue[0][0] <= self.now_ns:
            _, _, source, to, data = heapq.heappop(self.queue)
            if to == SERVER:
                self.server.receive(data, source, self.now_ns)
            elif to in self.nodes:
                self.nodes[to].core.receive(data, self.now_ns)
        for core in cores:
            core.handle_timer(self.now_ns)
        return True

    def run(self, seconds: float = 1.0) -> None:
        until_ns = self.now_ns + nanoseconds(seconds)
        for _ in range(100_000):
            if not self.step(until_ns):
                return
        raise AssertionError("the world does not come to rest")

    def ask(self, node: Node, message: Message, seconds: float = 15.0) -> Outcome:
        ticket = node.core.start(message, self.now_ns)
        self.run(seconds)
        return node.outcomes[ticket]

    def refusals(self) -> list[object]:
        return [entry.fields["reason"] for entry in self.log if entry.name == "refused"]


def register(host: str = "10.1.0.2", port: int = 7000, lifetime_s: float = 600.0, **more: object) -> Message:
    lifetime_ms = int(lifetime_s * 1e3)
    return Message(MessageType.REGISTER, 0, addresses=(host,), port=port, lifetime_ms=lifetime_ms, **more)  # type: ignore[arg-type]


def request(mode: Mode, target: str = "mn1", transport: Transport = Transport.UDP, **more: object) -> Message:
    return Message(MessageType.SERVICE_REQUEST, 0, target=target, mode=mode, transport=transport, **more)  # type: ignore[arg-type]


def registered_world(**options: object) -> tuple[World, Node, Node]:
    world = World(**options)  # type: ignore[arg-type]
    mn, cn = world.node("mn1", "10.1.0.2"), world.node("cn3", "10.3.0.2")
    assert world.ask(mn, register()).ok and world.ask(cn, register("10.3.0.2")).ok
    return world, mn, cn
