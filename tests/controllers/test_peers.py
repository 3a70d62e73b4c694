"""Two mobile nodes that speak to each other while either, or both, are away from where they began."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from controllers_fake import (
    BROADCAST,
    FIRST,
    SECOND,
    FakeNetwork,
    Frame,
    arp_frame,
    dhcp_frame,
    ip_frame,
    lease,
    leased,
    make_plan,
    mn_ip,
    mn_mac,
    router_ip,
    router_mac,
)

ONE, OTHER = 1, 2


def network(n: int = 2, peers: bool = True) -> FakeNetwork:
    return FakeNetwork(make_plan(list(itertools.combinations(range(1, n + 1), 2)), n, peers=peers))


def say(net: FakeNetwork, k: int, from_mr: int, to: int, to_mr: int) -> list[str]:
    """Who gets what node ``k`` sends from one of its addresses to another node's: MACs, and the routers on the way.

    The sender addresses a node of its own link by its MAC, which it knows, and else its default router; a router
    forwards by address.
    """
    here = net.place[mn_mac(k)][0]
    on_link = to_mr == here
    next_hop = mn_mac(to) if on_link else router_mac(here)
    frame = ip_frame(mn_mac(k), next_hop, mn_ip(k, from_mr), mn_ip(to, to_mr), 17)
    way, ends = list[str](), net.from_mn(mn_mac(k), frame)
    while len(ends) == 1 and ends[0][0] == "router":
        way.append(ends[0][1])
        forwarded = {**ends[0][2], "eth_src": router_mac(to_mr), "eth_dst": mn_mac(to)}
        ends = net.from_router(to_mr, forwarded)
    return [*way, *(who for _, who, _ in ends)]


@pytest.mark.parametrize("places", list(itertools.product((1, 2, 3), repeat=2)))
def test_whoever_moves_each_reaches_the_other_by_the_addresses_it_began_with(places: tuple[int, int]) -> None:
    net = network(3)
    for k in (ONE, OTHER):
        net.move(k, 1)
    for k, here in zip((ONE, OTHER), places, strict=True):
        if here != 1:
            net.move(k, here)
    for k, to in ((ONE, OTHER), (OTHER, ONE)):
        assert say(net, k, 1, to, 1)[-1] == mn_mac(to)


def test_two_that_change_places_reach_each_other_by_either_address() -> None:
    net = network()
    net.move(ONE, 1)
    net.move(OTHER, 2)
    net.move(ONE, 2)
    net.move(OTHER, 1)
    for from_mr, to_mr in itertools.product((1, 2), repeat=2):
        assert say(net, ONE, from_mr, OTHER, to_mr)[-1] == mn_mac(OTHER)
        assert say(net, OTHER, from_mr, ONE, to_mr)[-1] == mn_mac(ONE)


def ask(net: FakeNetwork, target: str, to: str = BROADCAST) -> list[Frame]:
    """What node OTHER hears when it asks who has ``target``."""
    ends = net.from_mn(mn_mac(OTHER), arp_frame(mn_mac(OTHER), to, mn_ip(OTHER, 1), target))
    return [frame for what, who, frame in ends if (what, who) == ("mn", mn_mac(OTHER))]


@pytest.mark.parametrize("to", [BROADCAST, mn_mac(ONE)])
def test_the_anchors_switch_answers_for_who_is_away_and_for_nobody_else(to: str) -> None:
    net = network()
    net.move(ONE, 1)
    net.move(OTHER, 1)
    assert ask(net, mn_ip(ONE, 1), to) == []
    net.move(ONE, 2)
    (answer,) = ask(net, mn_ip(ONE, 1), to)
    assert (answer["arp_op"], answer["eth_dst"], answer["arp_tha"]) == (2, mn_mac(OTHER), mn_mac(OTHER))
    assert (answer["arp_spa"], answer["arp_sha"]) == (mn_ip(ONE, 1), mn_mac(ONE))
    assert answer["arp_tpa"] == mn_ip(OTHER, 1)
    assert ask(net, mn_ip(3, 1)) == []
    net.move(ONE, 1)
    assert ask(net, mn_ip(ONE, 1), to) == []


def test_where_no_two_nodes_speak_there_is_no_such_rule() -> None:
    rules = []
    for peers in (False, True):
        net = network(peers=peers)
        net.move(ONE, 1)
        net.move(ONE, 2)
        rules.append(sum(len(switch.rules) for switch in net.switches.values()))
    assert rules[1] == rules[0] + 2


@pytest.mark.parametrize(("several", "radios"), [(True, (FIRST, SECOND)), (True, (FIRST,)), (False, (FIRST,))])
def test_by_which_radio_a_node_is_home_its_peers_need_not_know(several: bool, radios: tuple[str, ...]) -> None:
    """The peer may have been elsewhere when the node told its router, and all who were there, of a radio's MAC."""
    net = FakeNetwork(replace(make_plan([(1, 2)], 2, peers=True), several_radios=several))
    for radio in radios:
        assert radio in home(net, radio)
    net.move(OTHER, 1)
    for known in (FIRST, SECOND):
        frame = ip_frame(mn_mac(OTHER), known, mn_ip(OTHER, 1), leased(1), 17)
        heard = [(who, f["eth_dst"]) for _, who, f in net.from_mn(mn_mac(OTHER), frame)]
        assert (heard == [(radios[-1], radios[-1])]) is (several or known == FIRST)
    if several:
        net.restart()
        assert net.changed() == 0
        radio = radios[-1]
        net.from_mn(radio, dhcp_frame(radio, router_mac(1), leased(1), router_ip(1), 7, ciaddr=leased(1)))
        net.pump()
        frame = {**frame, "eth_dst": FIRST if radio == SECOND else SECOND}
        assert [who for _, who, _ in net.from_mn(mn_mac(OTHER), frame)] != [radio], "nobody's any more"


def test_home_by_another_radio_a_node_reaches_its_neighbours_past_the_router() -> None:
    """Which may not know them; all else that it sends, the router gets."""
    net = FakeNetwork(replace(make_plan([(1, 2)], 2, peers=True), several_radios=True))
    home(net, FIRST)
    home(net, SECOND)
    net.move(OTHER, 1)
    for mac, address, heard in ((mn_mac(OTHER), mn_ip(OTHER, 1), mn_mac(OTHER)), (router_mac(1), "10.9.0.2", "MR1")):
        sent = net.from_mn(SECOND, ip_frame(SECOND, mac, leased(1), address, 17))
        assert [who for _, who, _ in sent] == [heard]


def home(net: FakeNetwork, radio: str) -> list[str]:
    """The radio, and no other of the node's, is at MR1, has a lease and says so; who got that."""
    for mac in [mac for mac in net.place if mac in (FIRST, SECOND)]:
        net.detach(mac)
    net.attach(radio, 1, port=f"radio-{radio[-5:-3]}")
    got = lease(net, radio, 1)
    net.from_mn(radio, arp_frame(radio, BROADCAST, leased(1), leased(1)))
    net.pump()
    return got


def test_a_restart_finds_them_again() -> None:
    net = network()
    net.move(ONE, 1)
    net.move(ONE, 2)
    net.restart()
    assert net.changed() == 0
