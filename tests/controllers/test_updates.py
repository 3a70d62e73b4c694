"""After each event what has been decided is in the switches, whole and once: no handler can leave something unsent."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from controllers_fake import FakeNetwork, chain, dhcp_frame, mesh, mn_ip, mn_mac, router_ip, router_mac

from dmmlab.controllers import messages
from dmmlab.controllers.messages import Event, UpdateRules
from dmmlab.controllers.rules import Kind


class WatchedNetwork(FakeNetwork):
    """Holds what the core knows against what the switches have, after every single event."""

    def restart(self, redirect: bool = True, order: Iterable[int] | None = None) -> None:
        self.last_token = 0  # tokens are the core's
        super().restart(redirect, order)

    def _give(self, event: Event) -> None:
        before = len(self.updates)
        super()._give(event)
        self.check_one_update(self.updates[before:])
        self.check_nothing_is_left()

    def check_one_update(self, sent: list[UpdateRules]) -> None:
        assert len({each.dpid for each in sent}) == len(sent), "a switch got two updates for one event"
        tokens = {each.token for each in sent}
        assert len(tokens) <= 1
        assert all(token > self.last_token for token in tokens)
        self.last_token = max({self.last_token} | tokens)

    def check_nothing_is_left(self) -> None:
        """A controller that crashed now would find all that this one knows in the switches."""
        known = {dpid for dpid, switch in self.core.switches.items() if switch.synced}
        sightings = {
            (place.dpid, place.port, place.radio)
            for node in self.core.nodes.values()
            for place in node.sightings
            if place.dpid in known and not self.core.unheard.listens(place)
        }
        bindings = {(b.anchor, b.hardware, b.address) for b in self.core.bindings.values() if b.anchor in known}
        assert sightings == {
            (dpid, rule.get("in_port"), rule.get("eth_src"))
            for dpid in known
            for rule in self.switches[dpid].rules.values()
            if rule.kind is Kind.SIGHTING
        }
        assert bindings == {
            (dpid, rule.get("eth_src"), rule.get("ipv4_src"))
            for dpid in known
            for rule in self.switches[dpid].rules.values()
            if rule.kind is Kind.BINDING
        }


def receive(net: FakeNetwork, event: Event) -> list[UpdateRules]:
    """What the core sends the switches after this event; they have carried it out."""
    before = len(net.updates)
    net._give(event)
    return net.updates[before:]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_nothing_is_left_unsent(seed: int) -> None:
    rng = random.Random(seed)
    size = rng.randint(2, 4)
    net = WatchedNetwork(rng.choice([mesh, chain])(size))
    held: set[tuple[int, int]] = set()
    for _ in range(25):
        k, i = rng.randint(1, 3), rng.randint(1, size)
        mine = sorted(each for each in held if each[0] == k)
        match rng.choice(["move", "move", "release", "detach", "restart", "lose"]):
            case "move":
                net.move(k, i)
                held.add((k, i))
            case "release" if mn_mac(k) in net.place and mine:
                net.release(*(gone := rng.choice(mine)))
                held.discard(gone)
            case "detach" if mn_mac(k) in net.place:
                net.detach(mn_mac(k))
            case "restart":
                net.restart()
            case "lose":
                net.lose(i)
                net.pump()
                net.connect(i)
        net.pump()


def test_a_first_frame_that_is_a_release_is_one_update() -> None:
    net = WatchedNetwork(mesh(2))
    net.move(1, 1)
    net.move(2, 2)
    net.detach(mn_mac(1))
    net.pump()
    net.attach(mn_mac(1), 1)
    net.pump()
    barriers = net.core.updates.counters[1].barriers
    release = dhcp_frame(mn_mac(1), router_mac(1), mn_ip(1, 1), router_ip(1), 7, ciaddr=mn_ip(1, 1))
    net.from_mn(mn_mac(1), release)
    (update,) = receive(net, net.queue.popleft())
    assert [rule.kind for rule in update.install] == [Kind.SIGHTING]
    assert [rule.kind for rule in update.remove] == [Kind.BINDING]
    assert net.core.updates.counters[1].barriers == barriers + 1


def test_a_port_that_comes_back_under_another_number_leaves_no_sighting() -> None:
    net = WatchedNetwork(mesh(2))
    net.move(1, 1)
    name = net.place[mn_mac(1)][1]
    net.switches[1].ports[name] = 999
    receive(net, messages.PortAdded(1, name, 999))
    assert not [rule for rule in net.switches[1].rules.values() if rule.kind is Kind.SIGHTING]


def test_a_redirect_waits_for_the_update_that_carries_it() -> None:
    net = WatchedNetwork(mesh(3))
    net.move(1, 1)
    net.detach(mn_mac(1))
    net.pump()
    net.attach(mn_mac(1), 2)
    net.pump()
    net.from_mn(mn_mac(1), dhcp_frame(mn_mac(1), "ff:ff:ff:ff:ff:ff", "0.0.0.0", "255.255.255.255", 1))
    updates = receive(net, net.queue.popleft())
    assert {each.dpid for each in updates} == {1, 2}
    (change,) = net.core.updates.open.values()
    assert {change.token} == {each.token for each in updates}
    for still_open in (True, False):  # an answer of one switch does not confirm, that of the other does
        net._give(net.queue.popleft())
        assert bool(net.core.updates.open) is still_open
