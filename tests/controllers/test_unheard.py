"""Who came to a switch while it had no controller: whose radio that is, and which addresses it has."""

import pytest
from controllers_fake import (
    BROADCAST,
    CN,
    FIRST,
    SECOND,
    FakeNetwork,
    arp_frame,
    frame_bytes,
    ip6_frame,
    ip_frame,
    lease,
    leased,
    make_plan,
    mesh,
    mn_ip,
    mn_mac,
    nd_frame,
    router_ip6,
    router_mac,
)

from dmmlab.controllers.notebook import notes_of
from dmmlab.controllers.rules import Kind
from dmmlab.controllers.unheard import source_address


def address6(i: int) -> str:
    return f"fd00:{i}::50"


def while_nobody_listens(net: FakeNetwork, radio: str, i: int, port: str) -> None:
    """The controller is killed; the radio comes to switch i and gets a lease; another controller takes its place."""
    for switch in net.switches.values():
        switch.connected = False
    net.attach(radio, i, port)
    lease(net, radio, i)
    net.restart()


def sightings(net: FakeNetwork, i: int) -> list[object]:
    return [rule.get("eth_src") for rule in net.switches[i].rules.values() if rule.kind is Kind.SIGHTING]


def delivered(net: FakeNetwork, i: int, mac: str, at: str) -> list[str]:
    """Who gets what MRi's router sends to the address."""
    frame = ip6_frame if ":" in at else ip_frame
    correspondent = "fd09::2" if ":" in at else CN
    return [who for _, who, _ in net.from_router(i, frame(router_mac(i), mac, correspondent, at, 17))]


def test_a_second_radio_that_came_unheard_is_the_nodes_by_the_address_that_it_uses() -> None:
    net = FakeNetwork(mesh(2))
    for i in (1, 2, 1):
        net.attach(FIRST, i, "radio")
        lease(net, FIRST, i)
        if (i, net.place[FIRST]) != (1, (1, "radio")) or len(net.core.bindings) < 2:
            net.detach(FIRST)
            net.pump()
    while_nobody_listens(net, SECOND, 2, "radio2")
    assert not net.events("mn_identified")
    net.from_mn(SECOND, arp_frame(SECOND, BROADCAST, leased(2), leased(2)))
    net.pump()
    assert net.events("mn_identified") == [{"mn": FIRST, "radio": SECOND}]
    net.detach(FIRST)
    net.pump()
    assert delivered(net, 1, FIRST, leased(1)) == [SECOND]
    assert delivered(net, 2, SECOND, leased(2)) == [SECOND]
    net.detach(SECOND)
    net.attach(SECOND, 1, "radio2")
    lease(net, SECOND, 1)
    assert delivered(net, 2, SECOND, leased(2)) == [SECOND], "the router has heard that as well"


def test_it_is_listened_to_until_an_address_of_its_anchor_is_known_and_ten_seconds_more() -> None:
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    mac = mn_mac(1)
    net.detach(mac)
    net.pump()
    for switch in net.switches.values():
        switch.connected = False
    net.attach(mac, 2)
    net.restart()
    net.from_mn(mac, ip_frame(mac, router_mac(2), mn_ip(1, 1), CN, 17))
    net.pump()
    assert delivered(net, 1, mac, mn_ip(1, 1)) == [mac], "where it is, is known at once"
    assert not sightings(net, 2) and len(net.core.bindings) == 1
    net.advance(20)
    net.from_mn(mac, ip_frame(mac, router_mac(2), mn_ip(1, 2), CN, 17))
    net.pump()
    assert net.core.bindings[mn_ip(1, 2)].expires_ns is None
    assert sightings(net, 2) == [mac]
    net.move(1, 1)
    assert delivered(net, 2, mac, mn_ip(1, 2)) == [mac], "an address that was acknowledged unheard is redirected"


def test_a_radio_that_is_another_nodes_is_not_taken_for_this_ones() -> None:
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    net.move(2, 2)
    net.detach(mn_mac(2))
    net.pump()
    for switch in net.switches.values():
        switch.connected = False
    net.attach(mn_mac(2), 2)
    net.restart()
    net.from_mn(mn_mac(2), ip_frame(mn_mac(2), router_mac(2), mn_ip(1, 1), CN, 17))
    net.pump()
    assert not net.events("mn_identified")
    assert delivered(net, 1, mn_mac(1), mn_ip(1, 1)) == [mn_mac(1)]


def test_in_ipv6_any_packet_tells() -> None:
    net = FakeNetwork(make_plan([(1, 2)], 2, family="ipv6"))
    net.attach(FIRST, 1, "radio")
    net.from_mn(FIRST, nd_frame(FIRST, BROADCAST, address6(1), 136, address6(1)))
    net.pump()
    for switch in net.switches.values():
        switch.connected = False
    net.attach(SECOND, 2, "radio2")
    net.restart()
    net.from_mn(SECOND, ip6_frame(SECOND, router_mac(2), address6(2), "fd09::2", 17))
    net.from_mn(SECOND, ip6_frame(SECOND, router_mac(2), address6(1), "fd09::2", 17))
    net.pump()
    assert net.events("mn_identified") == [{"mn": FIRST, "radio": SECOND}]
    assert {each.mac for each in net.core.bindings.values()} == {FIRST}
    assert delivered(net, 1, FIRST, address6(1)) == [SECOND]
    assert router_ip6(1) not in net.core.bindings


def test_client_ids_outlive_the_controller_in_its_notes() -> None:
    net = FakeNetwork(mesh(2))
    net.attach(FIRST, 1, "radio")
    lease(net, FIRST, 1)
    net.notes = notes_of(net.core)
    net.restart()
    net.attach(SECOND, 2, "radio2")
    lease(net, SECOND, 2)
    assert net.events("mn_identified") == [{"mn": FIRST, "radio": SECOND}]


def test_where_nothing_was_missed_nobody_listens() -> None:
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    net.restart()
    assert sightings(net, 1) == [mn_mac(1)] and net.changed() == 0
    net.attach(SECOND, 2, "radio2")
    net.from_mn(SECOND, arp_frame(SECOND, BROADCAST, mn_ip(1, 1), mn_ip(1, 2)))
    net.pump()
    assert not net.events("mn_identified"), "who came while it was there says who he is by DHCP"


@pytest.mark.parametrize(
    ("frame", "address"),
    [
        (arp_frame(FIRST, BROADCAST, "10.1.0.1", "10.1.0.2"), "10.1.0.1"),
        ({**arp_frame(FIRST, BROADCAST, "10.1.0.1", "10.1.0.2"), "arp_sha": SECOND}, None),
        (arp_frame(FIRST, BROADCAST, "0.0.0.0", "10.1.0.2"), None),
        (ip_frame(FIRST, BROADCAST, "10.1.0.1", CN, 6), "10.1.0.1"),
        (ip6_frame(FIRST, BROADCAST, "fd00:1::1", "fd09::2", 6), "fd00:1::1"),
        ({"eth_src": FIRST, "eth_dst": BROADCAST, "eth_type": 0x88B5}, None),
    ],
)
def test_the_address_that_a_frame_is_from(frame: dict[str, int | str], address: str | None) -> None:
    assert source_address(frame_bytes(frame)) == address
    assert source_address(frame_bytes(frame)[:20]) is None
