"""Attacks on the registration server's core: in another's name, or to have it send more than it got."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from registration_world import EPOCH_NS, KEYS, SERVER, World, register, registered_world, request

from dmmlab.nodes.registration import requests
from dmmlab.nodes.registration.bindings import MOST_HOSTS, Noted, RelayWanted
from dmmlab.nodes.registration.replies import ANSWERS_KEPT, MOST_NOTED
from dmmlab.nodes.registration.server_core import ServerCore
from dmmlab.nodes.registration.wire import (
    REQUIRED,
    Message,
    MessageType,
    Mode,
    Reason,
    Transport,
    decode,
    encode,
)

THIEF = ("udp", "10.66.0.6", 6666)
VALUES: dict[str, object] = {
    "node": "mn1", "target": "mn1", "addresses": ("10.1.0.2",), "port": 7, "lifetime_ms": 1000, "mode": Mode.P2P,
    "transport": Transport.UDP, "session": 1, "reason": Reason.MALFORMED, "offset": 0,
}  # fmt: skip


def every_message(node: str, sequence: int = 1) -> Iterator[Message]:
    """The least of each type."""
    for kind in MessageType:
        fields = {name: VALUES[name] for name in REQUIRED[kind]} | {"node": node}
        yield Message(kind, sequence, **fields)  # type: ignore[arg-type]


def answers(world: World) -> list[tuple[bytes, tuple[str, str, int]]]:
    while (event := world.server.next_event()) is not None:
        if isinstance(event, RelayWanted):
            world.server.requests.relay_ready(event.session, 40_000, 40_001, world.now_ns)
    world.server.take_changes()
    return world.server.datagrams_to_send()


@pytest.mark.parametrize("key", [KEYS["mn2"], b"x" * 32, None])
def test_nobody_registers_under_anothers_name(key: bytes | None) -> None:
    """Neither with a key of his own, nor with any other, nor with none: nothing of mn1's changes."""
    world, mn, _ = registered_world()
    before = replace(world.server.records["mn1"].binding)  # type: ignore[type-var]
    window = replace(world.server.records["mn1"].window)
    for message in every_message("mn1", 2**62):
        message.addresses = ("10.66.0.6",) if message.addresses else ()
        world.server.receive(encode(message, key), THIEF, world.now_ns)
        world.server.receive(encode(message, key), mn.peer, world.now_ns)
        sent = answers(world)
        assert all(data.endswith(bytes(16)) for data, _ in sent), "nothing of it is signed"
    assert world.server.records["mn1"].binding == before
    assert world.server.records["mn1"].window == window
    assert world.server.take_changes() == []


def test_a_registration_under_ones_own_name_says_nothing_of_another_node() -> None:
    world, _, _ = registered_world()
    other = world.node("mn2", "10.9.0.2")
    assert world.ask(other, register("10.1.0.2")).ok  # mn1's address
    binding = world.server.records["mn1"].binding
    assert binding is not None and binding.control[1] == "10.1.0.2"
    assert world.server.records["mn2"].binding.control == other.peer  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", [Mode.COMBINED, Mode.CENTRAL])
def test_nobody_answers_what_another_node_was_asked(mode: Mode) -> None:
    """With a key and a name of his own he would have the correspondent sent to himself, or sent away."""
    world, mn, cn = registered_world()
    assert world.ask(world.node("mn2", THIEF[1]), register(THIEF[1])).ok
    mn.mute = True
    ticket = cn.core.start(request(mode), world.now_ns)
    world.run(0.1)
    (asked,) = mn.incoming
    for kind in (MessageType.INCOMING_ANSWER, MessageType.DECLINED):
        answer = Message(kind, asked.number, node="mn2", addresses=(THIEF[1],), port=7, reason=Reason.DECLINED)
        world.server.receive(encode(answer, KEYS["mn2"]), THIEF, world.now_ns)
    world.run(0.1)
    assert not cn.outcomes.get(ticket)
    own = Message(MessageType.INCOMING_ANSWER, 0, addresses=mn.offer[:1], port=mn.offer[1], session=asked.session)
    mn.core.answer(asked.number, own)
    world.run(0.1)
    assert cn.outcomes[ticket].addresses == (("10.0.0.5",) if mode is Mode.CENTRAL else mn.offer[:1])


@pytest.mark.parametrize("flip", range(0, 8 * 60, 7))
def test_a_message_with_one_bit_changed_is_nobodys(flip: int) -> None:
    server = ServerCore(KEYS, EPOCH_NS)
    data = bytearray(encode(replace(register(), node="mn1", sequence=5), KEYS["mn1"]))
    data[flip // 8 % len(data)] ^= 1 << flip % 8
    server.receive(bytes(data), THIEF, EPOCH_NS)
    assert server.records["mn1"].binding is None and server.take_changes() == []


def test_replayed_and_reordered_registrations_change_nothing() -> None:
    """Of five registrations, in every order: the newest holds, and what comes again from elsewhere is a replay."""
    messages = [encode(replace(register(f"10.{n}.0.2"), node="mn1", sequence=n), KEYS["mn1"]) for n in range(1, 6)]
    for order in itertools.permutations(messages):
        server = ServerCore(KEYS, EPOCH_NS)
        for data in order:
            server.receive(data, ("udp", "10.1.0.2", 5000), EPOCH_NS)
        binding = server.records["mn1"].binding
        assert binding is not None and binding.addresses == ("10.5.0.2",)
        for data in messages:
            server.receive(data, THIEF, EPOCH_NS)
            server.receive(data, ("udp", "10.1.0.2", 5000), EPOCH_NS + 10**12)
        assert server.records["mn1"].binding == binding
        assert "10.66.0.6" not in server.records["mn1"].hosts


def test_before_it_has_been_authenticated_nobody_is_sent_as_much_as_he_has_sent() -> None:
    """Every message there is, of a known and of an unknown node, unsigned and badly signed."""
    world = World()
    replied = 0
    for node, key in itertools.product(("mn1", "nobody", "x"), (None, b"x" * 32)):
        for message in every_message(node):
            data = encode(message, key)
            world.server.receive(data, THIEF, world.now_ns)
            out = [len(answer) for answer, _ in answers(world)]
            replied += len(out)
            assert sum(out) < len(data), (message.type, node)
    assert replied


def test_an_overheard_message_sent_again_in_anothers_name_brings_him_less() -> None:
    world, mn, cn = registered_world()
    world.ask(cn, request(Mode.CENTRAL))
    overheard = [encode(message, KEYS["mn1"]) for message in every_message("mn1", 3)]
    for data in overheard:
        world.server.receive(data, mn.peer, world.now_ns)
    answers(world)
    victim = ("udp", "10.77.0.7", 53)
    for data in overheard:
        world.server.receive(data, victim, world.now_ns)
        assert sum(len(answer) for answer, to in answers(world) if to == victim) < len(data)


def test_the_server_speaks_to_no_address_that_a_node_has_only_named() -> None:
    """A node may register any; what the server itself sends, and relays, goes to where the node has been heard."""
    world, mn, cn = registered_world()
    assert world.ask(mn, register("10.77.0.7", control_port=53)).ok
    world.sent.clear()
    mn.offer = ("10.77.0.7", 53)
    assert world.ask(cn, request(Mode.CENTRAL)).reason is Reason.DECLINED
    assert {to for source, to, _ in world.sent if source == SERVER} == {mn.peer, cn.peer}
    mn.offer = ("10.1.0.2", 7000)
    session = world.ask(cn, request(Mode.CENTRAL)).session
    foreign = Message(MessageType.LEG_OPEN, 0, session=session, addresses=("10.77.0.7",), port=53)
    assert world.ask(mn, foreign).reason is Reason.FOREIGN_ADDRESS
    assert world.server.requests.sessions[session or 0].legs == [("10.1.0.2", 7000)]


def test_what_is_remembered_of_a_node_and_of_strangers_is_bounded() -> None:
    world = World()
    for sequence in range(1, 300):
        data = encode(replace(register(), node="mn1", sequence=sequence), KEYS["mn1"])
        world.server.receive(data, ("udp", f"10.1.{sequence >> 8}.{sequence & 255}", 5), world.now_ns)
    assert len(world.server.records["mn1"].hosts) == MOST_HOSTS
    assert len(world.server.records["mn1"].answers) == ANSWERS_KEPT
    answers(world)
    for number in range(10_000):
        world.server.receive(random.Random(number).randbytes(60), THIEF, world.now_ns)
    assert len(world.server.events) == MOST_NOTED
    world.server.receive(b"", THIEF, world.now_ns + 10**9)
    noted = [event.fields for event in world.server.events if isinstance(event, Noted) and event.name == "flooded"]
    assert noted == [{"refusals": 10_000 - MOST_NOTED}]


def test_what_a_node_may_have_under_way_is_bounded_and_keeps_no_other_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MOST_ASKED", 5)
    world, mn, cn = registered_world()
    mn.mute = True
    for mode in (Mode.COMBINED, Mode.CENTRAL) * 4:
        cn.core.start(request(mode), world.now_ns)
    world.run(0.1)
    assert [outcome.reason for outcome in cn.outcomes.values() if not outcome.ok] == [Reason.OVERLOADED] * 3
    assert len(world.server.requests._pending) == len(mn.incoming) == 5
    mn.mute, other = False, world.node("mn2", "10.9.0.2")
    assert world.ask(other, register("10.9.0.2"), 0.1).ok and world.ask(other, request(Mode.COMBINED), 0.1).ok
    world.run(10.0)
    assert world.ask(cn, request(Mode.CENTRAL)).ok


@pytest.mark.parametrize("closer", ["mn", "cn"])
def test_a_session_that_is_closed_before_it_is_answered_is_refused_and_forgotten(closer: str) -> None:
    """Found by well-signed noise: the MN's answer to it ended the server's turn."""
    world, mn, cn = registered_world()
    mn.mute = True
    ticket = cn.core.start(request(Mode.CENTRAL), world.now_ns)
    world.run(0.1)
    (asked,) = mn.incoming
    who = {"mn": mn, "cn": cn}[closer]
    who.core.start(Message(MessageType.SESSION_CLOSE, 0, session=asked.session), world.now_ns)
    world.run(0.1)
    mn.core.answer(asked.number, Message(MessageType.INCOMING_ANSWER, 0, addresses=("10.1.0.2",), port=1))
    world.run(20.0)
    assert cn.outcomes[ticket].reason is Reason.DECLINED
    assert not world.server.requests.sessions and not world.server.requests._pending


@pytest.mark.parametrize("service", ["", "a service"])
def test_what_is_turned_away_gets_less_than_it_sent_or_nothing(service: str) -> None:
    """Requests only: a hint that is read as any refusal is, signed by nobody and shorter than the request. What is no
    longer than its refusal would be, as a keepalive is, gets none.
    """
    world, room = World(), len(encode(Message(MessageType.REFUSED, 1, node="mn1", reason=Reason.OVERLOADED), None))
    short = 0
    for message in every_message("mn1"):
        message.service = service
        data = encode(message, KEYS["mn1"])
        world.server.turn_away(data, THIEF, world.now_ns)
        asked = message.type in (*range(MessageType.REGISTER, MessageType.INCOMING_REQUEST, 2), *range(9, 16, 2))
        short += asked and len(data) <= room
        for hint, peer in answers(world):
            refusal = decode(hint)
            assert asked and peer == THIEF and len(hint) < len(data)
            assert (refusal.type, refusal.node, refusal.reason) == (MessageType.REFUSED, "mn1", Reason.OVERLOADED)
            assert refusal.sequence == message.sequence and not any(hint[-16:])
            asked = False
        assert not asked or len(data) <= room
        for cut in range(len(data)):  # whatever else it is, it is none of ours
            world.server.turn_away(data[:cut], THIEF, world.now_ns)
            assert all(len(hint) < cut for hint, _ in answers(world))
    assert bool(short) is not bool(service)
