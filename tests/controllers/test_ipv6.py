"""The redirect of IPv6 addresses: bindings from neighbour discovery, and what stays on the new link."""

import random
from dataclasses import replace

import pytest
from controllers_fake import (
    FakeNetwork,
    Frame,
    dropped,
    frame_bytes,
    ip6_frame,
    make_plan,
    mn_ip6,
    mn_mac,
    nd_frame,
    router_ip6,
    router_mac,
)
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import Ether

from dmmlab.controllers import nd
from dmmlab.controllers.plan import Plan

CN = "fd00:9::2"
SOLICITED_NODE = "33:33:ff:00:00:01"
ALL_ROUTERS = "33:33:00:00:00:02"
SOLICITATION, ADVERTISEMENT = 135, 136


def plan6(n: int, mesh: bool = True, releases: bool = False) -> Plan:
    links = [(a, b) for a in range(1, n + 1) for b in range(a + 1, n + 1) if mesh or b == a + 1]
    return make_plan(links, n, family="ipv6", releases=releases)


def move(net: FakeNetwork, k: int, i: int) -> None:
    """To MRi; there a router solicitation, and then the new address asks for its router."""
    mac = mn_mac(k)
    if mac in net.place:
        net.detach(mac)
        net.pump()
    net.attach(mac, i)
    net.from_mn(mac, ip6_frame(mac, ALL_ROUTERS, "fe80::1", "ff02::2", 58))
    net.pump()
    net.from_mn(mac, nd_frame(mac, SOLICITED_NODE, mn_ip6(k, i), SOLICITATION, router_ip6(i)))
    net.pump()


def ends(delivered: list[tuple[str, str, Frame]]) -> list[tuple[str, object]]:
    return [(who, frame["eth_dst"]) for _, who, frame in delivered]


def check_reachable(net: FakeNetwork, k: int, i: int) -> None:
    mac, address = mn_mac(k), mn_ip6(k, i)
    here = net.place[mac][0]
    for proto in (6, 17, 58):
        down = net.from_router(i, ip6_frame(router_mac(i), mac, CN, address, proto))
        assert ends(down) == [(mac, mac)]
        up = net.from_mn(mac, ip6_frame(mac, router_mac(here), address, CN, proto))
        assert ends(up) == [(f"MR{i}", router_mac(i))]
    probed = net.from_router(i, nd_frame(router_mac(i), mac, router_ip6(i), SOLICITATION, address))
    assert [who for _, who, _ in probed].count(mac) == 1
    check_resolution(net, k, i)
    answered = net.from_mn(mac, nd_frame(mac, router_mac(i), address, ADVERTISEMENT, address))
    assert ends(answered) == [(f"MR{i}", router_mac(i))]
    own = net.from_mn(mac, nd_frame(mac, SOLICITED_NODE, address, SOLICITATION, router_ip6(here)))
    assert (f"MR{here}", SOLICITED_NODE) in ends(own), "it asks for its new router from the old address"
    net.queue.clear()


def check_resolution(net: FakeNetwork, k: int, i: int) -> None:
    """MRi's router learns the node's MAC: from itself at home, else from the controller."""
    mac, address = mn_mac(k), mn_ip6(k, i)
    net.queue.clear()
    net.answers.clear()
    asked = net.from_router(i, nd_frame(router_mac(i), SOLICITED_NODE, router_ip6(i), SOLICITATION, address))
    net.pump()
    at_home = mac in net.place and net.place[mac][0] == i
    assert ([who for _, who, _ in asked].count(mac), len(net.answers)) == ((1, 0) if at_home else (0, 1))
    for dpid, port, frame in net.answers:
        assert (dpid, port) == (i, net.switches[i].ports[net.switches[i].plan.router_port_name])
        assert Ether(frame).dst == router_mac(i) and Ether(frame)[ICMPv6ND_NA].tgt == address
        assert Ether(frame)[ICMPv6NDOptDstLLAddr].lladdr == mac


@pytest.mark.parametrize("plan", [plan6(2), plan6(3), plan6(3, mesh=False)])
def test_old_addresses_work_at_every_mobile_router(plan: Plan) -> None:
    net = FakeNetwork(plan)
    n = len(net.switches)
    for here in [*range(1, n + 1), *range(n - 1, 0, -1)]:
        move(net, 1, here)
        for binding in list(net.core.bindings.values()):
            check_reachable(net, 1, binding.anchor)
    assert {b.address for b in net.core.bindings.values()} == {mn_ip6(1, i) for i in range(1, n + 1)}


def test_a_restarted_controller_changes_nothing() -> None:
    net = FakeNetwork(plan6(3))
    for here in (1, 2, 3):
        move(net, 1, here)
    net.restart()
    assert net.changed() == 0 and len(net.core.bindings) == 3
    check_reachable(net, 1, 1)


def test_an_old_address_first_seen_after_the_move_is_bound_to_its_prefix() -> None:
    net = FakeNetwork(plan6(2))
    net.attach(mn_mac(1), 2)
    net.from_mn(mn_mac(1), nd_frame(mn_mac(1), SOLICITED_NODE, mn_ip6(1, 1), SOLICITATION, router_ip6(2)))
    net.pump()
    (binding,) = net.core.bindings.values()
    assert binding.anchor == 1
    check_reachable(net, 1, 1)


def test_link_local_and_foreign_addresses_are_no_bindings() -> None:
    net = FakeNetwork(plan6(2))
    net.attach(mn_mac(1), 1)
    for source in ("fe80::1", "2001:db8::1"):
        net.from_mn(mn_mac(1), nd_frame(mn_mac(1), SOLICITED_NODE, source, SOLICITATION, router_ip6(1)))
    net.pump()
    assert not net.core.bindings


def test_duplicate_address_detection_claims_its_target() -> None:
    frame = nd_frame(mn_mac(1), SOLICITED_NODE, "::", SOLICITATION, "fd00:1::b")
    assert nd.claimed_address(frame_bytes(frame)) == "fd00:1::b"
    assert nd.claimed_address(frame_bytes(frame)[:70]) is None


@pytest.mark.parametrize("seed", range(8))
def test_any_sequence_of_movements(seed: int) -> None:
    rng = random.Random(seed)
    n = rng.randint(2, 4)
    net = FakeNetwork(plan6(n, mesh=rng.random() < 0.5))
    held: set[tuple[int, int]] = set()
    for _ in range(15):
        k, here = rng.randint(1, 3), rng.randint(1, n)
        move(net, k, here)
        held.add((k, here))
        if rng.random() < 0.2:
            net.restart(order=rng.sample(range(1, n + 1), n))
            assert net.changed() == 0
        for each in held:
            check_reachable(net, *each)


def test_a_node_that_is_nowhere_is_answered_for_until_it_is_back() -> None:
    net = FakeNetwork(plan6(2))
    move(net, 1, 1)
    check_resolution(net, 1, 1)
    net.detach(mn_mac(1))
    net.pump()
    check_resolution(net, 1, 1)
    move(net, 1, 1)
    check_resolution(net, 1, 1)


@pytest.mark.parametrize("away", [True, False])
def test_an_address_is_defended_while_its_node_is_away(away: bool) -> None:
    """Another node forms it on the anchor's link: it hears that it is a duplicate (RFC 4862 section 5.4.4)."""
    net = FakeNetwork(plan6(2))
    move(net, 1, 1)
    move(net, 1, 2 if away else 1)
    net.attach(mn_mac(2), 1)
    net.from_mn(mn_mac(2), ip6_frame(mn_mac(2), ALL_ROUTERS, "fe80::2", "ff02::2", 58))
    net.pump()
    net.answers.clear()
    net.from_mn(mn_mac(2), nd_frame(mn_mac(2), SOLICITED_NODE, "::", SOLICITATION, mn_ip6(1, 1)))
    net.pump()
    assert len(net.answers) == away, "at home it defends its address itself"
    for _, _, frame in net.answers:
        sent = Ether(frame)
        assert (sent[IPv6].dst, sent[ICMPv6ND_NA].S, sent[ICMPv6ND_NA].O) == ("ff02::1", 0, 1)


@pytest.mark.parametrize("several_radios", [True, False])
def test_a_second_radio_that_nobody_knew_may_form_at_home_the_address_of_its_node(several_radios: bool) -> None:
    net = FakeNetwork(replace(plan6(2), several_radios=several_radios))
    move(net, 1, 1)
    move(net, 1, 2)
    net.detach(mn_mac(1))
    net.attach(mn_mac(2), 1)
    net.from_mn(mn_mac(2), ip6_frame(mn_mac(2), ALL_ROUTERS, "fe80::2", "ff02::2", 58))
    net.pump()
    net.answers.clear()
    net.from_mn(mn_mac(2), nd_frame(mn_mac(2), SOLICITED_NODE, "::", SOLICITATION, mn_ip6(1, 1)))
    net.pump()
    assert bool(net.answers) is not several_radios
    down = net.from_router(2, ip6_frame(router_mac(2), mn_mac(1), CN, mn_ip6(1, 2), 17))
    assert [who for _, who, _ in down] == ([mn_mac(2)] if several_radios else [])


def test_the_ablation_answers_for_nobody() -> None:
    net = FakeNetwork(plan6(2), redirect=False)
    move(net, 1, 1)
    move(net, 1, 2)
    net.from_router(1, nd_frame(router_mac(1), SOLICITED_NODE, router_ip6(1), SOLICITATION, mn_ip6(1, 1)))
    net.pump()
    assert not net.answers


def test_an_answers_checksum_is_right() -> None:
    asked = nd.question(frame_bytes(nd_frame(router_mac(1), SOLICITED_NODE, router_ip6(1), SOLICITATION, mn_ip6(1, 1))))
    assert asked is not None
    sent = Ether(asked.answer(mn_mac(1)))
    again = sent.copy()
    del again[ICMPv6ND_NA].cksum
    assert Ether(bytes(again))[ICMPv6ND_NA].cksum == sent[ICMPv6ND_NA].cksum
    assert sent[IPv6].hlim == 255


def test_advertisements_to_all_nodes_stay_with_the_router_and_answers_pass() -> None:
    net = FakeNetwork(plan6(2))
    move(net, 1, 1)
    advertisement = {**ip6_frame(router_mac(1), "33:33:00:00:00:01", "fe80::1", "ff02::1", 58), "icmpv6_code": 0}
    assert not net.from_router(1, {**advertisement, "icmpv6_type": 134})
    answer = {**advertisement, "eth_dst": mn_mac(1), "ipv6_dst": "fe80::2", "icmpv6_type": 134}
    assert [who for _, who, _ in net.from_router(1, answer)] == [mn_mac(1)]


def test_an_address_that_is_dropped_goes_to_its_anchor_and_takes_the_redirect_away() -> None:
    net = FakeNetwork(plan6(3, mesh=False, releases=True))
    move(net, 1, 1)
    move(net, 1, 3)
    address = mn_ip6(1, 1)
    delivered = net.from_mn(mn_mac(1), dropped(mn_mac(1), router_mac(3), address, address))
    assert ends(delivered) == [("MR1", router_mac(1))]
    net.pump(2)
    assert address in net.core.bindings  # it counts where it is delivered
    net.pump()
    assert address not in net.core.bindings
    assert net.events("binding_released") and net.events("redirect_removed")
    check_reachable(net, 1, 3)


@pytest.mark.parametrize("source,lifetime", [(mn_ip6(1, 3), 0), (mn_ip6(1, 1), 60)])
def test_who_renews_an_address_or_speaks_of_another_drops_none(source: str, lifetime: int) -> None:
    net = FakeNetwork(plan6(3, mesh=False, releases=True))
    move(net, 1, 1)
    move(net, 1, 3)
    net.from_mn(mn_mac(1), dropped(mn_mac(1), router_mac(1), source, mn_ip6(1, 1), lifetime))
    net.pump()
    assert mn_ip6(1, 1) in net.core.bindings and not net.events("binding_released")
