"""What a mobile node may try against others on the switches, and what comes of it: guarded, and bounded if not."""

from __future__ import annotations

import random
import tracemalloc
from dataclasses import replace

import pytest
from controllers_fake import (
    BROADCAST,
    CN,
    FakeNetwork,
    Frame,
    arp_frame,
    dhcp_frame,
    dropped,
    frame_bytes,
    ip6_frame,
    ip_frame,
    make_plan,
    mn_ip,
    mn_ip6,
    mn_mac,
    nd_frame,
    router_ip,
    router_ip6,
    router_mac,
)

from dmmlab.controllers import messages
from dmmlab.controllers.limits import MOST_ADDRESSES, MOST_MACS
from dmmlab.controllers.nd import link_local
from dmmlab.controllers.plan import Plan, Station
from dmmlab.controllers.rules import Kind

VICTIM, THIEF = 1, 2
STATIONS = tuple((Station(f"mn-0{k}", mn_mac(k)),) for k in (VICTIM, THIEF))


def guarded(family: str = "ipv4", releases: bool = False) -> Plan:
    return replace(make_plan([(1, 2)], 2, family=family, releases=releases), stations=STATIONS)


def away(thief_at: int = 1) -> FakeNetwork:
    """MN1, whose first address is of MR1, is at MR2; MN2 is where it is wanted."""
    net = FakeNetwork(guarded())
    net.move(VICTIM, 1)
    net.move(VICTIM, 2)
    net.move(THIEF, thief_at)
    return net


def form(net: FakeNetwork, k: int, i: int) -> None:
    """MN k attaches to MRi, and says what address it has formed there."""
    if mn_mac(k) in net.place:
        net.detach(mn_mac(k))
    net.attach(mn_mac(k), i)
    net.pump()
    net.from_mn(mn_mac(k), nd_frame(mn_mac(k), "33:33:00:00:00:01", mn_ip6(k, i), 136, mn_ip6(k, i)))
    net.pump()


def away6(thief_at: int = 1, releases: bool = False) -> FakeNetwork:
    net = FakeNetwork(guarded("ipv6", releases))
    form(net, VICTIM, 1)
    form(net, VICTIM, 2)
    form(net, THIEF, thief_at)
    return net


def check_untouched(net: FakeNetwork) -> None:
    """MN1 has its addresses, and what is sent to them and from them goes where it should."""
    mine = [(b.address, b.anchor) for b in net.core.bindings.values() if b.mac == mn_mac(VICTIM)]
    six = net.plan.family == "ipv6"
    ip, frame = (mn_ip6, ip6_frame) if six else (mn_ip, ip_frame)
    assert sorted(mine) == [(ip(VICTIM, 1), 1), (ip(VICTIM, 2), 2)]
    here = net.place[mn_mac(VICTIM)][0]
    for i in (1, 2):
        from_us = frame(mn_mac(VICTIM), router_mac(here), ip(VICTIM, i), CN, 17)
        for _ in range(2):  # the second time the switch has learned who is where
            to_us = net.from_router(here, frame(router_mac(here), mn_mac(VICTIM), CN, ip(VICTIM, here), 17))
            up = net.from_mn(mn_mac(VICTIM), from_us)
        assert mn_mac(VICTIM) in [who for _, who, _ in to_us]
        assert [who for _, who, _ in up] == [f"MR{i}"]
        down = net.from_router(i, frame(router_mac(i), mn_mac(VICTIM), CN, ip(VICTIM, i), 17))
        assert [who for _, who, _ in down] == [mn_mac(VICTIM)]


@pytest.mark.parametrize("thief_at", [1, 2])
def test_a_stolen_address_gets_no_further_than_the_access_switch(thief_at: int) -> None:
    net, mac = away(thief_at), mn_mac(THIEF)
    stolen, router = mn_ip(VICTIM, 1), router_mac(thief_at)
    attempts = [
        ip_frame(mac, router, stolen, CN, 17),
        ip_frame(mac, router, "192.0.2.7", CN, 6),
        dhcp_frame(mac, router, stolen, CN, 3),
        arp_frame(mac, BROADCAST, stolen, router_ip(thief_at)),
        {**arp_frame(mac, router, mn_ip(THIEF, thief_at), router_ip(thief_at)), "arp_sha": mn_mac(VICTIM)},
        {**arp_frame(mac, BROADCAST, router_ip(thief_at), mn_ip(VICTIM, 1)), "arp_op": 2},
    ]
    for attempt in attempts:
        assert net.from_mn(mac, attempt) == [], attempt
        net.pump()
    check_untouched(net)
    own = net.from_mn(mac, ip_frame(mac, router, mn_ip(THIEF, thief_at), CN, 17))
    assert [who for _, who, _ in own] == [f"MR{thief_at}"]


@pytest.mark.parametrize("thief_at", [1, 2])
def test_a_stolen_ipv6_address_gets_no_further_and_its_claim_is_refused(thief_at: int) -> None:
    net, mac = away6(thief_at), mn_mac(THIEF)
    stolen, router = mn_ip6(VICTIM, 1), router_mac(thief_at)
    attempts = [
        ip6_frame(mac, router, stolen, CN, 17),
        nd_frame(mac, "33:33:00:00:00:01", stolen, 136, stolen),
        nd_frame(mac, "33:33:00:00:00:01", link_local(mac), 136, stolen),
        nd_frame(mac, "33:33:00:00:00:01", stolen, 135, router_ip6(thief_at)),
        nd_frame(mac, "33:33:00:00:00:01", link_local(mac), 136, router_ip6(thief_at)),
        dhcp_frame(mac, BROADCAST, "0.0.0.0", "255.255.255.255", 3),  # not even of the other family
    ]
    for attempt in attempts:
        assert net.from_mn(mac, attempt) == [], attempt
        net.pump()
    assert net.events("claim_refused")
    net.from_mn(mac, nd_frame(mac, "33:33:00:00:00:01", "::", 135, stolen))  # a question, which does no harm
    net.pump()
    check_untouched(net)
    own = net.from_mn(mac, ip6_frame(mac, router, mn_ip6(THIEF, thief_at), CN, 17))
    assert [who for _, who, _ in own] == [f"MR{thief_at}"]


@pytest.mark.parametrize("claimed", [mn_mac(VICTIM), router_mac(1), "02:aa:00:00:00:99"])
def test_a_mac_that_is_not_the_ports_is_not_heard_and_not_learned(claimed: str) -> None:
    """Nor believed by the controller, if a port is so new that its switch has no rules for it and sends a copy."""
    net = away()
    before = dict(net.switches[1].macs)
    port = net.switches[1].ports[net.place[mn_mac(THIEF)][1]]
    for frame in (
        ip_frame(claimed, router_mac(1), mn_ip(VICTIM, 1), CN, 17),
        dhcp_frame(claimed, BROADCAST, "0.0.0.0", "255.255.255.255", 1, client_id=b"x"),
        arp_frame(claimed, BROADCAST, router_ip(1), mn_ip(THIEF, 1)),
    ):
        assert net.from_mn(mn_mac(THIEF), frame) == []
        net.pump()
        net.queue.append(messages.FrameCopied(1, port, frame_bytes(frame)))
        net.pump()
    assert net.switches[1].macs == before
    assert {node.mac for node in net.core.nodes.values()} == {mn_mac(VICTIM), mn_mac(THIEF)}
    check_untouched(net)


def test_a_client_id_makes_nobody_another_node_and_nobody_gives_anothers_lease_back() -> None:
    net = away()
    net.from_mn(mn_mac(VICTIM), dhcp_frame(mn_mac(VICTIM), BROADCAST, "0.0.0.0", "255.255.255.255", 1, client_id=b"v"))
    net.from_mn(mn_mac(THIEF), dhcp_frame(mn_mac(THIEF), BROADCAST, "0.0.0.0", "255.255.255.255", 1, client_id=b"v"))
    address = mn_ip(VICTIM, 1)
    release = dhcp_frame(mn_mac(THIEF), router_mac(1), address, router_ip(1), 7, chaddr=mn_mac(VICTIM), ciaddr=address)
    net.from_mn(mn_mac(THIEF), release)
    net.pump()
    assert not net.events("mn_identified")
    check_untouched(net)


def test_no_node_passes_for_a_router_or_a_dhcp_server() -> None:
    """From its own address: what it advertises, redirects to (RFC 6105), or leases."""
    mac, all_nodes = mn_mac(THIEF), "33:33:00:00:00:01"
    net = away(2)
    lease = dhcp_frame(mac, BROADCAST, mn_ip(THIEF, 2), "255.255.255.255", 5, yiaddr="10.2.0.66", lease_s=60)
    assert net.from_mn(mac, lease) == []
    net = away6(2)
    for kind in (134, 137):
        for source in (link_local(mac), mn_ip6(THIEF, 2)):
            assert net.from_mn(mac, nd_frame(mac, all_nodes, source, kind, mn_ip6(THIEF, 2))) == []


@pytest.mark.parametrize("thief_at", [1, 2])
def test_nobody_gives_anothers_ipv6_address_back(thief_at: int) -> None:
    """Neither by its own MAC nor by the other's; what is a node's own it may give back."""
    net, mac = away6(thief_at, releases=True), mn_mac(THIEF)
    stolen, router = mn_ip6(VICTIM, 1), router_mac(thief_at)
    for claimed in (mac, mn_mac(VICTIM)):
        assert net.from_mn(mac, dropped(claimed, router, stolen, stolen)) == []
        net.pump()
    check_untouched(net)
    here = net.place[mn_mac(VICTIM)][0]
    assert net.from_mn(mn_mac(VICTIM), dropped(mn_mac(VICTIM), router_mac(here), stolen, stolen))
    net.pump()
    assert stolen not in net.core.bindings


@pytest.mark.parametrize("client_id", [b"", b"\x01" + bytes.fromhex(mn_mac(VICTIM).replace(":", ""))])
@pytest.mark.parametrize("before", [True, False])
def test_nobody_is_leased_what_is_anothers_under_its_client_id(client_id: bytes, before: bool) -> None:
    """A server goes by the client id, which is made of a MAC and no secret: what it then leases is not his who asked.
    ``before`` its node has it he has to ask in its name; and then has nothing leased as long as his port is there.
    """
    net, mac, stolen = FakeNetwork(guarded()), mn_mac(THIEF), mn_ip(VICTIM, 1)
    net.move(THIEF, 1)
    if not before:
        net.move(VICTIM, 1)
        net.move(VICTIM, 2)
    asked = dhcp_frame(mac, BROADCAST, "0.0.0.0", "255.255.255.255", 3, client_id=client_id)
    net.from_mn(mac, asked)
    net.pump()
    net.from_router(1, dhcp_frame(router_mac(1), mac, router_ip(1), stolen, 5, chaddr=mac, yiaddr=stolen, lease_s=600))
    net.pump()
    refused = not before or bool(client_id)
    assert bool(net.events("claim_refused")) is refused
    assert (net.from_mn(mac, ip_frame(mac, router_mac(1), stolen, CN, 17)) == []) is refused
    if before and refused:
        net.move(VICTIM, 1)
        net.move(VICTIM, 2)
    if refused:
        check_untouched(net)
        net.move(THIEF, 2)
        assert net.from_mn(mac, ip_frame(mac, router_mac(2), mn_ip(THIEF, 2), CN, 17))


def test_without_the_guard_too_nobody_gives_anothers_lease_back() -> None:
    net = FakeNetwork(make_plan([(1, 2)], 2))
    net.move(VICTIM, 1)
    net.move(VICTIM, 2)
    net.move(THIEF, 1)
    address = mn_ip(VICTIM, 1)
    net.from_mn(
        mn_mac(THIEF),
        dhcp_frame(mn_mac(THIEF), router_mac(1), address, router_ip(1), 7, chaddr=mn_mac(VICTIM), ciaddr=address),
    )
    net.pump()
    check_untouched(net)


def test_the_guard_follows_the_node_and_a_restart_changes_nothing() -> None:
    net = away()
    net.move(VICTIM, 1)
    net.move(VICTIM, 2)
    check_untouched(net)
    net.advance(1.0)
    before = [dict(switch.rules) for switch in net.switches.values()]
    net.restart()
    assert [dict(switch.rules) for switch in net.switches.values()] == before
    check_untouched(net)
    ports = {(i, number) for i, switch in net.switches.items() for number in switch.ports.values()}
    for i, switch in net.switches.items():
        guards = [rule for rule in switch.rules.values() if rule.kind is Kind.GUARD]
        assert {(i, rule.get("in_port")) for rule in guards} <= ports


def test_a_restart_opens_no_port_at_which_nobody_has_been_heard() -> None:
    net, stolen = FakeNetwork(guarded()), mn_ip(VICTIM, 1)
    net.move(VICTIM, 1)
    net.move(VICTIM, 2)
    net.attach(mn_mac(THIEF), 1)
    net.pump()
    for _ in range(2):
        for mac in (mn_mac(THIEF), mn_mac(VICTIM)):
            assert net.from_mn(mn_mac(THIEF), ip_frame(mac, router_mac(1), stolen, CN, 17)) == []
        net.restart()
    check_untouched(net)


def made_up(rng: random.Random) -> str:
    return f"02:{rng.randrange(256):02x}:" + ":".join(f"{rng.randrange(256):02x}" for _ in range(4))


def flood(net: FakeNetwork, family: str, number: int, seed: int) -> None:
    rng = random.Random(seed)
    port = net.switches[1].ports[net.place[mn_mac(THIEF)][1]]
    for _ in range(number):
        mac = made_up(rng)
        frames: list[Frame] = [dhcp_frame(mac, BROADCAST, "0.0.0.0", "255.255.255.255", 1, client_id=rng.randbytes(8))]
        frames.append(dhcp_frame(mn_mac(THIEF), BROADCAST, "0.0.0.0", "255.255.255.255", 1, client_id=rng.randbytes(8)))
        if family == "ipv6":
            address = f"fd00:1::{rng.randrange(1, 1 << 16):x}:{rng.randrange(1 << 16):x}"
            frames.append(nd_frame(mn_mac(THIEF), "33:33:00:00:00:01", address, 136, address))
            frames.append(nd_frame(mac, "33:33:00:00:00:01", address, 136, address))
        for frame in frames:
            net.queue.append(messages.FrameCopied(1, port, frame_bytes(frame)))
        net.pump()
    net.records.clear()
    net.updates.clear()


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_flood_of_made_up_nodes_is_bounded_and_others_go_on(family: str) -> None:
    """Not guarded: the first so many are believed, and no more."""
    net = FakeNetwork(make_plan([(1, 2)], 2, family=family))
    begin = (lambda k, i: form(net, k, i)) if family == "ipv6" else net.move
    begin(VICTIM, 1)
    begin(THIEF, 1)
    flood(net, family, 300, 1)
    rules, nodes = len(net.switches[1].rules), len(net.core.nodes)
    tracemalloc.start()
    flood(net, family, 1500, 2)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(net.switches[1].rules), len(net.core.nodes)) == (rules, nodes)
    assert nodes <= MOST_MACS + 2
    assert len(net.core.bindings) <= (MOST_MACS + 2) * MOST_ADDRESSES
    assert grown < 200_000
    begin(VICTIM, 2)
    check_untouched(net)


def test_nodes_that_come_and_go_under_ever_new_macs_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmmlab.controllers.core.MOST_NODES", 20)
    net = FakeNetwork(make_plan([(1, 2)], 2))
    net.move(VICTIM, 1)
    net.move(VICTIM, 2)
    rng = random.Random(1)
    for _ in range(200):
        mac = made_up(rng)
        net.attach(mac, 1, port="mn-02")
        net.from_mn(mac, dhcp_frame(mac, BROADCAST, "0.0.0.0", "255.255.255.255", 1, client_id=mac.encode()))
        net.pump()
        net.detach(mac)
        net.pump()
    assert len(net.core.nodes) <= 21
    check_untouched(net)
