"""A controller, a switch or both started again: all is learned anew, and nothing that stands is changed."""

from pathlib import Path

import pytest
from controllers_fake import (
    FakeNetwork,
    chain,
    mesh,
    mn_mac,
)
from controllers_reach import check_reachable, check_restart_changes_nothing, redirects, up

from dmmlab.controllers.notebook import Notebook, notes_of
from dmmlab.controllers.rules import Kind, Normal, Rule, cookie, match


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
