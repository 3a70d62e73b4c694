"""A live network from a plan, by Mininet: namespaces, veth links, Open vSwitch; then addresses, routes and wires.

Nodes are Mininet nodes (`elements`) under the plan's names. The switches live in the namespace that the caller runs
in, which a run makes for itself (`dmmlab.machine.isolation`), so nothing here can collide with what else the machine
does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from mininet.net import Mininet
from mininet.topo import Topo
from mininet.util import numCores

from dmmlab.topologies import sysctls
from dmmlab.topologies.bridges import Bridge, SwitchPort
from dmmlab.topologies.elements import Controller, Host, Interface, Switch, Veth
from dmmlab.topologies.links import Disturbance, End, Netlink
from dmmlab.topologies.namespaces import Namespace
from dmmlab.topologies.openvswitch import Datapath, OpenVSwitch
from dmmlab.topologies.ovsdb import Database
from dmmlab.topologies.plan import (
    CONTROLLER,
    CONTROLLER_PORT,
    CORE,
    HUB,
    INTER_MR_VLAN,
    MobileNode,
    MobileRouter,
    NetworkPlan,
    Radio,
    Wire,
)
from dmmlab.topologies.plan import Host as PlannedHost
from dmmlab.topologies.sites import Sites

# Mininet would raise the limit of open files to 16384, and `mnexec -c` then closes every one of them for each shell.
Mininet.inited = True
numCores.ncores = os.cpu_count()  # which it would have counted by a program

_CORE_MTU = 1600  # octets, with tunnels: a frame of 1514 and, over IPv6, 70 of headers around it

_LOOKS, _LOOK_S = 240, 0.5  # how often it is looked whether links are in operation, and how long between

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
                self._link((switches[name], port, None), (_between(plan), middle, None))
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


def _between(plan: NetworkPlan) -> str:
    """Where the wire of an inter-MR link is."""
    return SWITCH_SIDE if len(plan.sites) == 1 else AIR


class Network:
    """A running network. Use it as a context: what was started is stopped on the way out.

    ``database`` is that of an Open vSwitch in the calling thread's namespace; ``folder`` is for the files of others.
    """

    def __init__(
        self,
        plan: NetworkPlan,
        seed: int,
        database: Database,
        datapath: Datapath = "system",
        folder: Path | None = None,
    ) -> None:
        self.plan = plan
        self._seed = seed
        self._database = database
        self._datapath: Datapath = datapath
        self._here = Netlink(Namespace.current())
        self._one_site = len(plan.sites) == 1
        self._sites = Sites(plan.sites, self._here, database, datapath, folder)
        self._unconfined = unconfined()
        self._switches: dict[str, str | None] = {}  # by radio port: the switch that has it
        self._wires = {radio.port: node.wire for node in plan.mobile_nodes for radio in node.radios}
        self.mininet = Mininet(
            topo=None, controller=None, host=Host, switch=Switch, link=Veth, intf=Interface, build=False
        )

    def __enter__(self) -> Network:
        try:
            self._here.namespace.set(sysctls.NO_IPV6)  # before there are interfaces that would solicit routers
            self._sites.start()
            self.mininet.topo = DmmTopo(plan=self.plan, sites=self._sites)
            address = str(self.plan.control.address.ip)
            self.mininet.addController("c0", Controller, ip=address, port=CONTROLLER_PORT, netlink=self._here)
            self.mininet.build()
            self._make_tunnels()
            self._sites.make(self._planned_bridges())
            self._configure()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the shells and lets go of the namespaces, and so of what is in them.

        What is in the caller's own goes with it.
        """
        for node in self.mininet.values():
            node.terminate()
        self._sites.stop()
        self._here.close()
        self._here.namespace.close()

    def inside(self, name: str) -> AbstractContextManager[None]:
        """The calling thread is in the namespace of node ``name`` for as long as the block runs."""
        return self.netlink(name).namespace.inside()

    def enter(self, name: str) -> None:
        """Moves the calling thread into the namespace of node ``name``, for good."""
        self.netlink(name).namespace.enter()

    def popen(self, name: str, argv: list[str], **how: Any) -> subprocess.Popen[bytes]:
        """Starts ``argv`` in the namespace of node ``name``."""
        with self.inside(name):
            return subprocess.Popen([*self._unconfined, *argv], **how)

    def netlink(self, name: str) -> Netlink:
        """The netlink connection into node ``name``."""
        netlink: Netlink = self.mininet.get(name).netlink
        return netlink

    def await_links(self) -> None:
        """Returns when all at the core can send, which takes large networks seconds; TimeoutError if never."""
        waiting = {end.name: [end.interface] for end in self.plan.hosts}
        waiting |= {router.name: [router.core_interface] for router in self.plan.mobile_routers}
        waiting[CORE] = [end.core_interface for end in self.plan.hosts]
        waiting[CORE] += [router.router_interface for router in self.plan.mobile_routers]
        for _ in range(_LOOKS):
            for name, interfaces in tuple(waiting.items()):
                waiting[name] = self.netlink(name).not_in_operation(interfaces)
            waiting = {name: interfaces for name, interfaces in waiting.items() if interfaces}
            if not waiting:
                return
            time.sleep(_LOOK_S)
        raise TimeoutError(f"after {_LOOKS * _LOOK_S:g} s, no carrier yet at {', '.join(waiting)}")

    # -- movement ---------------------------------------------------------------------------------------------
    def detach(self, radio: Radio) -> None:
        """Takes the radio link away: both ends lose the carrier at once."""
        for end in radio.middle:
            self.netlink(AIR).down(end)

    def rewire(self, node: MobileNode, radio: Radio, to: MobileRouter | None) -> None:
        """Takes the radio port out of the switch that has it and puts it into that of ``to``; it has no carrier yet.

        None: into no other.
        """
        joins = to.switch if to is not None else None
        self._sites.move(radio.port, self._switches.get(radio.port), joins, self.netlink(AIR))
        self._switches[radio.port] = joins
        if to is not None and (wire := node.wire_at(to.name)) != self._wires[radio.port]:
            self._wires[radio.port] = wire
            for end in radio.middle:
                self.netlink(AIR).change_wire(end, wire, self._seed)

    def forget_flows(self) -> None:
        """Has the switches look up every packet anew, where they are those of one site.

        They share a datapath, whose cached flows are looked over every 5 ms at most: so long, what came for a port that
        has changed switches, and what it says, would still be dealt with by the switch that had it.
        """
        if not self._one_site or not self._database.followed:
            return
        subprocess.run(["ovs-appctl", "--timeout=5", "revalidator/purge"], check=True, capture_output=True)

    def attach(self, radio: Radio) -> None:
        """Gives the radio link its carrier: from now on frames pass.

        The mobile node gets it last: it sends at once, and the way to the switch must be open by then.
        """
        for end in reversed(radio.middle):
            self.netlink(AIR).up(end)

    # -- faults -----------------------------------------------------------------------------------------------
    def passed(self, name: str, interface: str) -> int:
        """How many packets have come and gone by ``interface`` of node ``name`` (proc(5): net/dev)."""
        with self.inside(name):
            lines = Path("/proc/thread-self/net/dev").read_text().splitlines()
        counted = next(line.split(":")[1].split() for line in lines if line.strip().startswith(f"{interface}:"))
        return int(counted[1]) + int(counted[9])

    def disturb(self, source: str, sink: str, how: Disturbance | None) -> None:
        """What goes from ``source`` to ``sink``, the two ends of a link as a scenario names it, goes by ``how`` of the
        link's wire; None: as ever.
        """
        for name, interface, arriving in self._shapers(source, sink):
            netlink = self.netlink(name) if name else self._here
            netlink.disturb(netlink.arriving(interface) if arriving else interface, how)

    def _shapers(self, source: str, sink: str) -> list[tuple[str, str, bool]]:
        """Where what goes from ``source`` to ``sink`` is shaped: the node (empty: the caller's namespace), the
        interface, and whether it is that by which packets arrive.
        """
        plan = self.plan
        for node in plan.mobile_nodes:
            if node.name in (source, sink):
                return [(AIR, radio.middle[0 if sink == node.name else 1], False) for radio in node.radios]
        for link in plan.inter_mr:
            if set(link.routers) == {source, sink}:
                return [(_between(plan), link.middle[link.routers.index(sink)], False)]
        if CONTROLLER in (source, sink):
            return [("" if self._one_site else HUB, plan.control.switch_interface, source == CONTROLLER)]
        at_core = {host.name: host.core_interface for host in plan.hosts}
        at_core |= {router.name: router.router_interface for router in plan.mobile_routers}
        return [(CORE, at_core[source if sink == CORE else sink], sink == CORE)]

    @property
    def more_switches(self) -> list[OpenVSwitch]:
        """What the switches of all sites but the first run in."""
        return self._sites.more

    def programs_of(self, switch: str) -> dict[str, str]:
        """The environment in which Open vSwitch's programs find ``switch``."""
        return {**os.environ, **self._sites.environment(switch)}

    # -- what Mininet leaves to us ------------------------------------------------------------------------------
    def _planned_bridges(self) -> list[Bridge]:
        """The switches; their ports are numbered as Mininet has it."""
        controller = f"tcp:{self.plan.control.address.ip}:{CONTROLLER_PORT}"
        tags = {port: INTER_MR_VLAN for link in self.plan.inter_mr for port in link.ports}
        ends = [end for tunnel in self.plan.tunnels for end in zip(tunnel.routers, tunnel.ports, strict=True)]
        bridges = []
        for router in self.plan.mobile_routers:
            numbers = self.mininet.get(router.switch).ports.items()  # 0 is Mininet's lo
            ports = [
                SwitchPort(interface.name, number, tags.get(interface.name)) for interface, number in numbers if number
            ]
            ports += [SwitchPort(port, tag=INTER_MR_VLAN) for name, port in ends if name == router.name]
            bridges.append(Bridge(router.switch, router.dpid, controller, ports))
        return bridges

    def _make_tunnels(self) -> None:
        """Before the switches, whose ports their ends are; links to the core must take a tunnel's packets whole."""
        for tunnel in self.plan.tunnels:
            ends = [self.plan.mobile_router(name) for name in tunnel.routers]
            for port, near, far in zip(tunnel.ports, ends, reversed(ends), strict=True):
                there = self._sites.netlink(near.switch)
                addresses = near.core_address.ip, far.core_address.ip
                self.netlink(near.name).tunnel(port, tunnel.number, *addresses, there)
        for name in dict.fromkeys(name for tunnel in self.plan.tunnels for name in tunnel.routers):
            router = self.plan.mobile_router(name)
            self.netlink(name).mtu(router.core_interface, _CORE_MTU)
            self.netlink(CORE).mtu(router.router_interface, _CORE_MTU)

    def _configure(self) -> None:
        for router in self.plan.mobile_routers:
            self._configure_router(router)
        for host in self.plan.hosts:
            self._configure_host(host)
        self._configure_core()
        self._configure_control()
        self._configure_inter_mr()
        self.netlink(AIR).namespace.set(sysctls.NO_IPV6)
        for node in self.plan.mobile_nodes:
            self._configure_mobile_node(node)
        if self._datapath == "netdev":
            self._complete_checksums()

    def _complete_checksums(self) -> None:
        for router in self.plan.mobile_routers:
            for interface in (router.core_interface, router.access_interface):
                self.netlink(router.name).checksums_in_software(interface)
            self.netlink(CORE).checksums_in_software(router.router_interface)
        ends = [(host.name, host.interface) for host in self.plan.hosts]
        ends += [(node.name, radio.interface) for node in self.plan.mobile_nodes for radio in node.radios]
        for name, interface in ends:
            self.netlink(name).checksums_in_software(interface)

    def _configure_router(self, router: MobileRouter) -> None:
        netlink = self.netlink(router.name)
        netlink.namespace.set(sysctls.router(self.plan.family, [router.core_interface], router.access_interface))
        netlink.up("lo")
        netlink.up(router.core_interface)
        netlink.up(router.access_interface)
        netlink.address(router.core_interface, router.core_address)
        netlink.address(router.access_interface, router.gateway)
        netlink.neighbour(router.core_interface, router.router_address.ip, router.router_mac)
        netlink.route(None, router.router_address.ip)

    def _configure_host(self, host: PlannedHost) -> None:
        netlink = self.netlink(host.name)
        netlink.namespace.set(sysctls.host(self.plan.family, host.interface))
        netlink.up("lo")
        netlink.up(host.interface)
        netlink.address(host.interface, host.address)
        netlink.neighbour(host.interface, host.gateway.ip, host.core_mac)
        netlink.route(None, host.gateway.ip)

    def _configure_mobile_node(self, node: MobileNode) -> None:
        netlink, air = self.netlink(node.name), self.netlink(AIR)
        netlink.up("lo")
        for radio in node.radios:
            netlink.namespace.set(sysctls.mobile_node(self.plan.family, radio.interface, self.plan.dad))
            air.veth(End(radio.middle[1]), End(radio.port), self._here if self._one_site else air)
            if self._one_site:
                self._here.up(radio.port)
            air.splice(*radio.middle, node.wire, self._seed)
            self.detach(radio)
            netlink.up(radio.interface)  # now: with a carrier it would solicit a router, and on attachment not again

    def _configure_core(self) -> None:
        core = self.netlink(CORE)
        interfaces = {host.name: host.core_interface for host in self.plan.hosts}
        interfaces |= {router.name: router.router_interface for router in self.plan.mobile_routers}
        core.namespace.set(sysctls.router(self.plan.family, list(interfaces.values())))
        core.up("lo")
        for host in self.plan.hosts:
            core.up(host.core_interface)
            core.address(host.core_interface, host.gateway)
            core.neighbour(host.core_interface, host.address.ip, host.mac)
            self._shape_core(core, host.name, host.wire, interfaces)
        for router in self.plan.mobile_routers:
            core.up(router.router_interface)
            core.address(router.router_interface, router.router_address)
            core.neighbour(router.router_interface, router.core_address.ip, router.core_mac)
            self._shape_core(core, router.name, router.core_wire, interfaces)
            core.route(router.prefix, router.core_address.ip)

    def _shape_core(self, core: Netlink, name: str, wire: Wire, interfaces: dict[str, str]) -> None:
        """Of the core's link to ``name``. What a node with pair delays sends is not delayed where it arrives here, but
        where it leaves for the other one.
        """
        plan = self.plan
        ways = {interfaces[source]: plan.way(source, name) for source in interfaces if source in plan.paired - {name}}
        if not ways:
            core.shape(interfaces[name], wire, self._seed)
            return
        arriving = replace(wire, delay_s=0.0) if name in plan.paired else wire
        core.shape_by_source(interfaces[name], arriving, wire, ways, self._seed)

    def _configure_control(self) -> None:
        control, there, here = self.plan.control, self.netlink(CONTROLLER), self._here
        if not self._one_site:
            here = self.netlink(HUB)
            self._configure_sites(here)
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

    def _configure_sites(self, hub: Netlink) -> None:
        hub.namespace.set(sysctls.router("ipv4", []))
        for site in self.plan.sites:
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

    def _configure_inter_mr(self) -> None:
        between = self.netlink(_between(self.plan))
        ends: list[tuple[str, str]] = []
        for link in self.plan.inter_mr:
            between.splice(*link.middle, link.wire, self._seed)
            ends += zip(link.routers, link.ports, strict=True)
        for tunnel in self.plan.tunnels:
            ends += zip(tunnel.routers, tunnel.ports, strict=True)
        ports = [(self.plan.mobile_router(name).switch, port) for name, port in ends]
        for switch, port in (*ports, *((router.switch, router.router_port) for router in self.plan.mobile_routers)):
            self._sites.netlink(switch).up(port)


def unconfined() -> list[str]:
    """What starts a program free of this system's AppArmor profiles; nothing where there are none.

    Debian and Ubuntu confine named, unbound and tcpdump to the files of the one instance that the system knows. Ours
    have their files in a folder of the run.
    """
    try:
        profiles = Path("/sys/kernel/security/apparmor/profiles").read_text()
    except OSError:
        return []
    program = shutil.which("aa-exec", path="/usr/bin:/usr/sbin:/bin:/sbin")
    return [program, "--profile=unconfined", "--"] if profiles and program else []
