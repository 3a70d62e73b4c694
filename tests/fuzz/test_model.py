"""A model (hypothesis) of server, mobile node and correspondent: any order of loss, delay, restart and attack.

The server is its shell on its database, the nodes are their cores; the clock is simulated (``registration_shell.py``).
``DMMLAB_MODEL`` says how many histories there are, each of up to sixty steps; ``pytest -s`` shows what they came to.
With ``DMMLAB_MODEL_AS_FOUND=1`` what fails is shown as it was found, and not made smaller first.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from registration_shell import ShellWorld
from registration_world import EPOCH_NS, KEYS, SERVER, Node, register, request

from dmmlab.nodes.registration.bindings import Peer, Record
from dmmlab.nodes.registration.client_core import ClientCore, Outcome, Status
from dmmlab.nodes.registration.wire import Message, MessageType, Mode, Reason, Transport, decode, encode

HISTORIES = int(os.environ.get("DMMLAB_MODEL", "150"))
PHASES = [Phase.generate] if os.environ.get("DMMLAB_MODEL_AS_FOUND") == "1" else [Phase.generate, Phase.shrink]
NAMES = ("mn1", "cn3")
HOSTS = ("10.1.0.2", "10.2.0.2", "10.3.0.2")
STRANGER: Peer = ("udp", "10.9.9.9", 666)
BINDING = (MessageType.REGISTER, MessageType.DEREGISTER)
OF_A_SESSION = (MessageType.LEG_OPEN, MessageType.LEG_CLOSE, MessageType.SESSION_CLOSE)
LIFETIMES_S = (2.0, 8.0, 100.0)
DEATHS = ("now", "within", "after", "unsent", "half sent")
TARGET = (Reason.TARGET_NOT_REGISTERED, Reason.TARGET_EXPIRED)
TRANSPORTS, MODES = st.sampled_from(Transport), st.sampled_from(Mode)
counted: Counter[str] = Counter()  # of all histories: steps, and what they came to


@dataclass
class Asked:
    """A registration or its withdrawal, as a node has sent it, and when it has come to the server."""

    message: Message
    came_ns: list[int] = field(default_factory=list)
    effect_ns: int | None = None
    promised: bool = False
    doubtful: bool = False  # a node whose clock went back has sent another one under the same number

    def ends_ns(self, came_ns: int) -> int:
        """When the binding that it makes is over, if it came then; a withdrawal's, at once."""
        return came_ns + (self.message.lifetime_ms or 0) * 10**6


class Held(ShellWorld):
    """A network that keeps each packet until it is told to deliver it, once, twice or never; and who asked for what."""

    def __init__(self) -> None:
        self.wire: list[tuple[Peer, Peer, bytes]] = []
        self.past: list[tuple[Peer, bytes]] = []
        self.asked: dict[tuple[str, int], Asked] = {}
        self.requests: set[tuple[str, int]] = set()
        self.taken: set[tuple[str, int, MessageType]] = (
            set()
        )  # what has come and is on disk: nobody may come with it again
        self.stranger_bytes = 0
        super().__init__()

    def post(self, source: Peer, to: Peer, data: bytes, delay_s: float = 0.0) -> None:
        message = decode(data)
        if source != SERVER:
            self.past = [*self.past[-200:], (source, data)]
            if message.type in BINDING:
                asked = self.asked.setdefault((message.node, message.sequence), Asked(message))
                asked.doubtful |= asked.message != message
            elif message.type is MessageType.SERVICE_REQUEST:
                self.requests.add((message.node, message.sequence))
        elif message.type in (MessageType.REGISTERED, MessageType.DEREGISTERED):
            self.asked[message.node, message.sequence].promised = True
        if to == STRANGER:
            self.stranger_bytes -= len(data)
        self.wire = [*self.wire[-60:], (source, to, data)]

    def arrive(self, data: bytes, source: Peer) -> None:
        message = decode(data)
        asked = self.asked.get((message.node, message.sequence)) if message.type in BINDING else None
        lives = self.lives
        held_to = asked is not None and asked.promised
        if asked is not None:
            asked.came_ns.append(self.clock.now_ns)
        super().arrive(data, source)
        if lives == self.lives and not self.disk.full:
            self.taken.add((message.node, message.sequence, message.type))
        held = self.server.records[message.node].binding
        if asked is not None and held is not None and held.sequence == message.sequence and not held_to:
            asked.effect_ns = held.registered_ns


class Registration(RuleBasedStateMachine):
    """What holds whatever happens: what was acknowledged is there, and nothing is that nobody asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Held()
        self.members: dict[str, Node] = {
            name: self.world.node(name, HOSTS[turn], first=EPOCH_NS) for turn, name in enumerate(NAMES)
        }
        self.hosts = {name: {node.peer[1]} for name, node in self.members.items()}
        self.running: dict[str, dict[int, tuple[Message, int]]] = {name: {} for name in NAMES}
        self.ended: list[tuple[Message, Outcome]] = []
        self.lives = 0

    # -- what happens

    def _settle(self) -> None:
        counted["events"] += 1
        self.world.settle()
        for name, node in self.members.items():
            outcomes, node.outcomes = node.outcomes, {}
            for ticket, outcome in outcomes.items():
                message, began_ns = self.running[name].pop(ticket)
                self.ended = [*self.ended[-4:], (message, outcome)]
                self._judge(message, outcome, began_ns)

    def _start(self, name: str, message: Message) -> None:
        ticket = self.members[name].core.start(message, self.world.now_ns)
        self.running[name][ticket] = message, self.world.now_ns
        self._settle()

    @rule(
        name=st.sampled_from(NAMES),
        addresses=st.lists(st.sampled_from(HOSTS), min_size=1, max_size=3, unique=True),
        lifetime_s=st.sampled_from(LIFETIMES_S),
    )
    def register(self, name: str, addresses: list[str], lifetime_s: float) -> None:
        self._start(name, replace(register(lifetime_s=lifetime_s), addresses=tuple(addresses)))

    @rule(name=st.sampled_from(NAMES), through=st.booleans())
    def withdraw(self, name: str, through: bool) -> None:
        """It may come before what was sent before it."""
        self._start(name, Message(MessageType.DEREGISTER, 0))
        if through:
            self.deliver(len(self.world.wire) - 1, 1)

    @rule(mode=MODES, transport=TRANSPORTS)
    def ask(self, mode: Mode, transport: Transport) -> None:
        self._start("cn3", request(mode, "mn1", transport))

    @rule(mode=MODES, transport=TRANSPORTS)
    def set_up(self, mode: Mode, transport: Transport) -> None:
        """Both sides register, one asks, and nothing is lost on the way."""
        for name, node in self.members.items():
            self._start(name, register(node.peer[1], lifetime_s=100.0))
            self.deliver_all()
        self.ask(mode, transport)
        self.deliver_all()

    @rule(name=st.sampled_from(NAMES), kind=st.sampled_from(OF_A_SESSION), through=st.booleans())
    def of_a_session(self, name: str, kind: MessageType, through: bool) -> None:
        sessions = self.world.server.requests.sessions
        if not sessions:
            self.set_up(Mode.CENTRAL, Transport.UDP)
        if sessions:
            host = self.members[name].peer[1]
            leg = {} if kind is MessageType.SESSION_CLOSE else {"addresses": (host,), "port": 7009}
            self._start(name, Message(kind, 0, session=max(sessions), **leg))  # type: ignore[arg-type]
            if through:
                self.deliver_all()

    @rule(which=st.integers(0, 60), copies=st.integers(0, 2))
    def deliver(self, which: int, copies: int) -> None:
        """Never, once or twice, of all that is under way."""
        wire = self.world.wire
        if not wire:
            return
        source, to, data = wire.pop(which % len(wire))
        for _ in range(copies):
            if to == SERVER:
                self.world.arrive(data, source)
            elif to in self.world.nodes:
                self.world.nodes[to].core.receive(data, self.world.now_ns)
        self._settle()

    @rule()
    def deliver_all(self) -> None:
        for _ in range(8):
            for _ in range(len(self.world.wire)):
                self.deliver(0, 1)

    @rule(which=st.integers(0, 200), stranger=st.booleans())
    def replay(self, which: int, stranger: bool) -> None:
        """Whatever a node has ever sent comes again, from there, or from elsewhere once it has been served."""
        if not self.world.past:
            return
        source, data = self.world.past[-1 - which % len(self.world.past)]
        message = decode(data)
        if not stranger or (message.node, message.sequence, message.type) in self.world.taken:
            self._attack(data, STRANGER if stranger else source, self.world.arrive)

    @rule(which=st.integers(0, 30), flip=st.integers(100, 10**4), stranger=st.booleans())
    def damage(self, which: int, flip: int, stranger: bool) -> None:
        """One bit of it, behind the header, is another; or it is signed by another node."""
        if not self.world.past:
            return
        source, data = self.world.past[-1 - which % len(self.world.past)]
        if flip % 7 == 0:
            other = bytearray(encode(decode(data), KEYS["mn2"]))
        else:
            place = 96 + flip % (8 * len(data) - 96)
            other = bytearray(data)
            other[place // 8] ^= 1 << place % 8
        self._attack(bytes(other), STRANGER if stranger else source, super(Held, self.world).arrive)

    @rule(kind=st.sampled_from((MessageType.INCOMING_ANSWER, MessageType.DECLINED)))
    def answer_for_another(self, kind: MessageType) -> None:
        """A node with a name and a key of its own says what becomes of a request to another."""
        fields = {"addresses": (STRANGER[1],), "port": 666, "reason": Reason.DECLINED}
        for number in list(self.world.server.requests._pending):
            answer = Message(kind, number, node="mn2", **fields)  # type: ignore[arg-type]
            super(Held, self.world).arrive(encode(answer, KEYS["mn2"]), STRANGER)
        self._settle()

    def _attack(self, data: bytes, source: Peer, arrive: Callable[[bytes, Peer], None]) -> None:
        self.world.stranger_bytes += len(data) if source == STRANGER else 0
        arrive(data, source)
        self._settle()

    @rule(seconds=st.sampled_from((0.01, 0.5, 2.0, 9.0)))
    def wait(self, seconds: float) -> None:
        self.world.elapse(seconds)
        self._settle()

    @rule(name=st.sampled_from(NAMES), host=st.sampled_from(HOSTS))
    def move(self, name: str, host: str) -> None:
        node = self.members[name]
        if all(other is node or other.peer[1] != host for other in self.members.values()):
            self.world.move(node, host)
            node.offer = (host, 7000)
            self.hosts[name].add(host)
            self._settle()

    @rule(when=st.sampled_from(DEATHS))
    def kill_server(self, when: str) -> None:
        """At once, or the next time that it writes or sends; with what is on disk it starts again."""
        world = self.world
        if when == "now":
            world.kill()
        elif when in ("within", "after"):
            world.disk.dies = when
        else:
            world.socket.lives = DEATHS.index(when) - 3
        self._settle()

    @rule(full=st.booleans())
    def disk(self, full: bool) -> None:
        self.world.disk.full = full

    @rule(name=st.sampled_from(NAMES), back_s=st.sampled_from((0, 0, 5)))
    def restart_node(self, name: str, back_s: int) -> None:
        """With a clock that may have gone back."""
        node, self.lives = self.members[name], self.lives + 1
        node.core = ClientCore(name, KEYS[name], self.world.now_ns + self.lives * 10**6 - back_s * 10**9)
        node.incoming.clear()
        self.running[name].clear()

    # -- what holds

    @invariant()
    def what_holds(self) -> None:
        counted["steps"] += 1
        self._what_was_acknowledged_is_there()
        self._a_binding_is_what_was_asked_for_and_when()
        self._nobody_else_comes_in()
        self._each_request_is_served_once()
        self._requests_sessions_and_relays_fit_each_other()

    def _of(self, name: str) -> dict[int, Asked]:
        return {sequence: asked for (node, sequence), asked in self.world.asked.items() if node == name}

    def _solid(self, name: str, began_ns: int) -> bool:
        """Whether it was registered, and knew it, from then until now, and nothing else has come from it."""
        came = {sequence: asked for sequence, asked in self._of(name).items() if asked.came_ns}
        newest = came.get(max(came, default=0))
        if newest is None or not newest.promised or newest.doubtful or newest.message.type is MessageType.DEREGISTER:
            return False
        assert newest.effect_ns is not None
        return newest.effect_ns < began_ns and newest.ends_ns(newest.effect_ns) > self.world.now_ns

    def _judge(self, message: Message, outcome: Outcome, began_ns: int) -> None:
        """What a node is told is so."""
        counted[f"{message.type.name} {outcome.status}"] += 1
        if message.type in BINDING and outcome.status is Status.OK:
            assert self.world.asked[message.node, message.sequence].promised
            assert outcome.lifetime_s * 1e3 == (message.lifetime_ms or 0)
        elif message.type is MessageType.SERVICE_REQUEST and outcome.status is Status.OK:
            counted[f"{Mode(message.mode or 0).name} ok"] += 1
            if message.mode is Mode.CENTRAL:
                assert outcome.addresses == ("10.0.0.5",)
            elif message.mode is Mode.COMBINED:
                assert {*outcome.addresses} <= self.hosts["mn1"], "an address is given that is not the node's"
            elif message.mode is Mode.P2P:
                assert any(
                    asked.doubtful
                    or (asked.message.addresses == outcome.addresses and asked.ends_ns(asked.came_ns[-1]) > began_ns)
                    for asked in self._of("mn1").values()
                    if asked.came_ns
                ), "an address is given that is registered no more, or never was"
        elif outcome.verified and outcome.reason in TARGET:
            assert not self._solid("mn1", began_ns), "a node that is registered is not found"
        elif outcome.verified and outcome.reason is Reason.NOT_REGISTERED:
            assert not self._solid("cn3", began_ns), "a node that is registered is refused"

    def _what_was_acknowledged_is_there(self) -> None:
        on_disk = {record.name: record for record in self.world.disk.load()}
        for (name, sequence), asked in self.world.asked.items():
            if not asked.promised or asked.doubtful:
                continue
            for records in (on_disk, self.world.server.records):
                self._check_kept(records[name], sequence, asked)

    def _check_kept(self, record: Record, sequence: int, asked: Asked) -> None:
        held = record.binding
        if asked.message.type is MessageType.DEREGISTER:
            assert held is None or held.sequence > sequence, "an acknowledged withdrawal is undone"
        elif held is None:
            later = [each for number, each in self._of(record.name).items() if number > sequence]
            assert any(each.doubtful or each.message.type is MessageType.DEREGISTER for each in later), (
                "an acknowledged registration is lost"
            )
        else:
            assert held.sequence >= sequence, "an acknowledged registration is lost"

    def _a_binding_is_what_was_asked_for_and_when(self) -> None:
        world = self.world
        for name in NAMES:
            record = world.server.records[name]
            if (held := record.binding) is None:
                continue
            asked = world.asked[name, held.sequence]
            if asked.doubtful:
                continue
            assert held.registered_ns == asked.effect_ns, "a repetition has prolonged a binding"
            assert held.registered_ns in asked.came_ns and held.expires_ns == asked.ends_ns(held.registered_ns)
            assert (held.addresses, held.port) == (asked.message.addresses, asked.message.port)
            assert record.expired == (held.expires_ns <= world.clock.now_ns)
            assert held.control[1] in self.hosts[name], "the server would speak to where the node has never been"

    def _nobody_else_comes_in(self) -> None:
        records = self.world.server.records
        assert records["mn2"].binding is None and not records["mn2"].hosts
        assert self.world.stranger_bytes >= 0, "more has come back than was sent"
        for session in self.world.server.requests.sessions.values():
            assert (session.requester, session.target) == ("cn3", "mn1")
            assert all(host in self.hosts["mn1"] for host, _ in session.legs), "a leg to where the node has never been"

    def _each_request_is_served_once(self) -> None:
        served = sum(event == "service_requested" for event, _ in self.world.events.entries)
        assert served <= len(self.world.requests), "a request was served twice"
        for node in self.members.values():
            assert len({each.number for each in node.incoming}) == len(node.incoming)

    def _requests_sessions_and_relays_fit_each_other(self) -> None:
        requests = self.world.server.requests
        assert len(requests._pending) == len(requests._running)
        assert set(self.world.process._relays) == set(requests.sessions), "a relay that nobody has, or none"
        for number, session in requests.sessions.items():
            relay: Any = self.world.process._relays[number]
            assert set(relay.legs) == set(session.legs)
            counted["legs"] += len(session.legs) > 1

    def teardown(self) -> None:
        """In the end every request is over; and when the faults are, every method sets up again."""
        try:
            if sys.exc_info()[0] is None:
                self._calm()
        finally:
            self.world.end()

    def _calm(self) -> None:
        world = self.world
        world.disk.full, world.disk.dies, world.socket.lives = False, "", -1
        for _ in range(20):
            self.wait(2.0)
        assert not world.server.requests._pending
        assert not any(node.core._running for node in self.members.values())
        world.wire.clear()
        for mode in Mode:
            self.set_up(mode, Transport.UDP)
            statuses = [outcome.status for _, outcome in self.ended[-3:]]
            assert statuses == [Status.OK] * 3, f"{mode.name}: {self.ended[-3:]}, {world.events.entries[-8:]}"


def test_what_was_acknowledged_stays_whatever_happens() -> None:
    counted.clear()
    run_state_machine_as_test(
        Registration,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=60,
            deadline=None,
            derandomize="DMMLAB_MODEL" not in os.environ,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=PHASES,
        ),
    )
    said = ", ".join(f"{what} {number:,}" for what, number in sorted(counted.items()))
    print(said)  # noqa: T201
    reached = ("CENTRAL ok", "COMBINED ok", "P2P ok", "legs", "DEREGISTER ok", "SERVICE_REQUEST refused")
    if missed := [what for what in reached if not counted[what]]:
        pytest.fail(f"the histories come to too little: {missed}")
