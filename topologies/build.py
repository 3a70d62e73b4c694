"""A live network from a plan, by Mininet: namespaces, veth links, Open vSwitch; then addresses, routes and wires.

Nodes are Mininet nodes under the plan's names. The switches live in the namespace that the caller runs in, which a
run makes for itself (`dmmlab.machine.isolation`), so nothing here can collide with what else the machine does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from mininet.net import Mininet
from mininet.node import Node, OVSSwitch, RemoteController
from mininet.topo import Topo

from dmmlab.topologies.links import Netlink
from dmmlab.topologies.openvswitch import Datapath
from dmmlab.topologies.plan import (
    CONTROLLER,
    CONTROLLER_PORT,
    CORE,
    INTER_MR_VLAN,
    Host,
    MobileNode,
    MobileRouter,
    NetworkPlan,
)

# Mininet would raise the limit of open files to 16384, and `mnexec -c` then closes every one of them for each host.
Mininet.inited = True

_MININETS: dict[Datapath, str] = {"system": "kernel", "netdev": "user"}  # Mininet's names for the datapaths
SWITCH_SIDE = "access"  # Mininet's name for the namespace in which the switches, and so the radio ports, live
ROUTER_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
}
# What any host with several addresses on one interface wants: ask for neighbours with the address of their own subnet,
# and keep the neighbours that it knows when the radio link goes, which is when it needs them next.
MOBILE_SYSCTLS = {
    "net/ipv4/conf/all/arp_announce": "2",
    "net/ipv4/conf/all/arp_evict_nocarrier": "0",
    "net/ipv4/conf/default/arp_evict_nocarrier": "0",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
}
HOST_SYSCTLS = {"net/ipv6/conf/all/disable_ipv6": "1", "net/ipv6/conf/default/disable_ipv6": "1"}


class DmmTopo(Topo):  # type: ignore[misc]
    """The plan as Mininet describes networks: nodes and the interface names of their links."""

    def build(self, plan: NetworkPlan, datapath: Datapath) -> None:
        """Adds hosts, routers, switches and links of ``plan``."""
        for name in (
            CORE,
            CONTROLLER,
            *(router.name for router in plan.mobile_routers),
            *(host.name for host in plan.hosts),
            *(node.name for node in plan.mobile_nodes),
        ):
            self.addHost(name, cls=Node, ip=None)
        self.addHost(SWITCH_SIDE, cls=Node, ip=None, inNamespace=False)
        for router in plan.mobile_routers:
            self.addSwitch(
                router.switch, dpid=f"{router.dpid:x}", protocols="OpenFlow13", batch=True, datapath=_MININETS[datapath]
            )
            self._link(router.name, router.core_interface, CORE, router.router_interface)
            self._link(router.name, router.access_interface, router.switch, router.router_port)
        for host in plan.hosts:
            self._link(host.name, host.interface, CORE, host.core_interface)
        switches = {router.name: router.switch for router in plan.mobile_routers}
        for link in plan.inter_mr:
            for name, port, middle in zip(link.routers, link.ports, link.middle, strict=True):
                self._link(switches[name], port, SWITCH_SIDE, middle)
        for node in plan.mobile_nodes:
            self._link(node.name, node.interface, SWITCH_SIDE, node.middle[0])
        self._link(CONTROLLER, plan.control.interface, SWITCH_SIDE, plan.control.switch_interface)

    def _link(self, node1: str, interface1: str, node2: str, interface2: str) -> None:
        self.addLink(node1, node2, intfName1=interface1, intfName2=interface2)


class Controller(RemoteController):  # type: ignore[misc]
    """Where the switches find the controller, which is started by whoever runs the network."""

    def checkListening(self) -> None:
        """Mininet's own check speaks telnet to it and stumbles over the binary answer; the barrier tells us more."""


class Network:
    """A running network. Use it as a context: what was started is stopped on the way out."""

    def __init__(self, plan: NetworkPlan, seed: int, datapath: Datapath = "system") -> None:
        self.plan = plan
        self._seed = seed
        self._datapath: Datapath = datapath
        self._netlink: dict[str, Netlink] = {}
        self._unconfined = unconfined()
        self._serving: dict[str, str | None] = {node.name: None for node in plan.mobile_nodes}
        self.mininet = Mininet(topo=None, controller=None, switch=OVSSwitch, build=False, autoSetMacs=False)

    def __enter__(self) -> Network:
        try:
            for key, value in HOST_SYSCTLS.items():  # before there are interfaces that would solicit routers
                Path("/proc/sys", key).write_text(value)
            OVSSwitch.setup()
            self.mininet.topo = DmmTopo(plan=self.plan, datapath=self._datapath)
            self.mininet.addController("c0", Controller, ip=str(self.plan.control.address.ip), port=CONTROLLER_PORT)
            self.mininet.build()
            for switch in self.mininet.switches:
                switch.start(self.mininet.controllers)
            OVSSwitch.batchStartup(self.mininet.switches)
            self._configure()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the network and removes all that was made for it."""
        for netlink in self._netlink.values():
            netlink.close()
        self._netlink.clear()
        OVSSwitch.batchShutdown(self.mininet.switches)
        for node in (*self.mininet.hosts, *self.mininet.controllers):
            node.terminate()

    def pid(self, name: str) -> int:
        """The process that holds the namespaces of node ``name``."""
        return int(self.mininet.get(name).pid)

    def popen(self, name: str, argv: list[str], **how: Any) -> subprocess.Popen[bytes]:
        """Starts ``argv`` in the namespaces of node ``name``."""
        return subprocess.Popen(["mnexec", "-a", str(self.pid(name)), *self._unconfined, *argv], **how)

    def netlink(self, name: str) -> Netlink:
        """A netlink connection inside host ``name``, kept until the network stops."""
        if name not in self._netlink:
            self._netlink[name] = Netlink(os.getpid() if name == SWITCH_SIDE else self.pid(name), self._seed)
        return self._netlink[name]

    # -- movement ---------------------------------------------------------------------------------------------
    def detach(self, node: MobileNode) -> None:
        """Takes the radio link away: both ends lose the carrier at once."""
        for end in node.middle:
            self.netlink(SWITCH_SIDE).down(end)

    def rewire(self, node: MobileNode, to: MobileRouter) -> None:
        """Takes the radio port out of the switch that has it and puts it into that of ``to``; it has no carrier yet."""
        serving = self._serving[node.name]
        leave = ["--", "del-port", serving, node.radio_port] if serving else []
        vsctl(*leave, "--", "add-port", to.switch, node.radio_port)
        self._serving[node.name] = to.switch

    def attach(self, node: MobileNode) -> None:
        """Gives the radio link its carrier: from now on frames pass.

        The mobile node gets it last: it sends at once, and the way to the switch must be open by then.
        """
        for end in reversed(node.middle):
            self.netlink(SWITCH_SIDE).up(end)

    # -- what Mininet leaves to us ------------------------------------------------------------------------------
    def _configure(self) -> None:
        for router in self.plan.mobile_routers:
            self._configure_router(router)
        for host in self.plan.hosts:
            self._configure_host(host)
        self._configure_core()
        self._configure_control()
        self._configure_inter_mr()
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
        ends += [(node.name, node.interface) for node in self.plan.mobile_nodes]
        for name, interface in ends:
            self.netlink(name).checksums_in_software(interface)

    def _configure_router(self, router: MobileRouter) -> None:
        self._sysctl(router.name, {**HOST_SYSCTLS, **ROUTER_SYSCTLS})
        netlink = self.netlink(router.name)
        netlink.up("lo")
        netlink.up(router.core_interface, mac=router.core_mac)
        netlink.up(router.access_interface, mac=router.access_mac)
        netlink.address(router.core_interface, router.core_address)
        netlink.address(router.access_interface, router.gateway)
        netlink.neighbour(router.core_interface, router.router_address.ip, router.router_mac)
        netlink.route(None, router.router_address.ip)

    def _configure_host(self, host: Host) -> None:
        self._sysctl(host.name, HOST_SYSCTLS)
        netlink = self.netlink(host.name)
        netlink.up("lo")
        netlink.up(host.interface, mac=host.mac)
        netlink.address(host.interface, host.address)
        netlink.neighbour(host.interface, host.gateway.ip, host.core_mac)
        netlink.route(None, host.gateway.ip)

    def _configure_mobile_node(self, node: MobileNode) -> None:
        self._sysctl(node.name, {**HOST_SYSCTLS, **MOBILE_SYSCTLS})
        netlink, here = self.netlink(node.name), self.netlink(SWITCH_SIDE)
        netlink.up("lo")
        netlink.up(node.interface, mac=node.mac)
        here.veth(node.middle[1], node.radio_port)
        here.splice(*node.middle, node.wire)
        here.up(node.radio_port)
        self.detach(node)

    def _configure_core(self) -> None:
        self._sysctl(CORE, {**HOST_SYSCTLS, **ROUTER_SYSCTLS})
        core = self.netlink(CORE)
        core.up("lo")
        for host in self.plan.hosts:
            core.up(host.core_interface, mac=host.core_mac)
            core.address(host.core_interface, host.gateway)
            core.neighbour(host.core_interface, host.address.ip, host.mac)
            core.shape(host.core_interface, host.wire)
        for router in self.plan.mobile_routers:
            core.up(router.router_interface, mac=router.router_mac)
            core.address(router.router_interface, router.router_address)
            core.neighbour(router.router_interface, router.core_address.ip, router.core_mac)
            core.shape(router.router_interface, router.core_wire)
            core.route(router.prefix, router.core_address.ip)

    def _configure_control(self) -> None:
        control, there, here = self.plan.control, self.netlink(CONTROLLER), self.netlink(SWITCH_SIDE)
        there.up("lo")
        there.up(control.interface, mac=control.mac)
        there.address(control.interface, control.address)
        here.up("lo")
        here.up(control.switch_interface, mac=control.switch_mac)
        here.address(control.switch_interface, control.switch_address)
        here.shape(control.switch_interface, control.wire)

    def _configure_inter_mr(self) -> None:
        ports = [port for link in self.plan.inter_mr for port in link.ports]
        if ports:
            vsctl(*(word for port in ports for word in ("--", "set", "port", port, f"tag={INTER_MR_VLAN}")))
        here = self.netlink(SWITCH_SIDE)
        for link in self.plan.inter_mr:
            here.splice(*link.middle, link.wire)
        for port in (*ports, *(router.router_port for router in self.plan.mobile_routers)):
            here.up(port)

    def _sysctl(self, name: str, values: dict[str, str]) -> None:
        """Set in the namespace of ``name``, through the /proc of the process that holds it."""
        script = "\n".join(f"echo {value} > /proc/sys/{key}" for key, value in values.items())
        subprocess.run(["mnexec", "-a", str(self.pid(name)), "sh", "-c", script], check=True)


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


def vsctl(*words: str) -> None:
    """One Open vSwitch transaction; raises RuntimeError with what ovs-vsctl said."""
    result = subprocess.run(["ovs-vsctl", "--timeout=10", *words], capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"ovs-vsctl {' '.join(words)}: {result.stderr.strip()}")
