"""What the server's core refuses: what cannot be served, is signed by another, comes again, or makes no sense."""

import random
from pathlib import Path

import pytest
from registration_world import KEYS, World, register, registered_world, request

from dmmlab.nodes.registration.bindings import (
    Record,
    RelayReleased,
)
from dmmlab.nodes.registration.client_core import Status
from dmmlab.nodes.registration.instants import nanoseconds
from dmmlab.nodes.registration.store import Store
from dmmlab.nodes.registration.wire import (
    ATTRIBUTES,
    REQUIRED,
    Leg,
    Message,
    MessageType,
    Mode,
    Reason,
    Transport,
    WireError,
    decode,
    encode,
)

ANSWERS = (MessageType.INCOMING_ANSWER, MessageType.DECLINED)
CHOICES: dict[str, list[object]] = {
    "text": ["mn1", "mn2", "cn3", "x" * 255],
    "address": ["10.1.0.2", "2001:db8::2"],
    "u16": [0, 65535],
    "u32": [0, 1, 10**5, 2**32 - 1],
    "u64": [0, 2**64 - 1],
    "mode": list(Mode),
    "transport": list(Transport),
    "reason": list(Reason),
    "leg": list(Leg),
    "service": [("echo", 7), ("x" * 20, 0)],
}


@pytest.mark.parametrize("mode", list(Mode))
def test_requests_that_cannot_be_served_say_why(mode: Mode) -> None:
    world, mn, cn = registered_world()
    stranger = world.node("mn2", "10.9.0.2")
    assert world.ask(stranger, request(mode)).reason is Reason.NOT_REGISTERED
    assert world.ask(cn, request(mode, "nobody")).reason is Reason.UNKNOWN_TARGET
    assert world.ask(cn, request(mode, "mn2")).reason is Reason.TARGET_NOT_REGISTERED
    assert world.ask(cn, request(mode, service="mail")).reason is Reason.UNKNOWN_SERVICE
    assert world.ask(mn, register(lifetime_s=2.0), 1.0).ok
    world.run(5.0)
    assert world.ask(cn, request(mode)).reason is Reason.TARGET_EXPIRED
    assert world.ask(mn, Message(MessageType.KEEPALIVE, 0)).reason is Reason.NOT_REGISTERED
    assert world.ask(mn, Message(MessageType.DEREGISTER, 0)).ok
    assert world.ask(cn, request(mode)).reason is Reason.TARGET_NOT_REGISTERED
    assert [entry.name for entry in world.log].count("expired") == 1
    assert mn.incoming == [] and world.relay_events == []


@pytest.mark.parametrize("mode", [Mode.CENTRAL, Mode.COMBINED])
def test_an_mn_that_declines_or_is_silent(mode: Mode) -> None:
    world, mn, cn = registered_world()
    mn.declines = Reason.DECLINED
    assert world.ask(cn, request(mode)).reason is Reason.DECLINED
    mn.declines, mn.mute = None, True
    outcome = world.ask(cn, request(mode))
    assert (outcome.status, outcome.reason) == (Status.REFUSED, Reason.UNREACHABLE)
    assert len(mn.incoming) == 2 and not world.server.requests.sessions
    if mode is Mode.CENTRAL:
        assert isinstance(world.relay_events[-1], RelayReleased)


@pytest.mark.parametrize(
    ("name", "key", "reason"),
    [
        ("mn1", b"wrong" * 7, Reason.BAD_AUTHENTICATOR),
        ("mn1", KEYS["mn2"], Reason.BAD_AUTHENTICATOR),
        ("nobody", b"?" * 32, Reason.UNKNOWN_NODE),
    ],
)
def test_a_wrong_or_foreign_key_changes_nothing(name: str, key: bytes, reason: Reason) -> None:
    world, _, _ = registered_world()
    before = repr(world.server.records["mn1"])
    world.saved.clear()
    thief = world.node(name, "10.66.0.6", key=key, first=10**9)
    outcome = world.ask(thief, register("10.66.0.6"))
    assert (outcome.status, outcome.reason, outcome.verified) == (Status.REFUSED, reason, False)
    assert repr(world.server.records["mn1"]) == before and not world.saved
    assert reason.name.lower() in world.refusals()


def test_a_forged_refusal_does_not_end_a_request() -> None:
    world, _, cn = registered_world()
    ticket = cn.core.start(request(Mode.P2P), world.now_ns)
    sequence = decode(cn.core._outbox[0]).sequence
    forged = encode(Message(MessageType.REFUSED, sequence, node="cn3", reason=Reason.UNKNOWN_TARGET), None)
    cn.core.receive(forged, world.now_ns)
    cn.core.receive(
        encode(Message(MessageType.SERVICE_ANSWER, sequence, node="cn3", addresses=("6.6.6.6",), port=6), b"x"), 0
    )
    world.run(5.0)
    assert cn.outcomes[ticket].addresses == ("10.1.0.2",)


def test_a_replay_is_refused_and_a_retransmission_answered() -> None:
    world, mn, _ = registered_world()
    node = world.node("mn2", "10.2.0.2")
    node.core.start(register("10.2.0.2"), world.now_ns)
    captured = node.core._outbox[0]
    world.run(1.0)
    world.server.receive(captured, node.peer, world.now_ns)
    assert decode(world.server.datagrams_to_send()[0][0]).type is MessageType.REGISTERED
    world.server.receive(captured, ("udp", "10.66.0.6", 5000), world.now_ns)
    refusal = decode(world.server.datagrams_to_send()[0][0])
    assert (refusal.type, refusal.reason) == (MessageType.REFUSED, Reason.REPLAYED)
    assert world.ask(node, register("10.4.0.2")).ok
    world.server.receive(captured, node.peer, world.now_ns)
    binding = world.server.records["mn2"].binding
    assert binding is not None and binding.addresses == ("10.4.0.2",)
    world.settle()
    assert world.refusals() == ["replayed", "replayed"]
    assert mn.outcomes


def test_a_restart_does_not_reopen_the_window() -> None:
    world, mn, _ = registered_world()
    mn.core.start(register("10.2.0.2"), world.now_ns)
    captured = mn.core._outbox[0]
    world.run(1.0)
    again = World(records=tuple(Record(r.name, r.window, r.binding) for r in world.saved.values()))
    again.server.receive(captured, mn.peer, again.now_ns)
    assert decode(again.server.datagrams_to_send()[0][0]).reason is Reason.REPLAYED
    again.nodes[mn.peer] = mn
    assert again.ask(mn, register("10.3.0.2")).ok


def test_a_client_whose_clock_went_back_catches_up_once() -> None:
    world = World()
    assert world.ask(world.node("mn1", "10.1.0.2", first=5000), register()).ok
    late = world.node("mn1", "10.1.0.3", first=7)
    outcome = world.ask(late, register("10.1.0.3"))
    assert outcome.ok and outcome.attempts == 2


def test_an_older_registration_never_replaces_a_newer_one() -> None:
    world = World()
    mn = world.node("mn1", "10.1.0.2")
    mn.core.start(register("10.1.0.2"), world.now_ns)
    old = mn.core.datagrams_to_send()[0]
    assert world.ask(mn, register("10.2.0.2")).ok
    assert next(iter(mn.outcomes.values())).status is Status.SUPERSEDED
    world.server.receive(old, mn.peer, world.now_ns)
    world.settle()
    assert world.refusals() == ["superseded"]
    binding = world.server.records["mn1"].binding
    assert binding is not None and binding.addresses == ("10.2.0.2",)


def test_an_older_registration_or_withdrawal_undoes_no_newer_one(tmp_path: Path) -> None:
    """Nor after a restart, nor is it told that it has: what comes late is refused."""
    world, mn, _ = registered_world()
    mn.core.start(register("10.1.0.2"), world.now_ns)
    mn.core.start(Message(MessageType.DEREGISTER, 0), world.now_ns)
    mn.core.start(register("10.1.0.3"), world.now_ns)
    register_first, withdraw_first, last = mn.core.datagrams_to_send()
    world.server.receive(last, mn.peer, world.now_ns)
    world.server.receive(withdraw_first, mn.peer, world.now_ns)
    world.settle()
    binding = world.server.records["mn1"].binding
    assert binding is not None and binding.addresses == ("10.1.0.3",) and world.refusals() == ["superseded"]
    assert world.ask(mn, Message(MessageType.DEREGISTER, 0)).ok
    world.server.receive(last, mn.peer, world.now_ns)
    world.settle()
    assert world.refusals()[1:] == ["replayed"]
    store = Store(tmp_path / "bindings.db")
    store.save(world.saved.values())
    for kept in (world, World(records=tuple(store.load()))):
        kept.server.receive(register_first, mn.peer, world.now_ns)
        kept.settle()
        assert kept.server.records["mn1"].binding is None and kept.refusals()[-1] == "superseded"
    store.close()


def test_malformed_and_misdirected_messages_are_logged_and_unanswered() -> None:
    world, _, _ = registered_world()
    answer = encode(Message(MessageType.REGISTERED, 99, node="mn1", lifetime_ms=1), KEYS["mn1"])
    for data in (b"", b"hello", answer, answer[:-1]):
        world.server.receive(data, ("udp", "10.66.0.6", 1), world.now_ns)
    assert world.server.datagrams_to_send() == []
    world.settle()
    assert world.refusals() == ["malformed"] * 4


def signed_noise(seed: int) -> set[str]:
    """What a server notes that is sent well-signed nonsense."""
    rng = random.Random(seed)
    world = World()
    names, sequence = list(KEYS), 0
    for _ in range(3000):
        sequence += rng.choice((0, 1, 1, 1, 70))
        message = Message(rng.choice(list(MessageType)), sequence, node=rng.choice(names))
        for row in ATTRIBUTES[1:]:
            if row.name in REQUIRED[message.type] or rng.random() < 0.3:
                value = rng.choice(CHOICES[row.kind.name])
                setattr(message, row.name, (value,) * rng.randint(1, 16) if row.many else value)
        sessions = [*world.server.requests.sessions, *world.server.requests._pending]
        if sessions and rng.random() < 0.5:
            chosen = rng.choice(sessions)
            message.session = chosen if message.session is not None else None
            pending = world.server.requests._pending.get(chosen)
            if pending is not None and rng.random() < 0.5:
                message.node, message.type = pending.target, rng.choice(ANSWERS)
                message.addresses, message.port, message.reason = ("10.1.0.2",), 7, Reason.DECLINED
            message.sequence = chosen if message.type in ANSWERS else message.sequence
        try:
            data = encode(message, KEYS[message.node])
        except WireError:
            continue
        host = message.addresses[0] if message.addresses and rng.random() < 0.8 else "10.9.0.9"
        source = (rng.choice(("udp", "leg", "tcp")), host, rng.randint(1, 3))
        world.server.receive(data, source, world.now_ns)
        world.settle()
        world.now_ns += nanoseconds(rng.choice((0.0, 0.1, 1.0, 20.0)))
        world.server.handle_timer(world.now_ns)
    return {entry.name for entry in world.log}


def test_nothing_that_a_node_may_sign_upsets_the_server() -> None:
    noted = set[str]().union(*map(signed_noise, range(6)))
    assert noted >= {
        "registered",
        "refused",
        "expired",
        "leg_opened",
        "leg_retired",
        "relay_closed",
        "service_answered",
    }
