"""Whom a mobile node tells of its addresses, in which order, and what becomes of what it said before."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from agents_fake import EPOCH_NS, Log, World, world
from servers_fake import FakeDdns, FakeRegistrationServer

from dmmlab.nodes.ddns.update import UpdateClient, Updated
from dmmlab.nodes.mobility import presence
from dmmlab.nodes.orders import Account, MobileNodeFile, ZoneKey
from dmmlab.nodes.registration.client_core import ClientCore
from dmmlab.nodes.registration.wire import Message, MessageType, Mode, Reason, Transport, decode

SERVER, DDNS, CN = "10.2.6.2", "10.2.5.2", ("10.2.3.2", 5000)
NAME, PORT = "mn1.mn.dmm.test", 48620
KEYS = {NAME: b"m" * 32, "cn3.mn.dmm.test": b"c" * 32}
SECRET = base64.b64encode(b"t" * 32).decode()
ACCOUNT = Account(server=SERVER, port=PORT, node=NAME, key=KEYS[NAME].hex(), control="udp", lifetime_s=300.0)
ZONE = ZoneKey(server=DDNS, zone="mn.dmm.test", name=NAME, secret=SECRET, ttl_s=5, keep_old=False)
OLD, NEW = "10.1.1.100", "10.1.2.100"


class NoTerminal:
    """In place of what ends the server's TCP legs, which is tested with the relay."""

    def __init__(self, *_: object) -> None:
        self.port = 7000

    async def start(self) -> None:
        pass

    async def move(self, address: str) -> dict[int, bool]:
        return {}


class Scene:
    """A mobile node's presence, and the servers that it tells."""

    def __init__(self, of: World, folder: Path) -> None:
        self.of, self.log = of, Log(folder / "events", "mobile node")
        self.server = FakeRegistrationServer(of, SERVER, PORT, KEYS)
        self.ddns = FakeDdns(of, DDNS, NAME, SECRET)

    def play(self, config: MobileNodeFile, *steps: tuple[float, Callable[[presence.Presence], None]]) -> None:
        """Does each step at its time (s), and ends 5 s after the last."""

        async def scene() -> None:
            node = presence.Presence(config, self.log.log)
            for at_s, act in steps:
                await asyncio.sleep(at_s - self.of.clock.s)
                act(node)
            await asyncio.sleep(5.0)

        self.of.run(scene())

    def announce(self, address: str, *deprecated: str) -> Callable[[presence.Presence], None]:
        """It has ``address`` now and says so."""

        def act(node: presence.Presence) -> None:
            self.of.network.own = [*reversed(deprecated), address]
            node.announce(address, deprecated)

        return act

    def ask(self, mode: Mode, transport: Transport = Transport.UDP, service: str = "") -> None:
        """A correspondent registers, and asks the server for the mobile node."""
        core = ClientCore("cn3.mn.dmm.test", KEYS["cn3.mn.dmm.test"], EPOCH_NS + self.of.clock.ns)
        core.start(Message(MessageType.REGISTER, 0, addresses=(CN[0],), port=1, lifetime_ms=10**6), 0)
        core.start(
            Message(MessageType.SERVICE_REQUEST, 0, target=NAME, mode=mode, transport=transport, service=service), 0
        )
        for data in core.datagrams_to_send():
            self.server.take(data, CN)

    def answers(self) -> list[Message]:
        """What the mobile node answered to such requests."""
        kinds = (MessageType.INCOMING_ANSWER, MessageType.DECLINED)
        return [message for data in self.of.network.sent_to(SERVER) if (message := decode(data)).type in kinds]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with world() as of, mock.patch.object(presence, "LegTerminal", NoTerminal):
        yield Scene(of, tmp_path)


def both(keep_old: bool = False) -> MobileNodeFile:
    zone = ZoneKey(server=DDNS, zone="mn.dmm.test", name=NAME, secret=SECRET, ttl_s=5, keep_old=keep_old)
    return MobileNodeFile(account=ACCOUNT, zone=zone, discover=None, resolver=None)


def only_zone() -> MobileNodeFile:
    return MobileNodeFile(account=None, zone=ZONE, discover=None, resolver=None)


def only_account() -> MobileNodeFile:
    return MobileNodeFile(account=ACCOUNT, zone=None, discover=None, resolver=None)


def test_both_servers_hear_of_a_new_address_at_once_and_from_it(scene: Scene) -> None:
    scene.play(both(), (1.0, scene.announce(OLD)), (10.0, scene.announce(NEW, OLD)))
    assert [(at_s, source[0]) for at_s, source, to, _ in scene.of.network.sent if to[0] == DDNS] == [
        (1, OLD),
        (10, NEW),
    ]
    assert [(at_s, source[0]) for at_s, source, to, _ in scene.of.network.sent if to[0] == SERVER] == [
        (1, OLD),
        (10, NEW),
    ]
    assert scene.ddns.zone == [[OLD], [NEW]]
    assert scene.server.addresses(NAME) == (NEW, OLD)
    assert scene.log.times("zone_updated") == [1.02, 10.02] and scene.log.times("registered") == [1.02, 10.02]
    assert {fields["outcome"] for name in ("zone_updated", "registered") for fields in scene.log.of(name)} == {"ok"}


def test_where_old_addresses_are_kept_in_the_zone_the_new_one_comes_first(scene: Scene) -> None:
    scene.play(both(keep_old=True), (1.0, scene.announce(OLD)), (10.0, scene.announce(NEW, OLD)))
    assert scene.ddns.zone == [[OLD], [NEW, OLD]]


def test_an_older_update_that_is_under_way_never_comes_last(scene: Scene) -> None:
    """Updates have no order (RFC 2136): the old address's repetitions must end when the new one is announced."""
    network = scene.of.network
    network.silent.add(DDNS)
    scene.play(
        only_zone(),
        (1.0, scene.announce(OLD)),
        (1.2, scene.announce(NEW, OLD)),
        (1.3, lambda node: network.silent.clear()),
    )
    assert scene.ddns.zone == [[NEW]]
    assert [fields["address"] for fields in scene.log.of("zone_updated")] == [NEW]
    assert scene.log.of("zone_updated")[0]["attempts"] == 2


@pytest.mark.parametrize(("refusals", "outcomes"), [(1, ["refused", "ok"]), (5, ["refused", "refused"])])
def test_an_update_that_a_set_clock_made_too_old_is_sent_once_more(
    scene: Scene, refusals: int, outcomes: list[str]
) -> None:
    """Once: two clocks that differ go on to do so (RFC 8945 section 5.2.3)."""
    left, real = iter(range(refusals)), UpdateClient.update

    async def update(client: UpdateClient, *what: Any, **how: Any) -> Updated:
        return await real(client, *what, **how) if next(left, None) is None else Updated("refused", "badtime")

    with mock.patch.object(UpdateClient, "update", update):
        scene.play(only_zone(), (1.0, scene.announce(OLD)))
    assert [fields["outcome"] for fields in scene.log.of("zone_updated")] == outcomes


def test_two_addresses_in_quick_succession_leave_the_second(scene: Scene) -> None:
    scene.play(only_account(), (1.0, scene.announce(OLD)), (1.0, scene.announce(NEW, OLD)))
    assert scene.server.addresses(NAME) == (NEW, OLD)
    assert scene.log.of("registered")[-1]["address"] == NEW
    assert len({source for _, source, _, _ in scene.of.network.sent}) <= 2  # one client, a socket an address


def test_the_registration_is_refreshed_at_half_its_lifetime(scene: Scene) -> None:
    scene.play(only_account(), (1.0, scene.announce(OLD)), (460.0, lambda node: None))
    refreshed = [at_s for at_s, _, to, _ in scene.of.network.sent if to[0] == SERVER]
    assert refreshed == [1.0, 151.02, 301.04, 451.06]


def test_what_is_asked_is_answered_with_what_is_true_now_whatever_the_server_believes(scene: Scene) -> None:
    """The registration of the new address is lost; the server still asks at the old one."""
    scene.play(
        only_account(),
        (1.0, scene.announce(OLD)),
        (2.0, lambda node: scene.server.deaf_to.add(MessageType.REGISTER)),
        (2.0, scene.announce(NEW, OLD)),
        (2.1, lambda node: scene.server.deaf_to.clear()),
        (2.1, lambda node: scene.ask(Mode.COMBINED)),
    )
    assert scene.answers()[0].addresses == (NEW, OLD)


def test_a_service_that_it_has_not_is_declined(scene: Scene) -> None:
    scene.play(
        only_account(),
        (1.0, scene.announce(OLD)),
        (2.0, lambda node: scene.ask(Mode.COMBINED, service="bulk")),
        (3.0, lambda node: scene.ask(Mode.COMBINED, service="echo")),
    )
    assert [answer.port for answer in scene.answers()] == [5002, 5001]
    request = mock.Mock(service="chess", mode=Mode.P2P)
    assert presence.Registrar(300.0, scene.log.log)._answer(request) is Reason.UNKNOWN_SERVICE


def move_with_a_relayed_session(scene: Scene) -> list[MessageType]:
    """What the mobile node sends to the server at the instant of its move, in order."""
    scene.play(
        only_account(),
        (1.0, scene.announce(OLD)),
        (2.0, lambda node: scene.ask(Mode.CENTRAL)),
        (3.0, scene.announce(NEW, OLD)),
    )
    return [decode(data).type for at_s, _, to, data in scene.of.network.sent if to[0] == SERVER and at_s == 3.0]


def test_a_relayed_session_gets_a_leg_at_the_new_address_at_once(scene: Scene) -> None:
    assert sorted(move_with_a_relayed_session(scene)) == [MessageType.REGISTER, MessageType.LEG_OPEN]
    (leg,) = scene.log.of("leg_opened")
    (session,) = scene.server.core.requests.sessions.values()
    assert (leg["session_number"], leg["address"], leg["transport"]) == (session.number, NEW, "udp")
    assert session.legs[-1] == (NEW, 5001)


def test_the_new_leg_is_asked_for_before_the_registration_as_the_draft_has_it(scene: Scene) -> None:
    assert move_with_a_relayed_session(scene) == [MessageType.LEG_OPEN, MessageType.REGISTER]


def lazy() -> MobileNodeFile:
    return replace(only_account(), account=replace(ACCOUNT, update_after_s=5.0))


def sent_to_server(scene: Scene) -> list[tuple[float, MessageType]]:
    return [(at_s, decode(data).type) for at_s, _, to, data in scene.of.network.sent if to[0] == SERVER]


def test_a_lazy_update_leaves_in_its_time_and_the_user_plane_at_once(scene: Scene) -> None:
    scene.play(
        lazy(),
        (1.0, scene.announce(OLD)),
        (2.0, lambda node: scene.ask(Mode.CENTRAL)),
        (3.0, scene.announce(NEW, OLD)),
        (4.0, lambda node: scene.ask(Mode.COMBINED)),
    )
    sent = sent_to_server(scene)
    assert sent[0] == (1.0, MessageType.REGISTER)
    assert [one for one in sent if one[0] > 2.5 and one[1] != MessageType.INCOMING_ANSWER] == [
        (3.0, MessageType.LEG_OPEN),
        (8.0, MessageType.REGISTER),
    ]
    assert [answer.addresses for answer in scene.answers()] == [(OLD,), (NEW, OLD)]
    assert scene.server.addresses(NAME) == (NEW, OLD)


def test_a_lazy_update_is_not_sent_for_an_address_that_was_left_again(scene: Scene) -> None:
    """Away and back within its time: the address that the server knows is registered again, in the time of that one."""
    scene.play(
        lazy(), (1.0, scene.announce(OLD)), (3.0, scene.announce(NEW, OLD)), (4.0, scene.announce(OLD, NEW)),
        (9.0, lambda node: None),
    )  # fmt: skip
    assert sent_to_server(scene) == [(1.0, MessageType.REGISTER), (9.0, MessageType.REGISTER)]
    assert scene.server.addresses(NAME) == (OLD, NEW)


def test_a_lazy_update_that_is_not_answered_before_the_next_move_is_left_out(scene: Scene) -> None:
    """Else it would be said again from the new place, and the server take the older address for the newest."""
    silent = scene.of.network.silent
    scene.play(
        lazy(),
        (1.0, scene.announce(OLD)),
        (3.0, scene.announce(NEW, OLD)),
        (7.9, lambda node: silent.add(SERVER)),
        (8.2, lambda node: silent.clear()),
        (8.2, scene.announce(OLD, NEW)),
        (13.5, lambda node: None),
    )
    assert sent_to_server(scene) == [
        (1.0, MessageType.REGISTER),
        (8.0, MessageType.REGISTER),
        (13.2, MessageType.REGISTER),
    ]
    assert scene.server.addresses(NAME) == (OLD, NEW)


def test_a_node_that_the_server_does_not_know_yet_registers_at_once_after_a_move_too(scene: Scene) -> None:
    silent = scene.of.network.silent
    silent.add(SERVER)
    scene.play(
        lazy(), (1.0, scene.announce(OLD)), (1.2, lambda node: silent.clear()), (1.2, scene.announce(NEW, OLD)),
    )  # fmt: skip
    assert sent_to_server(scene)[-1] == (1.2, MessageType.REGISTER)
    assert scene.server.addresses(NAME) == (NEW, OLD)


def test_a_session_that_is_over_gets_no_leg(scene: Scene) -> None:
    def end(node: presence.Presence) -> None:
        (session,) = scene.server.core.requests.sessions.values()
        scene.server.core.requests.release(session.number, EPOCH_NS + scene.of.clock.ns, "idle")
        for data, peer in scene.server.core.datagrams_to_send():
            scene.of.network.post(data, (SERVER, PORT), (peer[1], peer[2]))

    scene.play(
        only_account(),
        (1.0, scene.announce(OLD)),
        (2.0, lambda node: scene.ask(Mode.CENTRAL)),
        (3.0, end),
        (4.0, scene.announce(NEW, OLD)),
    )
    assert MessageType.LEG_OPEN not in scene.server.got


def test_a_server_that_is_silent_is_an_outcome_and_what_breaks_is_an_event(scene: Scene) -> None:
    scene.of.network.silent = {DDNS, SERVER}
    scene.play(both(), (1.0, scene.announce(OLD)), (10.0, lambda node: None))
    assert [fields["outcome"] for fields in scene.log.of("registered")] == ["timeout"]
    assert [fields["outcome"] for fields in scene.log.of("zone_updated")] == ["timeout"]
    assert "announcement_failed" not in scene.log.names


def test_an_address_that_is_gone_before_it_is_announced_is_an_event_and_the_next_one_is_announced(
    scene: Scene,
) -> None:
    def announce_what_is_gone(node: presence.Presence) -> None:
        scene.of.network.own = []
        node.announce(OLD, [])

    scene.play(only_account(), (1.0, announce_what_is_gone), (2.0, scene.announce(NEW)))
    (failed,) = scene.log.of("announcement_failed")
    assert failed["reason"].startswith("OSError")
    assert scene.server.addresses(NAME) == (NEW,)
