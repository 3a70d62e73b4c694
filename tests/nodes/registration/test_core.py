"""The registration server's and the client's cores, in memory: the draft's flows, refusals, and 30 % loss."""

import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from registration_world import EPOCH_NS, KEYS, SERVER, Node, World, register, registered_world, request

from dmmlab.machine.events import EventLog
from dmmlab.nodes.registration.bindings import (
    LegOpened,
    LegRetired,
    Noted,
    Record,
    RelayReleased,
    RelayWanted,
)
from dmmlab.nodes.registration.client_core import ClientCore, Completed, Outcome, Status
from dmmlab.nodes.registration.instants import ROUNDING_NS, fired_ns, nanoseconds, seconds_until
from dmmlab.nodes.registration.server_core import ServerCore
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


def flow(world: World) -> list[tuple[str, str, str]]:
    """Who sent what to whom, as the draft's figures draw it."""
    names = {peer: node.core.node for peer, node in world.nodes.items()} | {SERVER: "server"}
    return [(names[source], names[to], message.type.name) for source, to, message in world.sent]


# ---- the draft's figures


def test_p2p_is_one_exchange_with_the_server() -> None:
    world, _, cn = registered_world()
    world.sent.clear()
    outcome = world.ask(cn, request(Mode.P2P))
    assert (outcome.status, outcome.addresses, outcome.port) == (Status.OK, ("10.1.0.2",), 7000)
    assert flow(world) == [("cn3", "server", "SERVICE_REQUEST"), ("server", "cn3", "SERVICE_ANSWER")]


def test_combined_is_answered_by_the_mn_itself() -> None:
    world, mn, cn = registered_world()
    world.sent.clear()
    mn.offer = ("10.2.0.2", 7001)  # moved, and the server does not know
    outcome = world.ask(cn, request(Mode.COMBINED))
    assert (outcome.addresses, outcome.port, outcome.session) == (("10.2.0.2",), 7001, None)
    assert flow(world) == [
        ("cn3", "server", "SERVICE_REQUEST"),
        ("server", "mn1", "INCOMING_REQUEST"),
        ("mn1", "server", "INCOMING_ANSWER"),
        ("server", "cn3", "SERVICE_ANSWER"),
    ]
    assert mn.incoming[0].requester == "cn3"


def test_central_gives_the_relay_and_the_mn_its_leg() -> None:
    world, mn, cn = registered_world()
    outcome = world.ask(cn, request(Mode.CENTRAL, peer_address="10.3.0.2", peer_port=9000))
    assert (outcome.addresses, outcome.port) == (("10.0.0.5",), 30000)
    assert mn.incoming[0].relay == ("10.0.0.5", 30001) and mn.incoming[0].peer == ("10.3.0.2", 9000)
    session = outcome.session
    assert session is not None
    assert world.relay_events == [
        RelayWanted(session, Transport.UDP, ("10.3.0.2", 9000)),
        LegOpened(session, ("10.1.0.2", 7000), Leg.PLAIN, ("udp", "10.1.0.2", 7000), 0, session),
    ]


def test_a_second_leg_leaves_the_registration_alone_and_retires_the_first_by_timer() -> None:
    world, mn, cn = registered_world(leg_linger_s=5.0)
    session = world.ask(cn, request(Mode.CENTRAL)).session
    leg = Message(MessageType.LEG_OPEN, 0, session=session, addresses=("10.2.0.2",), port=7000)
    world.move(mn, "10.2.0.2")
    assert world.ask(mn, leg, 1.0).port == 30001
    assert world.server.requests.sessions[session or 0].legs == [("10.1.0.2", 7000), ("10.2.0.2", 7000)]
    binding = world.server.records["mn1"].binding
    assert binding is not None and binding.addresses == ("10.1.0.2",)
    world.run(5.0)
    retired = LegRetired(session or 0, ("10.1.0.2", 7000))
    assert world.relay_events[-1] == retired
    assert world.ask(cn, Message(MessageType.SESSION_CLOSE, 0, session=session)).ok
    assert world.relay_events[-2:] == [retired, RelayReleased(session or 0)]


def test_the_mn_is_told_once_that_its_datagram_session_is_over_unless_it_ended_it_itself() -> None:
    world, mn, cn = registered_world()
    closed_by_cn = world.ask(cn, request(Mode.CENTRAL)).session
    world.sent.clear()
    assert world.ask(cn, Message(MessageType.SESSION_CLOSE, 0, session=closed_by_cn)).ok
    assert sorted(flow(world)) == [
        ("cn3", "server", "SESSION_CLOSE"),
        ("server", "cn3", "SESSION_CLOSED"),
        ("server", "mn1", "SESSION_ENDED"),
    ]
    told = next(message for _, peer, message in world.sent if peer == mn.peer)
    mn.core.receive(encode(told, KEYS["mn1"]), world.now_ns)  # a replay says nothing new
    for node, transport in ((mn, Transport.UDP), (cn, Transport.TCP)):  # a stream's end tells by itself
        session = world.ask(cn, request(Mode.CENTRAL, transport=transport)).session
        assert world.ask(node, Message(MessageType.SESSION_CLOSE, 0, session=session)).ok
    world.settle()
    assert mn.ended == [closed_by_cn] and cn.ended == []


def test_nobody_else_can_end_a_session_in_the_servers_name() -> None:
    world, mn, _ = registered_world()
    forged = Message(MessageType.SESSION_ENDED, 2**40, node="mn1", session=5)
    mn.core.receive(encode(forged, KEYS["mn2"]), world.now_ns)
    world.settle()
    assert mn.ended == []


def test_going_back_to_an_old_leg_keeps_it() -> None:
    world, mn, cn = registered_world(leg_linger_s=5.0)
    session = world.ask(cn, request(Mode.CENTRAL)).session
    for host, seconds in (("10.2.0.2", 2.0), ("10.1.0.2", 4.0)):
        world.move(mn, host)
        world.ask(mn, Message(MessageType.LEG_OPEN, 0, session=session, addresses=(host,), port=7000), seconds)
    assert world.server.requests.sessions[session or 0].legs[-1] == ("10.1.0.2", 7000)
    world.run(20.0)
    assert world.server.requests.sessions[session or 0].legs == [("10.1.0.2", 7000)]


def test_only_the_mn_of_a_session_opens_its_legs() -> None:
    world, _, cn = registered_world()
    session = world.ask(cn, request(Mode.CENTRAL)).session
    for name in ("cn3", "mn2"):
        node = cn if name == "cn3" else world.node("mn2", "10.9.0.2")
        leg = Message(MessageType.LEG_OPEN, 0, session=session, addresses=("10.9.0.2",), port=1)
        assert world.ask(node, leg).reason is Reason.UNKNOWN_SESSION
    assert world.server.requests.sessions[session or 0].legs == [("10.1.0.2", 7000)]


def test_a_refresh_leaves_established_sessions_alone_and_a_move_redirects_the_request() -> None:
    world, mn, cn = registered_world()
    mn.mute = True
    ticket = cn.core.start(request(Mode.COMBINED), world.now_ns)
    world.run(0.1)
    world.move(mn, "10.2.0.2")
    mn.mute, mn.offer = False, ("10.2.0.2", 7000)
    mn.core._window.bitmap = mn.core._window.highest = 0  # the first copy was lost with the old link
    mn.core.start(register("10.2.0.2"), world.now_ns)
    world.run(0.1)
    assert cn.outcomes[ticket].addresses == ("10.2.0.2",)


def test_a_node_may_have_several_services_at_its_addresses() -> None:
    world, mn, cn = registered_world()
    assert world.ask(mn, register(service="echo", services=(("bulk", 7001),))).ok
    for service, port in (("", 7000), ("echo", 7000), ("bulk", 7001)):
        assert world.ask(cn, request(Mode.P2P, service=service)).port == port
    assert world.ask(cn, request(Mode.P2P, service="mail")).reason is Reason.UNKNOWN_SERVICE
    again = World(records=tuple(world.saved.values()))
    assert again.ask(again.node("cn3", "10.3.0.2", first=10**6), request(Mode.P2P, service="bulk")).port == 7001


# ---- refusals


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


# ---- time


def test_an_event_has_exactly_the_time_at_which_it_happened(tmp_path: Path) -> None:
    assert int(EPOCH_NS / 1e9 * 1e9) != EPOCH_NS
    server, node = ServerCore(KEYS, EPOCH_NS - 1), ClientCore("mn1", KEYS["mn1"], 1)
    node.start(register(), 0)
    server.receive(node.datagrams_to_send()[0], ("udp", "10.1.0.2", 5000), EPOCH_NS)
    log = EventLog(tmp_path / "events", "server")
    while (event := server.next_event()) is not None:
        assert isinstance(event, Noted)
        log.write([(event.name, event.time_ns, event.fields)])
    log.write([("stopped", EPOCH_NS + 1, {})])
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert [(line["event"], line["time_ns"]) for line in lines] == [("registered", EPOCH_NS), ("stopped", EPOCH_NS + 1)]


def test_a_binding_expires_at_its_nanosecond_even_after_a_restart(tmp_path: Path) -> None:
    world = World()
    node = world.node("mn1", "10.1.0.2")
    node.core.start(register(lifetime_s=2.0), world.now_ns)
    world.server.receive(node.core.datagrams_to_send()[0], node.peer, world.now_ns)
    expires_ns = EPOCH_NS + 2_000_000_000
    store = Store(tmp_path / "db")
    store.save(world.server.take_changes())
    store.close()
    store = Store(tmp_path / "db")
    restarted = ServerCore(KEYS, world.now_ns, records=store.load())
    store.close()
    for server in (world.server, restarted):
        assert server.due_ns() == expires_ns
        server.handle_timer(expires_ns - 1)
        assert server.due_ns() == expires_ns
        server.handle_timer(expires_ns)
        assert server.due_ns() is None and server.events[-1] == Noted(
            "expired", expires_ns, {"node": "mn1", "addresses": ["10.1.0.2"]}
        )


def test_what_is_unanswered_is_repeated_at_the_nanosecond_it_is_due() -> None:
    node = ClientCore("mn1", KEYS["mn1"], 1)
    node.start(register(), 7)
    sent_ns = [7]
    while (due_ns := node.due_ns()) is not None:
        node.datagrams_to_send()
        node.handle_timer(due_ns - 1)
        assert not node.datagrams_to_send() and node.due_ns() == due_ns
        node.handle_timer(due_ns)
        sent_ns.append(due_ns)
    waits_ns = [later - earlier for earlier, later in itertools.pairwise(sent_ns)]
    assert waits_ns == [500_000_000, 1_000_000_000, *[2_000_000_000] * 4, 500_000_000]
    assert node.next_event() == Completed(1, Outcome(Status.TIMEOUT, attempts=7))


def test_a_timer_that_rounding_fired_early_is_due() -> None:
    assert fired_ns(EPOCH_NS, EPOCH_NS - 1) == fired_ns(EPOCH_NS, EPOCH_NS) == EPOCH_NS
    assert fired_ns(EPOCH_NS, EPOCH_NS + 5) == EPOCH_NS + 5
    assert fired_ns(EPOCH_NS, EPOCH_NS - ROUNDING_NS) == EPOCH_NS - ROUNDING_NS  # that was no rounding
    assert seconds_until(EPOCH_NS + 1, EPOCH_NS) == 1e-9 and seconds_until(EPOCH_NS, EPOCH_NS + 1) == 0.0


# ---- loss


def lossy_steps(world: World, mn: Node, cn: Node) -> list[tuple[Node, Callable[[], Message]]]:
    steps: list[tuple[Node, Callable[[], Message]]] = []
    for number in range(8):
        host = f"10.{number}.0.2"
        steps.append((mn, lambda host=host: register(host)))  # type: ignore[misc]
        steps += [(cn, lambda mode=mode: request(mode)) for mode in Mode]  # type: ignore[misc]
    return steps


@pytest.mark.parametrize("seed", range(25))
def test_under_loss_every_request_ends_and_nothing_is_done_twice(seed: int) -> None:
    world = World(loss=0.3, seed=seed)
    mn, cn = world.node("mn1", "10.1.0.2"), world.node("cn3", "10.3.0.2")
    while not world.ask(cn, register("10.3.0.2")).ok:
        pass
    counts: dict[str, int] = {}
    for node, make in lossy_steps(world, mn, cn):
        message = make()
        outcome = world.ask(node, message, 11.0)
        counts[outcome.status] = counts.get(outcome.status, 0) + 1
        if message.type is MessageType.REGISTER and outcome.ok:
            binding = world.server.records["mn1"].binding
            assert binding is not None and binding.addresses == message.addresses
    assert sum(counts.values()) == 32
    assert counts["ok"] >= 20
    assert len(mn.incoming) == len({one.number for one in mn.incoming})
    registrations = [entry for entry in world.log if entry.name == "registered" and entry.fields["node"] == "mn1"]
    assert len(registrations) <= 8
    world.run(60.0)
    assert not world.server.requests._pending and not world.server.requests._running
