"""What a redirect must do, judged by where frames end: not by which rules there are."""

import random
from pathlib import Path

import pytest
from controllers_fake import (
    BROADCAST,
    CN,
    FakeNetwork,
    FakeSwitch,
    Frame,
    arp_frame,
    chain,
    dhcp_frame,
    frame_bytes,
    ip_frame,
    make_plan,
    mesh,
    mn_ip,
    mn_mac,
    router_ip,
    router_mac,
)

from dmmlab.controllers import messages
from dmmlab.controllers.notebook import Notebook, notes_of
from dmmlab.controllers.rules import Kind, Normal, Rule, cookie, match

PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17}


def kinds(net: FakeNetwork) -> list[Kind]:
    return [rule.kind for switch in net.switches.values() for rule in switch.rules.values()]


def redirects(net: FakeNetwork) -> int:
    return sum(kind in (Kind.REDIRECT, Kind.REDIRECT_PAIR) for kind in kinds(net))


def down(net: FakeNetwork, k: int, i: int, proto: int = 17) -> list[tuple[str, str, Frame]]:
    """A packet of CN's to the address that MRi allocated to MN k, as MRi's router sends it."""
    return net.from_router(i, ip_frame(router_mac(i), mn_mac(k), CN, mn_ip(k, i), proto))


def up(net: FakeNetwork, k: int, i: int, proto: int = 17) -> list[tuple[str, str, Frame]]:
    """A packet of MN k's from that address, sent to the default router of where it is now."""
    here = net.place[mn_mac(k)][0]
    return net.from_mn(mn_mac(k), ip_frame(mn_mac(k), router_mac(here), mn_ip(k, i), CN, proto))


def check_reachable(net: FakeNetwork, k: int, i: int) -> None:
    """The address that MRi allocated works both ways, for every protocol, and so does ARP about it."""
    mac = mn_mac(k)
    for proto in PROTOCOLS.values():
        assert [(w, who, f["eth_dst"]) for w, who, f in down(net, k, i, proto)] == [("mn", mac, mac)]
        assert [(w, who, f["eth_dst"]) for w, who, f in up(net, k, i, proto)] == [("router", f"MR{i}", router_mac(i))]
    for target in (BROADCAST, mac):
        asked = net.from_router(i, arp_frame(router_mac(i), target, router_ip(i), mn_ip(k, i)))
        assert [who for _, who, _ in asked].count(mac) == 1
    answered = net.from_mn(mac, arp_frame(mac, router_mac(i), mn_ip(k, i), router_ip(i)))
    assert [who for _, who, _ in answered] == [f"MR{i}"]
    asked = net.from_mn(mac, arp_frame(mac, BROADCAST, mn_ip(k, i), router_ip(i)))
    assert [who for what, who, _ in asked if what == "router"] == [f"MR{i}"]
    answered = net.from_router(i, arp_frame(router_mac(i), mac, router_ip(i), mn_ip(k, i)))
    assert [who for _, who, _ in answered].count(mac) == 1


def check_restart_changes_nothing(net: FakeNetwork, order: list[int] | None = None) -> None:
    before = [dict(switch.rules) for switch in net.switches.values()]
    bindings = {(b.mac, b.address, b.anchor, b.route) for b in net.core.bindings.values()}
    net.restart(order=order)
    assert net.changed() == 0, net.updates
    assert [dict(switch.rules) for switch in net.switches.values()] == before
    attached = {b[:3] for b in bindings}
    assert {(b.mac, b.address, b.anchor) for b in net.core.bindings.values()} == attached
    assert net.events("ready")


def test_before_the_move_the_switch_learns_and_redirects_nothing() -> None:
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    check_reachable(net, 1, 1)
    assert redirects(net) == 0 and not net.events("redirect_decided")
    assert net.events("binding_learned")[0]["anchor"] == "MR1"


@pytest.mark.parametrize("plan", [mesh(2), mesh(3), chain(3), chain(5), make_plan([(1, 2), (2, 3)], 3, shared=[2])])
def test_old_addresses_work_at_every_mobile_router(plan: object) -> None:
    net = FakeNetwork(plan)  # type: ignore[arg-type]
    n = len(net.switches)
    for here in [*range(1, n + 1), *range(n - 1, 0, -1)]:
        net.move(1, here)
        for i in {binding.anchor for binding in net.core.bindings.values()}:
            check_reachable(net, 1, i)
    assert len(net.core.bindings) == n


def test_back_at_the_anchor_nothing_is_left_but_the_other_address() -> None:
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    plain = kinds(net)
    net.move(1, 2)
    once = redirects(net)
    net.release(1, 2)
    net.move(1, 1)
    check_reachable(net, 1, 1)
    net.release(1, 2)
    assert once > 0 and redirects(net) == 0
    assert sorted(kinds(net)) == sorted(plain)


def test_ping_pong_ends_where_it_began() -> None:
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    net.move(1, 2)
    sizes = set()
    for _ in range(5):
        net.move(1, 1)
        net.move(1, 2)
        check_reachable(net, 1, 1)
        sizes.add(redirects(net))
    assert len(sizes) == 1


def test_a_move_changes_only_what_it_must() -> None:
    net = FakeNetwork(mesh(4))
    for k in range(1, 6):
        net.move(k, 1)
        net.move(k, 2)
    net.updates.clear()
    net.move(3, 3)
    mine = {mn_mac(3), mn_ip(3, 1), mn_ip(3, 2), mn_ip(3, 3), router_ip(1), router_ip(2)}
    for update in net.updates:
        assert update.dpid != 4
        for rule in (*update.install, *update.remove):
            assert mine & {value for _, value in rule.match}, rule
    for k in range(1, 6):
        check_reachable(net, k, 1)


def test_several_mobile_nodes_and_two_anchors_at_once() -> None:
    net = FakeNetwork(mesh(3))
    net.move(1, 1)
    net.move(2, 2)
    net.move(1, 2)
    net.move(2, 1)
    net.move(1, 3)
    for k, i in [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]:
        check_reachable(net, k, i)


def test_nobody_else_gets_redirected_data() -> None:
    """Data is not given both ways: only on-link answers are, and those bear the mobile node's MAC."""
    net = FakeNetwork(mesh(2))
    for k in (1, 2, 3):
        net.move(k, 1)
    net.move(1, 2)
    assert [who for _, who, _ in down(net, 1, 1)] == [mn_mac(1)]


def test_on_its_return_the_first_answers_are_not_sent_after_it() -> None:
    """The anchor's router answers before the controller has heard of the return."""
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    net.move(1, 2)
    net.detach(mn_mac(1))
    net.pump()
    net.attach(mn_mac(1), 1)
    net.from_mn(mn_mac(1), arp_frame(mn_mac(1), BROADCAST, mn_ip(1, 1), router_ip(1)))
    for target in (mn_mac(1), BROADCAST):
        asked = net.from_router(1, arp_frame(router_mac(1), target, router_ip(1), mn_ip(1, 1)))
        assert [who for _, who, _ in asked] == [mn_mac(1)]


def test_a_release_reaches_the_anchor_and_takes_the_redirect_away() -> None:
    net = FakeNetwork(chain(3))
    net.move(1, 1)
    net.move(1, 3)
    delivered = net.release(1, 1)
    assert [(what, who) for what, who, _ in delivered] == [("router", "MR1")]
    assert redirects(net) == 0 and mn_ip(1, 1) not in net.core.bindings
    assert net.events("binding_released") and net.events("redirect_removed")
    check_reachable(net, 1, 3)


def test_the_switch_times_the_lease() -> None:
    net = FakeNetwork(mesh(2))
    net.attach(mn_mac(1), 1)
    net.dhcp(1, lease_s=60)
    net.move(1, 2)
    net.advance(59)
    check_reachable(net, 1, 1)
    net.advance(2)
    assert net.events("binding_expired")[0]["address"] == mn_ip(1, 1)
    assert redirects(net) == 0


def test_a_renewal_sets_the_timer_anew_even_with_the_same_lease() -> None:
    net = FakeNetwork(mesh(2))
    net.attach(mn_mac(1), 1)
    net.dhcp(1, lease_s=60)
    net.advance(40)
    net.dhcp(1, lease_s=60)
    net.advance(40)
    assert mn_ip(1, 1) in net.core.bindings and not net.events("binding_expired")
    net.advance(21)
    assert mn_ip(1, 1) not in net.core.bindings


def test_without_redirect_it_learns_and_reports_only() -> None:
    net = FakeNetwork(mesh(2), redirect=False)
    net.move(1, 1)
    net.move(1, 2)
    assert down(net, 1, 1) == []
    assert redirects(net) == 0 and not net.events("redirect_decided")
    assert [each["serving"] for each in net.events("mn_attached")] == ["MR1", "MR2"]
    assert len(net.events("binding_learned")) == 2


def test_a_retransmission_from_the_old_address_reveals_the_move() -> None:
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    net.detach(mn_mac(1))
    net.attach(mn_mac(1), 2)
    assert [who for _, who, _ in up(net, 1, 1)] == ["MR2"], "the first frame goes its way, copied and not held up"
    net.pump()
    check_reachable(net, 1, 1)
    assert net.events("redirect_confirmed")[0]["serving"] == "MR2"


def test_while_detached_the_old_redirect_stays() -> None:
    net = FakeNetwork(mesh(3))
    net.move(1, 1)
    net.move(1, 2)
    before = redirects(net)
    net.detach(mn_mac(1))
    net.pump()
    assert redirects(net) == before
    assert net.events("mn_detached")[-1]["switch"] == "s2"


def acknowledgement(k: int, i: int) -> messages.FrameCopied:
    """The copy of MRi's DHCPACK for MN k."""
    mac, address = mn_mac(k), mn_ip(k, i)
    ack = dhcp_frame(router_mac(i), mac, router_ip(i), address, 5, chaddr=mac, yiaddr=address, lease_s=60)
    return messages.FrameCopied(i, 1, frame_bytes(ack))


def test_acknowledgement_before_the_first_frame() -> None:
    net = FakeNetwork(mesh(2))
    net.queue.append(acknowledgement(1, 1))
    net.pump()
    net.attach(mn_mac(1), 2)
    up(net, 1, 1)
    net.pump()
    check_reachable(net, 1, 1)


def test_acknowledgement_that_arrives_after_the_move() -> None:
    """The packet-ins of one switch keep their order; those of two do not."""
    net = FakeNetwork(mesh(2))
    net.move(1, 2)
    assert redirects(net) == 0
    net.queue.append(acknowledgement(1, 1))
    net.pump()
    check_reachable(net, 1, 1)


def test_port_removal_that_arrives_late_does_not_undo_the_move() -> None:
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    late = net.remove_port(*net.place.pop(mn_mac(1)), tell=False)
    net.attach(mn_mac(1), 2)
    net.dhcp(1)
    net.queue.append(late)
    net.pump()
    check_reachable(net, 1, 1)
    assert not net.events("mn_detached")


def test_an_old_first_frame_that_arrives_late_is_undone_by_its_port() -> None:
    """Control channels may differ in delay: the last frame at the old switch is heard of after the first at the new."""
    net = FakeNetwork(mesh(2))
    net.attach(mn_mac(1), 1)
    net.pump()
    number = net.switches[1].ports[net.place[mn_mac(1)][1]]
    frame = ip_frame(mn_mac(1), router_mac(1), mn_ip(1, 1), CN, 17)
    late = net.remove_port(*net.place.pop(mn_mac(1)), tell=False)
    net.attach(mn_mac(1), 2)
    net.dhcp(1)
    net.queue.append(messages.FrameCopied(1, number, frame_bytes(frame)))
    net.queue.append(late)
    net.pump()
    node = net.core.nodes[mn_mac(1)]
    assert node.location is not None and node.location.dpid == 2


def test_overlap_the_old_port_goes_after_the_new_one_is_used() -> None:
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    old = net.place.pop(mn_mac(1))
    net.attach(mn_mac(1), 2)
    net.dhcp(1)
    check_reachable(net, 1, 1)
    net.remove_port(*old)
    net.pump()
    check_reachable(net, 1, 1)


def test_overlap_that_ends_on_the_old_port() -> None:
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    old = net.place.pop(mn_mac(1))
    net.attach(mn_mac(1), 2)
    net.dhcp(1)
    net.detach(mn_mac(1))
    net.place[mn_mac(1)] = old
    net.pump()
    check_reachable(net, 1, 1)
    check_reachable(net, 1, 2)


def test_a_newer_move_supersedes_one_that_is_not_confirmed() -> None:
    net = FakeNetwork(mesh(3))
    net.move(1, 1)
    net.detach(mn_mac(1))
    net.attach(mn_mac(1), 2)
    up(net, 1, 1)
    net.pump(3)  # port removed, port added, first frame; no barrier yet
    assert net.events("redirect_decided") and not net.events("redirect_confirmed")
    replies = list(net.queue)
    net.queue.clear()
    net.detach(mn_mac(1))
    net.attach(mn_mac(1), 3)
    up(net, 1, 1)
    net.queue.extend(replies)
    net.pump()
    assert [each["serving"] for each in net.events("redirect_superseded")] == ["MR2"]
    assert [each["serving"] for each in net.events("redirect_confirmed")] == ["MR3"]
    check_reachable(net, 1, 1)


def test_confirmed_only_when_every_switch_has_answered() -> None:
    net = FakeNetwork(chain(3))
    net.move(1, 1)
    net.detach(mn_mac(1))
    net.attach(mn_mac(1), 3)
    up(net, 1, 1)
    net.pump(3)
    replies = [each for each in net.queue if isinstance(each, messages.BarrierReplied)]
    assert sorted(each.dpid for each in replies if each.token == replies[-1].token) == [1, 2, 3]
    net.pump(len(net.queue) - 1)
    assert not net.events("redirect_confirmed")
    net.pump()
    (confirmed,) = net.events("redirect_confirmed")
    assert confirmed["path"] == ["MR1", "MR2", "MR3"] and confirmed["rules"] == 5


@pytest.mark.parametrize("order", [[1, 2, 3], [3, 2, 1], [2, 3, 1]])
def test_a_restarted_controller_learns_all_again_and_changes_nothing(order: list[int]) -> None:
    net = FakeNetwork(chain(3))
    for k, here in [(1, 1), (2, 2), (1, 3), (2, 1), (1, 2)]:
        net.move(k, here)
    check_restart_changes_nothing(net, order)
    for k, i in [(1, 1), (1, 3), (1, 2), (2, 2), (2, 1)]:
        check_reachable(net, k, i)
    net.move(1, 1)
    check_reachable(net, 1, 3)


def test_a_restart_while_detached_keeps_the_redirect() -> None:
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    net.move(1, 2)
    net.detach(mn_mac(1))
    net.pump()
    check_restart_changes_nothing(net)
    assert redirects(net) > 0
    net.attach(mn_mac(1), 2)
    net.dhcp(1)
    check_reachable(net, 1, 1)


def test_a_move_while_there_is_no_controller_is_seen_afterwards() -> None:
    net = FakeNetwork(mesh(3))
    net.move(1, 1)
    net.move(1, 2)
    for switch in net.switches.values():
        switch.connected = False
    net.detach(mn_mac(1))
    net.attach(mn_mac(1), 3)
    up(net, 1, 1)
    net.restart()
    net.dhcp(1)
    for i in (1, 2, 3):
        check_reachable(net, 1, i)


def test_a_lost_switch_is_brought_up_to_date_when_it_is_back() -> None:
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    net.lose(1)
    net.pump()
    net.move(1, 2)
    assert not net.events("redirect_confirmed")
    net.connect(1)
    net.pump()
    assert net.events("redirect_confirmed")
    check_reachable(net, 1, 1)


def test_an_emptied_switch_gets_everything_back() -> None:
    net = FakeNetwork(chain(3))
    net.move(1, 1)
    net.move(1, 3)
    before = [dict(switch.rules) for switch in net.switches.values()]
    for dpid, switch in net.switches.items():
        net.lose(dpid)
        net.pump()
        switch.rules.clear()
        switch.since_ns.clear()
        net.connect(dpid)
        net.pump()
    assert [dict(switch.rules) for switch in net.switches.values()] == before


def test_what_others_wrote_is_left_alone_and_what_an_old_controller_left_is_not() -> None:
    net = FakeNetwork(mesh(2))
    stale = Rule(1, 110, match(eth_type=0x0800, in_port=1, ipv4_dst="10.1.0.77"), (), cookie(Kind.REDIRECT, 77))
    foreign = Rule(0, 999, match(eth_type=0x88CC), (Normal(),), 7)
    for rule in (stale, foreign):
        net.switches[1].rules[rule.key] = rule
        net.switches[1].since_ns[rule.key] = net.now_ns
    net.restart()
    assert foreign.key in net.switches[1].rules and stale.key not in net.switches[1].rules


def test_a_lost_inter_mr_link_is_walked_around() -> None:
    net = FakeNetwork(mesh(3))
    net.move(1, 1)
    net.move(1, 2)
    assert net.events("redirect_decided")[-1]["path"] == ["MR1", "MR2"]
    net.remove_port(1, "s1-to2")
    net.pump()
    assert net.events("redirect_confirmed")[-1]["path"] == ["MR1", "MR3", "MR2"]
    check_reachable(net, 1, 1)


def test_no_path_is_said_once_and_mended_when_there_is_one() -> None:
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    number = net.switches[1].ports["s1-to2"]
    net.remove_port(1, "s1-to2")
    net.pump()
    net.move(1, 2)
    net.dhcp(1)
    assert [each["serving"] for each in net.events("redirect_impossible")] == ["MR2"]
    assert down(net, 1, 1) == []
    net.switches[1].ports["s1-to2"] = number
    net.queue.append(messages.PortAdded(1, "s1-to2", number))
    net.pump()
    check_reachable(net, 1, 1)


def test_strays_from_a_peer_go_nowhere_even_without_the_vlan(monkeypatch: pytest.MonkeyPatch) -> None:
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    monkeypatch.setattr(FakeSwitch, "isolated", lambda self: set())
    switch = net.switches[1]
    stray = ip_frame("02:bb:00:00:00:01", mn_mac(1), CN, mn_ip(1, 1), 17)
    assert switch.process(stray, switch.ports["s1-to2"]) == []


@pytest.mark.parametrize("order", [[1, 2, 3], [1, 3, 2], [3, 2, 1]])
def test_a_restart_during_an_overlap_changes_nothing(order: list[int]) -> None:
    """The older of two sightings alone would draw the redirect to the wrong switch."""
    net = FakeNetwork(mesh(3))
    net.move(1, 1)
    net.move(1, 2)
    old = net.place.pop(mn_mac(1))
    net.advance(1)
    net.attach(mn_mac(1), 3)
    net.dhcp(1)
    check_restart_changes_nothing(net, order)
    check_reachable(net, 1, 1)
    net.remove_port(*old)
    net.pump()
    check_reachable(net, 1, 2)


def test_copies_that_were_on_their_way_are_no_news() -> None:
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    net.detach(mn_mac(1))
    net.attach(mn_mac(1), 2)
    for _ in range(3):
        up(net, 1, 1)
    net.pump()
    assert len(net.events("mn_attached")) == 2 and len(net.events("redirect_decided")) == 1
    up(net, 1, 1)
    assert not net.queue, "a known sender is copied no more"


def test_an_answer_to_older_rules_confirms_nothing() -> None:
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    net.detach(mn_mac(1))
    net.attach(mn_mac(1), 2)
    up(net, 1, 1)
    net.pump(3)
    old = [each for each in net.queue if isinstance(each, messages.BarrierReplied)]
    net.queue.clear()
    net.detach(mn_mac(1))
    net.attach(mn_mac(1), 2)
    up(net, 1, 1)
    net.queue.extend(old)
    net.pump(3 + len(old))
    assert len(net.events("redirect_decided")) == 2 and not net.events("redirect_confirmed")
    net.pump()
    assert len(net.events("redirect_confirmed")) == 1


def test_back_at_the_anchor_traffic_turns_at_once_and_the_old_path_empties_first() -> None:
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    net.move(1, 2)
    old = net.place.pop(mn_mac(1))
    net.attach(mn_mac(1), 1)
    up(net, 1, 1)
    net.pump(2)  # port added, first frame; no barrier yet
    assert [who for _, who, _ in down(net, 1, 1)] == [mn_mac(1)]
    here, net.place[mn_mac(1)] = net.place[mn_mac(1)], old
    in_flight = ip_frame(router_mac(1), mn_mac(1), CN, mn_ip(1, 1), 17)
    while net.core.deadline_ns() is None:
        assert [who for _, who, _ in net.arrive(1, 2, in_flight)] == [mn_mac(1)], "the overlap still delivers"
        net.pump(1)
    left_ns = (net.core.deadline_ns() or 0) - net.now_ns
    assert left_ns == pytest.approx(4e6, abs=1e5), "as long as the old path is"
    assert net.arrive(1, 2, in_flight)
    net.place[mn_mac(1)] = here
    net.pump()
    assert net.arrive(1, 2, in_flight) == []


def test_what_is_decided_while_an_old_path_empties_does_not_cut_that_short() -> None:
    net = FakeNetwork(mesh(2))
    for k, i in ((2, 1), (1, 1), (1, 2)):
        net.move(k, i)
    net.attach(mn_mac(1), 1)
    up(net, 1, 1)
    while net.core.deadline_ns() is None:
        net.pump(1)
    empty_ns = net.core.deadline_ns() or 0
    assert empty_ns > net.now_ns
    net.detach(mn_mac(2))
    net.attach(mn_mac(2), 2)
    up(net, 2, 1)  # its redirect has no old path
    while len(net.events("redirect_confirmed")) < 3:
        net.pump(1)
    assert net.now_ns < empty_ns <= (net.core.deadline_ns() or 0)


def test_a_release_counts_where_it_is_delivered() -> None:
    """On sight of it at the serving switch the redirect must stay: the message is still under way on it."""
    net = FakeNetwork(chain(3))
    net.move(1, 1)
    net.move(1, 3)
    address = mn_ip(1, 1)
    release = dhcp_frame(mn_mac(1), router_mac(3), address, router_ip(1), 7, chaddr=mn_mac(1), ciaddr=address)
    net.from_mn(mn_mac(1), release)
    copies = [each for each in net.queue if isinstance(each, messages.FrameCopied)]
    assert [each.dpid for each in copies] == [3, 2, 1]
    net.pump(2)
    assert address in net.core.bindings
    net.pump()
    assert address not in net.core.bindings


@pytest.mark.parametrize("seed", range(20))
def test_any_sequence_of_movements(seed: int) -> None:
    """After every step all that is bound and attached works; now and then the controller starts again."""
    rng = random.Random(seed)
    n = rng.randint(2, 5)
    net = FakeNetwork(rng.choice([mesh, chain])(n))
    held: set[tuple[int, int]] = set()
    for _ in range(25):
        k = rng.randint(1, 3)
        match rng.choice(["move", "move", "move", "release", "detach", "restart", "lose"]):
            case "move":
                net.move(k, here := rng.randint(1, n))
                held.add((k, here))
            case "release" if mn_mac(k) in net.place:  # of an address from elsewhere: one from here is in use
                here, _ = net.place[mn_mac(k)]
                if mine := sorted(h for h in held if h[0] == k and h[1] != here):
                    net.release(*(gone := rng.choice(mine)))
                    held.discard(gone)
            case "detach" if mn_mac(k) in net.place:
                net.detach(mn_mac(k))
                net.pump()
            case "restart":
                check_restart_changes_nothing(net, rng.sample(range(1, n + 1), n))
            case "lose":
                net.lose(dpid := rng.randint(1, n))
                net.pump()
                net.connect(dpid)
                net.pump()
        assert {(b.mac, b.address) for b in net.core.bindings.values()} == {(mn_mac(k), mn_ip(k, i)) for k, i in held}
        for k, i in held:
            if mn_mac(k) in net.place:
                check_reachable(net, k, i)
        lost = [b for b in net.core.bindings.values() if net.core.nodes[b.mac].location is None]
        assert not net.core.updates.open
        assert lost or not net.core.updates.book.waiting(), "stale rules without a reason"


def test_switches_and_controller_that_go_at_one_time_lose_nothing_that_was_noted(tmp_path: Path) -> None:
    net = FakeNetwork(mesh(3))
    for k, here in [(1, 1), (2, 2), (1, 3), (2, 1)]:
        net.move(k, here)
    before = {dpid: set(switch.rules) for dpid, switch in net.switches.items()}
    notebook = Notebook(tmp_path / "notes")
    notebook.write(notes_of(net.core))
    for switch in net.switches.values():
        switch.rules.clear()
    net.notes = Notebook(tmp_path / "notes").read()
    net.restart()
    assert {dpid: set(switch.rules) for dpid, switch in net.switches.items()} == before
    for k, i in [(1, 1), (1, 3), (2, 2), (2, 1)]:
        check_reachable(net, k, i)


def test_a_note_of_a_port_that_is_gone_says_nothing(tmp_path: Path) -> None:
    net = FakeNetwork(mesh(2))
    net.move(1, 1)
    net.move(1, 2)
    net.notes = notes_of(net.core)
    net.detach(mn_mac(1))
    net.pump()
    for switch in net.switches.values():
        switch.rules.clear()
    net.restart()
    assert not net.events("mn_relearned") and len(net.events("binding_relearned")) == 2
    net.attach(mn_mac(1), 1)
    net.dhcp(1)
    check_reachable(net, 1, 2)
