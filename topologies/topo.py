"""The plan as Mininet describes networks, before anything is built: nodes, and the interfaces of their links."""

from __future__ import annotations

from mininet.topo import Topo

from dmmlab.topologies.plan import CONTROLLER, CORE, HUB, NetworkPlan
from dmmlab.topologies.sites import Sites

SWITCH_SIDE = "access"  # Mininet's name for the namespace in which the switches of the first site, or of all, live
# And for what is between the mobile nodes and their radio ports: whenever a link changes, ovs-vswitchd lists all links
# of its namespace, which with some hundred nodes costs more than all else in a move. With several sites, the middle of
# inter-MR links is there, too, and a radio port that is in no switch.
AIR = "air"


class DmmTopo(Topo):  # type: ignore[misc]
    """The plan as Mininet describes networks: nodes, and the interfaces of their links with their MACs."""

    def build(self, plan: NetworkPlan, sites: Sites) -> None:
        """Adds hosts, routers, switches and links of ``plan``; the switches are in the namespaces of ``sites``."""
        for name in (
            CORE,
            CONTROLLER,
            *(router.name for router in plan.mobile_routers),
            *(host.name for host in plan.hosts),
            *(node.name for node in plan.mobile_nodes),
        ):
            self.addHost(name, ip=None)
        for site in plan.sites:
            self.addHost(site.name, ip=None, netlink=sites.at(site))
        self.addHost(AIR, ip=None)
        for router in plan.mobile_routers:
            self.addSwitch(
                router.switch, dpid=f"{router.dpid:x}", protocols="OpenFlow13", netlink=sites.netlink(router.switch)
            )
            self._link(
                (router.name, router.core_interface, router.core_mac),
                (CORE, router.router_interface, router.router_mac),
            )
            self._link(
                (router.name, router.access_interface, router.access_mac), (router.switch, router.router_port, None)
            )
        for host in plan.hosts:
            self._link((host.name, host.interface, host.mac), (CORE, host.core_interface, host.core_mac))
        switches = {router.name: router.switch for router in plan.mobile_routers}
        for link in plan.inter_mr:
            for name, port, middle in zip(link.routers, link.ports, link.middle, strict=True):
                self._link((switches[name], port, None), (between(plan), middle, None))
        for node in plan.mobile_nodes:
            for radio in node.radios:
                self._link((node.name, radio.interface, radio.mac), (AIR, radio.middle[0], None))
        control, hub = plan.control, SWITCH_SIDE
        if len(plan.sites) > 1:
            hub = self.addHost(HUB, ip=None)
            for site in plan.sites:
                self._link((site.name, site.interface, site.mac), (HUB, site.hub_interface, site.hub_mac))
        self._link((CONTROLLER, control.interface, control.mac), (hub, control.switch_interface, control.switch_mac))

    def _link(self, one: tuple[str, str, str | None], other: tuple[str, str, str | None]) -> None:
        """Of each end the node, the interface and its MAC (None: any)."""
        (node1, interface1, mac1), (node2, interface2, mac2) = one, other
        self.addLink(node1, node2, intfName1=interface1, addr1=mac1, intfName2=interface2, addr2=mac2)


def between(plan: NetworkPlan) -> str:
    """Where the wire of an inter-MR link is."""
    return SWITCH_SIDE if len(plan.sites) == 1 else AIR
