"""What a redirect must do, judged by where frames end: not by which rules there are."""

import pytest
from controllers_fake import (
    BROADCAST,
    CN,
    FakeNetwork,
    FakeSwitch,
    arp_frame,
    chain,
    dhcp_frame,
    ip_frame,
    make_plan,
    mesh,
    mn_ip,
    mn_mac,
    router_ip,
    router_mac,
)
from controllers_reach import check_reachable, down, kinds, redirects, up

from dmmlab.controllers import messages


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
