"""Events that come late, early, twice or at one time: where frames end is the same."""

import random

import pytest
from controllers_fake import (
    CN,
    FakeNetwork,
    chain,
    dhcp_frame,
    frame_bytes,
    ip_frame,
    mesh,
    mn_ip,
    mn_mac,
    router_ip,
    router_mac,
)
from controllers_reach import check_reachable, check_restart_changes_nothing, redirects, up

from dmmlab.controllers import messages


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
