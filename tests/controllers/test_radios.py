"""A mobile node with two radios (make-before-break): one node by its DHCP client id, one MAC put for the other."""

from dataclasses import replace

import pytest
from controllers_fake import (
    BROADCAST,
    CLIENT_ID,
    CN,
    FIRST,
    SECOND,
    FakeNetwork,
    arp_frame,
    chain,
    dhcp_frame,
    ip6_frame,
    ip_frame,
    lease,
    leased,
    make_plan,
    mesh,
    nd_frame,
    router_ip,
    router_ip6,
    router_mac,
)

from dmmlab.controllers.plan import Plan
from dmmlab.controllers.rules import SetField

OTHER = "02:aa:00:00:09:01"


def attach(net: FakeNetwork, radio: str, i: int, client_id: bytes = CLIENT_ID) -> None:
    """The radio joins switch i and gets a lease there."""
    net.attach(radio, i, port=f"radio-{radio[-5:-3]}")
    assert radio in lease(net, radio, i, client_id)


def detach(net: FakeNetwork, radio: str) -> None:
    net.detach(radio)
    net.pump()


def announce(net: FakeNetwork, radio: str, i: int) -> None:
    """The radio says by ARP that it has MRi's address."""
    net.updates.clear()
    net.from_mn(radio, arp_frame(radio, BROADCAST, leased(i), leased(i)))
    net.pump()


def check(net: FakeNetwork, i: int, hardware: str, radio: str) -> None:
    """MRi's address works by this radio, and MRi's router knows it by the hardware address that it had before."""
    here = net.place[radio][0]
    for proto in (1, 6, 17):
        down = net.from_router(i, ip_frame(router_mac(i), hardware, CN, leased(i), proto))
        assert [(who, f["eth_dst"]) for _, who, f in down] == [(radio, radio)]
        up = net.from_mn(radio, ip_frame(radio, router_mac(here), leased(i), CN, proto))
        assert [(who, f["eth_dst"]) for _, who, f in up] == [(f"MR{i}", router_mac(i))]
    asked = net.from_router(i, arp_frame(router_mac(i), BROADCAST, router_ip(i), leased(i)))
    assert [who for _, who, _ in asked].count(radio) == 1
    if here == i and hardware == radio:
        return
    probed = net.from_router(i, arp_frame(router_mac(i), hardware, router_ip(i), leased(i)))
    assert [(who, f["eth_dst"]) for _, who, f in probed if who == radio] == [(radio, radio)]
    reply = {**arp_frame(radio, router_mac(i), leased(i), router_ip(i)), "arp_sha": radio}
    question = {**reply, "eth_dst": BROADCAST}
    for frame in (reply, question):
        heard = [f for _, who, f in net.from_mn(radio, frame) if who == f"MR{i}"]
        assert [f["eth_src"] for f in heard] == [hardware]
        assert [f["arp_sha"] for f in heard] == [radio if here == i else hardware], "what the anchor's router learns"


def check_restart(net: FakeNetwork) -> None:
    net.restart(order=sorted(net.switches, reverse=True))
    assert net.changed() == 0, net.updates


@pytest.mark.parametrize("plan", [mesh(3), chain(3)])
def test_two_radios_take_turns(plan: Plan) -> None:
    net = FakeNetwork(plan)
    attach(net, FIRST, 1)
    attach(net, SECOND, 2)
    assert net.events("mn_identified") == [{"mn": FIRST, "radio": SECOND}]
    check(net, 1, FIRST, SECOND)
    check_restart(net)
    detach(net, FIRST)
    check(net, 1, FIRST, SECOND)
    check(net, 2, SECOND, SECOND)
    attach(net, FIRST, 3)
    detach(net, SECOND)
    for i, hardware in ((1, FIRST), (2, SECOND), (3, FIRST)):
        check(net, i, hardware, FIRST)
    check_restart(net)
    attach(net, SECOND, 1)
    for i, hardware in ((1, SECOND), (2, SECOND), (3, FIRST)):
        check(net, i, hardware, SECOND)
    assert {binding.mac for binding in net.core.bindings.values()} == {FIRST}


def test_back_at_the_anchor_by_the_other_radio_one_mac_is_put_for_the_other_for_as_long_as_it_is_there() -> None:
    """The router knows the address by the first radio's MAC until the second has announced it; and what the router has
    kept, or others of the link send, goes by the first one's all the same.
    """
    net = FakeNetwork(mesh(2))
    attach(net, FIRST, 1)
    attach(net, SECOND, 2)
    detach(net, FIRST)
    detach(net, SECOND)
    net.attach(SECOND, 1, port="radio-01")
    net.from_mn(SECOND, ip_frame(SECOND, router_mac(1), leased(1), CN, 17))
    net.pump()
    check(net, 1, FIRST, SECOND)
    check_restart(net)
    assert SECOND in lease(net, SECOND, 1)
    announce(net, SECOND, 1)
    check(net, 1, FIRST, SECOND)
    down = net.from_router(1, ip_frame(router_mac(1), SECOND, CN, leased(1), 17))
    assert [(who, f["eth_dst"]) for _, who, f in down] == [(SECOND, SECOND)]
    check_restart(net)


def test_home_by_the_first_radio_again_the_router_knows_it_by_the_other() -> None:
    net = FakeNetwork(mesh(2))
    attach(net, FIRST, 1)
    attach(net, SECOND, 2)
    detach(net, FIRST)
    detach(net, SECOND)
    for radio, hardware in ((SECOND, FIRST), (FIRST, SECOND), (SECOND, FIRST)):
        attach(net, radio, 1)
        check(net, 1, hardware, radio)
        announce(net, radio, 1)
        check(net, 1, hardware, radio)
        detach(net, radio)
    attach(net, FIRST, 2)
    check(net, 1, SECOND, FIRST)
    check_restart(net)


def test_by_which_radio_it_has_an_address_a_node_alone_says_and_at_its_anchor() -> None:
    net = FakeNetwork(mesh(2))
    attach(net, FIRST, 1)
    attach(net, SECOND, 2)
    announce(net, SECOND, 1)
    check(net, 1, FIRST, SECOND)
    net.attach(OTHER, 1, port="radio-09")
    announce(net, OTHER, 1)
    check(net, 1, FIRST, SECOND)


def test_what_it_sends_by_its_old_link_arrives_for_as_long_as_it_has_that() -> None:
    net = FakeNetwork(mesh(3))
    attach(net, FIRST, 1)
    detach(net, FIRST)
    attach(net, FIRST, 2)
    attach(net, SECOND, 3)
    net.advance(10)
    sent = ip_frame(FIRST, router_mac(2), leased(1), CN, 17)
    assert [(who, f["eth_dst"]) for _, who, f in net.from_mn(FIRST, sent)] == [("MR1", router_mac(1))]
    check_restart(net)
    assert [who for _, who, _ in net.from_mn(FIRST, sent)] == ["MR1"]
    i, port = net.place[FIRST]
    number = net.switches[i].ports[port]
    assert [rule for rule in net.switches[i].rules.values() if rule.get("in_port") == number]
    detach(net, FIRST)
    check(net, 1, FIRST, SECOND)
    assert not [rule for rule in net.switches[i].rules.values() if rule.get("in_port") == number], "all drained"


@pytest.mark.parametrize("known", [True, False])
def test_what_its_router_sends_to_a_radio_that_the_switches_have_not_heard_of_follows_the_redirect(known: bool) -> None:
    net = FakeNetwork(replace(mesh(3), several_radios=known))
    attach(net, FIRST, 1)
    detach(net, FIRST)
    attach(net, FIRST, 3)
    down = net.from_router(1, ip_frame(router_mac(1), SECOND, CN, leased(1), 17))
    assert [(who, f["eth_dst"]) for _, who, f in down] == ([(FIRST, FIRST)] if known else [])


def test_back_at_an_anchor_by_the_other_radio_older_addresses_go_by_their_own_anchors() -> None:
    net = FakeNetwork(mesh(3))
    for radio, i in ((FIRST, 1), (FIRST, 2)):
        attach(net, radio, i)
        detach(net, radio)
    net.attach(SECOND, 2, port="radio-01")
    net.from_mn(SECOND, dhcp_frame(SECOND, BROADCAST, "0.0.0.0", "255.255.255.255", 1, client_id=CLIENT_ID))
    net.pump()
    for proto in (1, 6, 17):
        up = net.from_mn(SECOND, ip_frame(SECOND, router_mac(2), leased(1), CN, proto))
        assert [(who, f["eth_src"]) for _, who, f in up] == [("MR1", FIRST)]
        up = net.from_mn(SECOND, ip_frame(SECOND, router_mac(2), leased(2), CN, proto))
        assert [(who, f["eth_src"]) for _, who, f in up] == [("MR2", FIRST)]


def test_a_restart_while_the_other_radio_is_off() -> None:
    net = FakeNetwork(mesh(3))
    attach(net, FIRST, 1)
    attach(net, SECOND, 2)
    detach(net, SECOND)
    assert net.core.nodes[FIRST].location == next(iter(net.core.nodes[FIRST].sightings))
    check_restart(net)
    check(net, 2, SECOND, FIRST)
    attach(net, SECOND, 3)
    check(net, 1, FIRST, SECOND)


@pytest.mark.parametrize("restart", [False, True])
def test_a_radio_that_was_taken_for_a_mobile_node_of_its_own_brings_its_redirects_along(restart: bool) -> None:
    net = FakeNetwork(mesh(3))
    attach(net, SECOND, 1, b"")
    detach(net, SECOND)
    attach(net, SECOND, 2, b"")
    attach(net, FIRST, 3)
    check(net, 1, SECOND, SECOND)
    assert SECOND in lease(net, SECOND, 2)
    for i, hardware in ((1, SECOND), (2, SECOND), (3, FIRST)):
        check(net, i, hardware, SECOND)
    if restart:
        check_restart(net)
    detach(net, SECOND)
    check_restart(net)
    check(net, 2, SECOND, FIRST)
    detach(net, FIRST)
    attach(net, FIRST, 1)
    check(net, 2, SECOND, FIRST)


def test_other_client_ids_are_other_mobile_nodes() -> None:
    net = FakeNetwork(mesh(2))
    attach(net, FIRST, 1, b"\xffMN1")
    attach(net, SECOND, 2, b"\xffMN2")
    assert not net.events("mn_identified") and not net.events("redirect_decided")


def test_ipv6_using_an_address_elsewhere_says_whose_radio_it_is() -> None:
    net = FakeNetwork(make_plan([(1, 2)], 2, family="ipv6"))
    mine, all_nodes = "fd00:1::50", "33:33:ff:00:00:01"
    net.attach(FIRST, 1, port="radio-00")
    net.from_mn(FIRST, nd_frame(FIRST, all_nodes, mine, 135, router_ip6(1)))
    net.pump()
    net.attach(SECOND, 2, port="radio-01")
    net.from_mn(SECOND, nd_frame(SECOND, all_nodes, mine, 135, router_ip6(2)))
    net.pump()
    assert net.events("mn_identified") == [{"mn": FIRST, "radio": SECOND}]
    down = net.from_router(1, ip6_frame(router_mac(1), FIRST, "fd00:9::2", mine, 17))
    assert [(who, f["eth_dst"]) for _, who, f in down] == [(SECOND, SECOND)]
    advertised = {**nd_frame(SECOND, router_mac(1), mine, 136, mine), "ipv6_nd_tll": SECOND}
    heard = net.from_mn(SECOND, advertised)
    assert [(who, f["ipv6_nd_tll"]) for _, who, f in heard] == [("MR1", FIRST)]
    check_restart(net)


def test_at_its_anchor_one_mac_is_put_for_the_other_both_ways_or_neither() -> None:
    """Else an answer to what was asked in the old name goes to a MAC that is not put for the other any more: neither,
    as soon as the node has another link, although it has that one yet.
    """
    net = FakeNetwork(mesh(2))
    attach(net, FIRST, 1)
    detach(net, FIRST)
    attach(net, SECOND, 1)
    assert renaming(net, SECOND)
    attach(net, FIRST, 2)
    assert net.place[SECOND][0] == 1
    assert not renaming(net, SECOND)


def renaming(net: FakeNetwork, radio: str) -> list[str]:
    """What the switch that the radio is at changes of what comes from it: the fields, by rule."""
    i, port = net.place[radio]
    number = net.switches[i].ports[port]
    mine = [rule for rule in net.switches[i].rules.values() if rule.get("in_port") == number]
    return [
        each.name for rule in mine for each in rule.actions if isinstance(each, SetField) and each.name == "eth_src"
    ]
