"""A live network from a plan, by Mininet: namespaces, veth links, Open vSwitch; and what changes while it lives.

What Mininet is asked for is in `topo`; what the nodes are told then, in `configuration`. Nodes are Mininet nodes
(`elements`) under the plan's names. The switches live in the namespace that the caller runs in, which a run makes for
itself (`dmmlab.machine.isolation`), so nothing here can collide with what else the machine does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from mininet.net import Mininet
from mininet.util import numCores

from dmmlab.topologies import sysctls
from dmmlab.topologies.bridges import Bridge, SwitchPort
from dmmlab.topologies.configuration import Configuration, detach
from dmmlab.topologies.elements import Controller, Host, Interface, Switch, Veth
from dmmlab.topologies.links import Disturbance, Netlink
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
)
from dmmlab.topologies.sites import Sites
from dmmlab.topologies.topo import AIR, DmmTopo, between

# Mininet would raise the limit of open files to 16384, and `mnexec -c` then closes every one of them for each shell.
Mininet.inited = True
numCores.ncores = os.cpu_count()  # which it would have counted by a program

_LOOKS, _LOOK_S = 240, 0.5  # how often it is looked whether links are in operation, and how long between


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
            configuration = Configuration(self.plan, self._seed, self._sites, self._here, self.netlink)
            configuration.make_tunnels()
            self._sites.make(self._planned_bridges())
            configuration.apply(checksums_in_software=self._datapath == "netdev")
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
        detach(self.netlink(AIR), radio)

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

    def forget_flows(self, switch: str) -> None:
        """Has Open vSwitch look up every packet anew that comes to ``switch``, or to another one of its site.

        It looks its cached flows over every 5 ms at most: so long a port that has come would be sent nothing that is
        for all, and what came for one that has left, and what it said, would be dealt with as before.
        """
        self._sites.forget_flows(switch)

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
                return [(between(plan), link.middle[link.routers.index(sink)], False)]
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

    # -- the switches ------------------------------------------------------------------------------------------
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
