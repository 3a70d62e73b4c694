"""Server, mobile node and correspondent as a model: any order of loss, duplication, delay and restart (hypothesis).

``DMMLAB_MODEL`` says how many histories there are, each of fifty steps and more.
"""

from __future__ import annotations

import os
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from registration_world import EPOCH_NS, KEYS, SERVER, Node, World, request

from dmmlab.nodes.registration.bindings import Peer, Record
from dmmlab.nodes.registration.client_core import ClientCore, Status
from dmmlab.nodes.registration.replay import Window
from dmmlab.nodes.registration.server_core import ServerCore
from dmmlab.nodes.registration.wire import Message, MessageType, Mode, Transport

HISTORIES = int(os.environ.get("DMMLAB_MODEL", "15"))
NAMES = ("mn1", "cn3")
HOSTS = ("10.1.0.2", "10.2.0.2", "10.3.0.2")


class Held(World):
    """A network that keeps each packet until it is told to deliver it, once, twice or never."""

    def __init__(self) -> None:
        super().__init__()
        self.wire: list[tuple[Peer, Peer, bytes]] = []

    def post(self, source: Peer, to: Peer, data: bytes, delay_s: float = 0.0) -> None:
        self.wire = [*self.wire[-60:], (source, to, data)]


class Registration(RuleBasedStateMachine):
    """What holds whatever happens: what was acknowledged is there, and nothing is that nobody asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Held()
        self.disk: dict[str, Record] = {}
        self.members: dict[str, Node] = {
            name: self.world.node(name, HOSTS[turn], first=EPOCH_NS) for turn, name in enumerate(NAMES)
        }
        self.asked: dict[str, dict[int, tuple[MessageType, tuple[str, ...], int]]] = {name: {} for name in NAMES}
        self.acknowledged: dict[str, int] = {}  # by node, the sequence of the newest binding that it was told of
        self.issued: dict[str, set[tuple[str, ...]]] = {name: set() for name in NAMES}
        self.lives = 0

    # -- what happens

    def _settle(self) -> None:
        self.world.settle()
        for name, record in self.world.saved.items():
            window = Window(record.window.highest, record.window.bitmap)
            binding = replace(record.binding) if record.binding is not None else None
            self.disk[name] = Record(name, window, binding)
        for name, node in self.members.items():
            for ticket, outcome in node.outcomes.items():
                kind, addresses, sequence = self.asked[name].pop(ticket, (None, (), 0))
                if outcome.status is Status.OK and kind is MessageType.REGISTER:
                    self.acknowledged[name] = max(self.acknowledged.get(name, 0), sequence)
                    assert addresses in self.issued[name]
            node.outcomes.clear()

    def _start(self, name: str, message: Message) -> None:
        core = self.members[name].core
        ticket = core.start(message, self.world.now_ns)
        self.asked[name][ticket] = message.type, message.addresses, message.sequence
        self._settle()

    @rule(name=st.sampled_from(NAMES), addresses=st.lists(st.sampled_from(HOSTS), min_size=1, max_size=3, unique=True))
    def register(self, name: str, addresses: list[str]) -> None:
        self.issued[name].add(tuple(addresses))
        message = Message(MessageType.REGISTER, 0, addresses=tuple(addresses), port=7000, lifetime_ms=10**8)
        self._start(name, message)

    @rule(mode=st.sampled_from(Mode), transport=st.sampled_from(Transport))
    def ask(self, mode: Mode, transport: Transport) -> None:
        self._start("cn3", request(mode, "mn1", transport))

    @rule(which=st.integers(0, 60), copies=st.integers(0, 2))
    def deliver(self, which: int, copies: int) -> None:
        """Never, once or twice, of all that is under way."""
        wire = self.world.wire
        if not wire:
            return
        source, to, data = wire.pop(which % len(wire))
        for _ in range(copies):
            if to == SERVER:
                self.world.server.receive(data, source, self.world.now_ns)
            elif to in self.world.nodes:
                self.world.nodes[to].core.receive(data, self.world.now_ns)
        self._settle()

    @rule(which=st.integers(0, 60))
    def replay(self, which: int) -> None:
        """It comes, and may come again."""
        wire = self.world.wire
        if wire:
            source, to, data = wire[which % len(wire)]
            if to == SERVER:
                self.world.server.receive(data, source, self.world.now_ns)
            self._settle()

    @rule()
    def deliver_all(self) -> None:
        for _ in range(8):
            for _ in range(len(self.world.wire)):
                self.deliver(0, 1)

    @rule(seconds=st.sampled_from((0.01, 0.5, 2.0, 9.0)))
    def wait(self, seconds: float) -> None:
        self.world.now_ns += round(seconds * 1e9)
        self.world.server.handle_timer(self.world.now_ns)
        for node in self.members.values():
            node.core.handle_timer(self.world.now_ns)
        self._settle()

    @rule(name=st.sampled_from(NAMES), host=st.sampled_from(HOSTS))
    def move(self, name: str, host: str) -> None:
        node = self.members[name]
        if all(other is node or other.peer[1] != host for other in self.members.values()):
            self.world.move(node, host)
            node.offer = (host, 7000)
            self._settle()

    @rule()
    def kill_server(self) -> None:
        """With what it has on disk it starts again; what it had not yet said is lost."""
        world = self.world
        records = [replace(each, window=Window(each.window.highest, each.window.bitmap)) for each in self.disk.values()]
        world.server = ServerCore(KEYS, world.now_ns, records=records, relay_address="10.0.0.5")
        world.saved.clear()
        self._settle()

    @rule(name=st.sampled_from(NAMES), back_s=st.sampled_from((0, 0, 5)))
    def restart_node(self, name: str, back_s: int) -> None:
        """With a clock that may have gone back."""
        node, self.lives = self.members[name], self.lives + 1
        first = EPOCH_NS + (self.world.now_ns - EPOCH_NS) + self.lives * 10**6 - back_s * 10**9
        node.core = ClientCore(name, KEYS[name], first)
        node.incoming.clear()
        self.asked[name].clear()

    # -- what holds

    @invariant()
    def acknowledged_bindings_are_there(self) -> None:
        for name, sequence in self.acknowledged.items():
            for records in (self.disk, self.world.server.records):
                binding = records[name].binding
                assert binding is not None and binding.sequence >= sequence, "an acknowledged registration is lost"

    @invariant()
    def nothing_is_there_that_nobody_registered(self) -> None:
        for name, record in self.world.server.records.items():
            if record.binding is not None:
                assert record.binding.addresses in self.issued[name]

    @invariant()
    def a_node_is_asked_once_for_each_request(self) -> None:
        for node in self.members.values():
            assert len({each.number for each in node.incoming}) == len(node.incoming)

    @invariant()
    def requests_and_sessions_fit_each_other(self) -> None:
        requests = self.world.server.requests
        assert len(requests._pending) == len(requests._running)
        for session in requests.sessions.values():
            assert (session.requester, session.target) == ("cn3", "mn1")

    def teardown(self) -> None:
        """In the end every request is over."""
        for _ in range(20):
            self.wait(2.0)
        assert not self.world.server.requests._pending
        assert not any(node.core._running for node in self.members.values())


Registration.TestCase.settings = settings(
    max_examples=HISTORIES,
    stateful_step_count=60,
    deadline=None,
    derandomize="DMMLAB_MODEL" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestRegistration = Registration.TestCase
