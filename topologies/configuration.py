"""What the nodes of a network that has been built are told: interfaces, addresses, neighbours, routes, wires, tunnels.

Mininet makes namespaces and links; all that is in them by then is done here, by netlink and sysctl.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dmmlab.topologies import sysctls
from dmmlab.topologies.links import End, Netlink
from dmmlab.topologies.plan import CONTROLLER, CORE, HUB, Host, MobileNode, MobileRouter, NetworkPlan, Radio, Wire
from dmmlab.topologies.sites import Sites
from dmmlab.topologies.topo import AIR, between

_CORE_MTU = 1600  # octets, with tunnels: a frame of 1514 and, over IPv6, 70 of headers around it


def detach(air: Netlink, radio: Radio) -> None:
    """Takes the radio link away: both ends lose the carrier at once."""
    for end in radio.middle:
        air.down(end)


class Configuration:
    """Of one network: ``netlink`` gives the connection into a node by its name, ``here`` is the caller's own namespace.

    ``seed`` is that of what the wires draw by chance.
    """

    def __init__(
        self, plan: NetworkPlan, seed: int, sites: Sites, here: Netlink, netlink: Callable[[str], Netlink]
    ) -> None:
        self._plan, self._seed, self._sites, self._here, self._netlink = plan, seed, sites, here, netlink
        self._one_site = len(plan.sites) == 1

    def make_tunnels(self) -> None:
        """Before the switches, whose ports their ends are; links to the core must take a tunnel's packets whole."""
        for tunnel in self._plan.tunnels:
            ends = [self._plan.mobile_router(name) for name in tunnel.routers]
            for port, near, far in zip(tunnel.ports, ends, reversed(ends), strict=True):
                there = self._sites.netlink(near.switch)
                addresses = near.core_address.ip, far.core_address.ip
                self._netlink(near.name).tunnel(port, tunnel.number, *addresses, there)
        for name in dict.fromkeys(name for tunnel in self._plan.tunnels for name in tunnel.routers):
            router = self._plan.mobile_router(name)
            self._netlink(name).mtu(router.core_interface, _CORE_MTU)
            self._netlink(CORE).mtu(router.router_interface, _CORE_MTU)

    def apply(self, checksums_in_software: bool) -> None:
        """All nodes and links, once the switches are there; a switch that is a program computes no checksums."""
        for router in self._plan.mobile_routers:
            self._router(router)
        for host in self._plan.hosts:
            self._host(host)
        self._core()
        self._control()
        self._inter_mr()
        self._netlink(AIR).namespace.set(sysctls.NO_IPV6)
        for node in self._plan.mobile_nodes:
            self._mobile_node(node)
        if checksums_in_software:
            self._complete_checksums()

    def _complete_checksums(self) -> None:
        for router in self._plan.mobile_routers:
            for interface in (router.core_interface, router.access_interface):
                self._netlink(router.name).checksums_in_software(interface)
            self._netlink(CORE).checksums_in_software(router.router_interface)
        ends = [(host.name, host.interface) for host in self._plan.hosts]
        ends += [(node.name, radio.interface) for node in self._plan.mobile_nodes for radio in node.radios]
        for name, interface in ends:
            self._netlink(name).checksums_in_software(interface)

    def _router(self, router: MobileRouter) -> None:
        netlink = self._netlink(router.name)
        netlink.namespace.set(sysctls.router(self._plan.family, [router.core_interface], router.access_interface))
        netlink.up("lo")
        netlink.up(router.core_interface)
        netlink.up(router.access_interface)
        netlink.address(router.core_interface, router.core_address)
        netlink.address(router.access_interface, router.gateway)
        netlink.neighbour(router.core_interface, router.router_address.ip, router.router_mac)
        netlink.route(None, router.router_address.ip)

    def _host(self, host: Host) -> None:
        netlink = self._netlink(host.name)
        netlink.namespace.set(sysctls.host(self._plan.family, host.interface))
        netlink.up("lo")
        netlink.up(host.interface)
        netlink.address(host.interface, host.address)
        netlink.neighbour(host.interface, host.gateway.ip, host.core_mac)
        netlink.route(None, host.gateway.ip)

    def _mobile_node(self, node: MobileNode) -> None:
        netlink, air = self._netlink(node.name), self._netlink(AIR)
        netlink.up("lo")
        for radio in node.radios:
            netlink.namespace.set(sysctls.mobile_node(self._plan.family, radio.interface, self._plan.dad))
            air.veth(End(radio.middle[1]), End(radio.port), self._here if self._one_site else air)
            if self._one_site:
                self._here.up(radio.port)
            air.splice(*radio.middle, node.wire, self._seed)
            detach(air, radio)
            netlink.up(radio.interface)  # now: with a carrier it would solicit a router, and on attachment not again

    def _core(self) -> None:
        core = self._netlink(CORE)
        interfaces = {host.name: host.core_interface for host in self._plan.hosts}
        interfaces |= {router.name: router.router_interface for router in self._plan.mobile_routers}
        core.namespace.set(sysctls.router(self._plan.family, list(interfaces.values())))
        core.up("lo")
        for host in self._plan.hosts:
            core.up(host.core_interface)
            core.address(host.core_interface, host.gateway)
            core.neighbour(host.core_interface, host.address.ip, host.mac)
            self._shape_core(core, host.name, host.wire, interfaces)
        for router in self._plan.mobile_routers:
            core.up(router.router_interface)
            core.address(router.router_interface, router.router_address)
            core.neighbour(router.router_interface, router.core_address.ip, router.core_mac)
            self._shape_core(core, router.name, router.core_wire, interfaces)
            core.route(router.prefix, router.core_address.ip)

    def _shape_core(self, core: Netlink, name: str, wire: Wire, interfaces: dict[str, str]) -> None:
        """Of the core's link to ``name``. What a node with pair delays sends is not delayed where it arrives here, but
        where it leaves for the other one.
        """
        plan = self._plan
        ways = {interfaces[source]: plan.way(source, name) for source in interfaces if source in plan.paired - {name}}
        if not ways:
            core.shape(interfaces[name], wire, self._seed)
            return
        arriving = replace(wire, delay_s=0.0) if name in plan.paired else wire
        core.shape_by_source(interfaces[name], arriving, wire, ways, self._seed)

    def _control(self) -> None:
        control, there, here = self._plan.control, self._netlink(CONTROLLER), self._here
        if not self._one_site:
            here = self._netlink(HUB)
            self._site_links(here)
        there.namespace.set(sysctls.NO_IPV6)
        there.up("lo")
        there.up(control.interface)
        there.address(control.interface, control.address)
        here.up("lo")
        here.up(control.switch_interface)
        here.address(control.switch_interface, control.switch_address)
        here.shape(control.switch_interface, control.wire, self._seed)
        if not self._one_site:
            there.route(None, control.switch_address.ip)

    def _site_links(self, hub: Netlink) -> None:
        hub.namespace.set(sysctls.router("ipv4", []))
        for site in self._plan.sites:
            netlink = self._sites.at(site)
            netlink.up("lo")
            for end, interface, address in (
                (netlink, site.interface, site.address),
                (hub, site.hub_interface, site.hub_address),
            ):
                end.up(interface)
                end.address(interface, address)
            netlink.neighbour(site.interface, site.hub_address.ip, site.hub_mac)
            hub.neighbour(site.hub_interface, site.address.ip, site.mac)
            netlink.route(None, site.hub_address.ip)

    def _inter_mr(self) -> None:
        middle = self._netlink(between(self._plan))
        ends: list[tuple[str, str]] = []
        for link in self._plan.inter_mr:
            middle.splice(*link.middle, link.wire, self._seed)
            ends += zip(link.routers, link.ports, strict=True)
        for tunnel in self._plan.tunnels:
            ends += zip(tunnel.routers, tunnel.ports, strict=True)
        ports = [(self._plan.mobile_router(name).switch, port) for name, port in ends]
        for switch, port in (*ports, *((router.switch, router.router_port) for router in self._plan.mobile_routers)):
            self._sites.netlink(switch).up(port)
