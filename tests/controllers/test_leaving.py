"""Announced and buffered handovers: who is believed, what is told to which router, and when."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from controllers_fake import (
    CN,
    FIRST,
    SECOND,
    FakeNetwork,
    chain,
    ip_frame,
    lease,
    leased,
    mesh,
    mn_ip,
    mn_mac,
    router_mac,
)

from dmmlab.controllers import leaving, messages
from dmmlab.controllers.plan import Plan
from dmmlab.nodes.mobility.notice import PORT, Notice
from dmmlab.nodes.router_buffer import ETHERTYPE, Order

NODE, OTHER = mn_mac(1), mn_mac(2)


def plan(of: Plan, announced: bool = True, buffered: bool = False) -> Plan:
    return replace(of, announced=announced, buffered=buffered)


def datagram(mac: str, message: bytes, six: bool = False, port: int = leaving.ANNOUNCEMENT_PORT) -> bytes:
    udp = port.to_bytes(2, "big") * 2 + bytes(4)
    head = bytes(6) + bytes.fromhex(mac.replace(":", ""))
    if six:
        return head + b"\x86\xdd" + b"\x60" + bytes(5) + bytes([17, 64]) + bytes(32) + udp + message
    return head + b"\x08\x00" + b"\x45" + bytes(8) + bytes([17]) + bytes(10) + udp + message


def announce(net: FakeNetwork, to: int, mac: str = NODE, by: str = NODE) -> None:
    """``mac`` says at the port of node ``by`` that it leaves for switch ``to``."""
    i, name = net.place[by]
    frame = datagram(mac, Notice(to, 0.1).message())
    net.queue.append(messages.FrameCopied(i, net.switches[i].ports[name], frame))
    net.pump()


def orders(net: FakeNetwork) -> list[tuple[int, bool, str]]:
    """What routers were told: the switch, whether to hold, the address."""
    found = []
    for dpid, port, frame in net.answers:
        assert port == net.switches[dpid].ports[net.switches[dpid].plan.router_port_name]
        assert int.from_bytes(frame[12:14], "big") == ETHERTYPE
        order = Order.read(frame)
        assert order.mac == NODE
        found.append((dpid, order.hold, str(order.address)))
    return found


@pytest.mark.parametrize("six", [False, True])
def test_what_a_node_says_is_what_the_controller_reads(six: bool) -> None:
    assert PORT == leaving.ANNOUNCEMENT_PORT
    message = Notice(7, 0.1).message()
    assert leaving.announcement(datagram(NODE, message, six)) == leaving.Announcement(7, 0.1)
    assert Notice.read(message) == Notice(7, 0.1)
    assert leaving.announcement(datagram(NODE, message, six, port=4606)) is None
    assert leaving.announcement(datagram(NODE, message[:-1], six)) is None
    assert leaving.announcement(datagram(NODE, b"\0" * 24, six)) is None
    assert leaving.announcement(b"") is None


@pytest.mark.parametrize("address", ["10.1.1.100", "2001:db8:1:1::1"])
def test_what_a_router_is_told_is_what_it_reads(address: str) -> None:
    for hold in (True, False):
        order = Order.read(leaving.order(mesh(2).switch(1), hold, address, NODE, in_s=0.006))
        assert order == Order(hold, ipaddress.ip_address(address), NODE, 0.006)
    with pytest.raises(ValueError, match="order 9"):
        Order.read(bytes(14) + b"\x09" + bytes(26))
    with pytest.raises(ValueError, match="too short"):
        Order.read(bytes(20))


def test_the_redirect_stands_before_an_announced_node_is_heard() -> None:
    net = FakeNetwork(plan(mesh(2)))
    net.move(1, 1)
    announce(net, to=2)
    assert net.events("handover_expected") == [{"mn": NODE, "serving": "MR1", "to": "MR2", "lead_s": 0.1}]
    assert not net.events("redirect_decided"), "it is still there"
    net.detach(NODE)
    net.pump()
    net.attach(NODE, 2)
    net.pump()
    (confirmed,) = net.events("redirect_confirmed")
    assert (confirmed["serving"], confirmed["cause"]) == ("MR2", "mn_expected")
    down = net.from_router(1, ip_frame(router_mac(1), NODE, CN, mn_ip(1, 1), 17))
    assert [who for _, who, _ in down] == [NODE]
    net.dhcp(1)
    assert len(net.events("redirect_confirmed")) == 1, "its first frame changes nothing"
    assert net.events("mn_attached")[-1]["serving"] == "MR2"


def test_without_an_announcement_a_port_is_nobodys_before_its_first_frame() -> None:
    net = FakeNetwork(plan(mesh(2)))
    net.move(1, 1)
    net.detach(NODE)
    net.attach(NODE, 2)
    net.pump()
    assert not net.events("redirect_decided") and not net.events("mn_expected")


def test_a_node_that_goes_elsewhere_than_it_said_is_found_by_its_first_frame() -> None:
    net = FakeNetwork(plan(mesh(3)))
    net.move(1, 1)
    announce(net, to=2)
    net.move(1, 3)
    assert [each["serving"] for each in net.events("redirect_confirmed")] == ["MR3"]
    net.move(1, 2)
    assert not net.events("mn_expected"), "what it said is over"


def test_only_the_node_itself_is_believed() -> None:
    net = FakeNetwork(plan(mesh(2), buffered=True))
    net.move(1, 1)
    net.move(2, 1)
    announce(net, to=2, by=OTHER)  # another node, in its name
    announce(net, to=1)  # where it is
    announce(net, to=99)
    assert not net.events("handover_expected") and not net.answers


def test_routers_keep_what_comes_from_the_announcement_until_the_node_is_heard() -> None:
    net = FakeNetwork(plan(chain(3), buffered=True))
    net.move(1, 1)
    net.move(1, 2)
    net.answers.clear()
    announce(net, to=3)
    assert orders(net) == [(1, True, mn_ip(1, 1)), (2, True, mn_ip(1, 2))]
    net.answers.clear()
    net.detach(NODE)
    net.attach(NODE, 3)
    net.pump()
    assert not net.answers, "it is not there yet"
    net.dhcp(1)
    assert orders(net) == [(1, False, mn_ip(1, 1)), (2, False, mn_ip(1, 2))]


def test_what_was_kept_goes_when_every_switch_has_its_rules() -> None:
    net = FakeNetwork(plan(mesh(2), announced=False, buffered=True))
    net.move(1, 1)
    net.detach(NODE)
    net.pump()
    assert orders(net) == [(1, True, mn_ip(1, 1))]
    net.answers.clear()
    net.attach(NODE, 2)
    net.from_mn(NODE, ip_frame(NODE, router_mac(2), mn_ip(1, 1), CN, 17))
    net.pump(2)
    assert not net.answers and net.events("redirect_decided"), "decided, and not confirmed"
    net.pump()
    assert orders(net) == [(1, False, mn_ip(1, 1))]
    assert Order.read(net.answers[0][2]).in_s == 0.006, "when no switch acts by what it has cached"


def test_a_node_that_moves_on_in_the_middle_of_a_handover_is_still_waited_for() -> None:
    net = FakeNetwork(plan(mesh(3), announced=False, buffered=True))
    net.move(1, 1)
    net.detach(NODE)
    net.attach(NODE, 2)
    net.from_mn(NODE, ip_frame(NODE, router_mac(2), mn_ip(1, 1), CN, 17))
    net.detach(NODE)
    net.pump()
    assert orders(net) == [(1, True, mn_ip(1, 1))]
    net.attach(NODE, 1)
    net.dhcp(1)
    assert orders(net)[1:] == [(1, False, mn_ip(1, 1))]


def test_what_was_kept_goes_when_a_radio_that_nobody_knew_turns_out_to_be_the_nodes() -> None:
    net = FakeNetwork(plan(mesh(2), announced=False, buffered=True))
    net.attach(FIRST, 1)
    lease(net, FIRST, 1)
    net.detach(FIRST)
    net.pump()
    net.attach(SECOND, 2)
    net.from_mn(SECOND, ip_frame(SECOND, router_mac(2), "0.0.0.0", "224.0.0.22", 2))
    net.pump()
    told = [Order.read(frame) for _, _, frame in net.answers]
    assert [order.hold for order in told] == [True], "it may be anybody's"
    lease(net, SECOND, 2)
    told = [Order.read(frame) for _, _, frame in net.answers]
    assert [(order.hold, str(order.address)) for order in told[1:]] == [(False, leased(1))]


def test_an_address_that_ends_meanwhile_is_held_no_longer() -> None:
    net = FakeNetwork(plan(mesh(2), announced=False, buffered=True))
    net.move(1, 1)
    net.detach(NODE)
    net.pump()
    net.advance(4000)
    assert orders(net) == [(1, True, mn_ip(1, 1)), (1, False, mn_ip(1, 1))]


def test_nobody_but_the_controller_tells_a_router_to_hold() -> None:
    net = FakeNetwork(plan(mesh(2), buffered=True))
    net.move(1, 1)
    forged = leaving.order(net.plan.switch(1), True, mn_ip(1, 1), NODE)
    assert not net.from_mn(
        NODE, {"eth_src": NODE, "eth_dst": router_mac(1), "eth_type": ETHERTYPE, "raw": forged.hex()}
    )


def test_without_either_nothing_is_different() -> None:
    net, plain = FakeNetwork(plan(mesh(2), announced=False)), FakeNetwork(mesh(2))
    for each in (net, plain):
        each.move(1, 1)
        each.move(1, 2)
    assert net.updates == plain.updates and not net.answers
