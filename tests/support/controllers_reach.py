"""Whether an address of a mobile node works, both ways: judged by where frames end, not by which rules there are."""

from controllers_fake import (
    BROADCAST,
    CN,
    FakeNetwork,
    Frame,
    arp_frame,
    ip_frame,
    mn_ip,
    mn_mac,
    router_ip,
    router_mac,
)

from dmmlab.controllers.rules import Kind

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
