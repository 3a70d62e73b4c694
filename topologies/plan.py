"""What a network is made of, before anything is built: nodes, links, addresses, names.

::

     CN1 … CNn   RESOLVER  DDNS  SERVER         hosts, 10.2.k.2, each on its own link to the core
        \\           |       |     /
         +--------- CORE -------+               Linux router
              |              |                  10.3.i.0/24 each
             MR1            MRn                 Linux router, 10.1.i.1 towards its access prefix 10.1.i.0/24
              |              |
              s1 -inter-MR- sn                  Open vSwitch access switches
                \\
                 MN1                            the radio link joins one switch at a time

Everything follows from the names and their order, so two plans of the same scenario are equal. IPv6 will be a
second addressing scheme beside `Ipv4Scheme`; nothing else here knows the family.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

CORE = "CORE"
CONTROLLER = "CONTROLLER"
CONTROLLER_PORT = 6653
INTER_MR_VLAN = 4094  # keeps what a switch floods away from the inter-MR ports; explicit rules still reach them


@dataclass(frozen=True)
class Wire:
    """What a link does to packets, in each direction: seconds, share lost, bits per second (None: unlimited)."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    rate_bps: float | None = None


@dataclass(frozen=True)
class Host:
    """A correspondent or a server, on its own link to the core."""

    name: str
    interface: str
    core_interface: str
    mac: str
    core_mac: str
    address: IPv4Interface
    gateway: IPv4Interface
    wire: Wire


@dataclass(frozen=True)
class MobileRouter:
    """A mobile router: a Linux router with an access switch below it and the core above it."""

    name: str
    switch: str
    dpid: int
    core_interface: str  # of the router, towards CORE
    router_interface: str  # of CORE, towards the router
    core_address: IPv4Interface
    router_address: IPv4Interface
    core_mac: str  # of core_interface
    router_mac: str  # of router_interface
    core_wire: Wire
    access_interface: str  # of the router, towards its switch
    access_mac: str
    router_port: str  # of the switch, towards its router
    gateway: IPv4Interface

    @property
    def prefix(self) -> IPv4Network:
        return self.gateway.network


@dataclass(frozen=True)
class InterMrLink:
    """A link between two access switches: a port of each, and behind each port the middle where the wire is."""

    routers: tuple[str, str]
    ports: tuple[str, str]
    middle: tuple[str, str]
    wire: Wire


@dataclass(frozen=True)
class MobileNode:
    """A mobile node, and the address that each mobile router's DHCP server holds for it."""

    name: str
    interface: str
    mac: str
    radio_port: str  # a port of whichever switch serves it
    middle: tuple[str, str]  # of the radio link: towards the node, towards the port
    wire: Wire
    addresses: Mapping[str, IPv4Address]


@dataclass(frozen=True)
class ControlNetwork:
    """The controller's own namespace, and the link over which all switches reach it."""

    interface: str
    switch_interface: str
    mac: str
    switch_mac: str
    address: IPv4Interface
    switch_address: IPv4Interface
    wire: Wire


@dataclass(frozen=True)
class NetworkPlan:
    mobile_routers: tuple[MobileRouter, ...]
    inter_mr: tuple[InterMrLink, ...]
    hosts: tuple[Host, ...]
    mobile_nodes: tuple[MobileNode, ...]
    control: ControlNetwork

    def mobile_router(self, name: str) -> MobileRouter:
        return next(router for router in self.mobile_routers if router.name == name)

    def host(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)

    def mobile_node(self, name: str) -> MobileNode:
        return next(node for node in self.mobile_nodes if node.name == name)


class Ipv4Scheme:
    """Addresses of the IPv4 plan: 10.1.i access, 10.2.k hosts, 10.3.i mobile routers, 169.254.253 control."""

    @staticmethod
    def access(i: int, host: int) -> IPv4Interface:
        return IPv4Interface(f"10.1.{i}.{host}/24")

    @staticmethod
    def host_link(k: int, host: int) -> IPv4Interface:
        return IPv4Interface(f"10.2.{k}.{host}/24")

    @staticmethod
    def router_link(i: int, host: int) -> IPv4Interface:
        return IPv4Interface(f"10.3.{i}.{host}/24")

    @staticmethod
    def control(host: int) -> IPv4Interface:
        return IPv4Interface(f"169.254.253.{host}/30")


def _mac(kind: int, index: int) -> str:
    return f"02:00:00:00:{kind:02x}:{index:02x}"


def plan_network(
    mobile_routers: Mapping[str, Wire],
    inter_mr: Mapping[tuple[str, str], Wire],
    hosts: Mapping[str, Wire],
    mobile_nodes: Mapping[str, Wire],
    control: Wire,
) -> NetworkPlan:
    """The network in which each named node hangs on the core (or, for a mobile node, on the radio) by its wire.

    ``inter_mr`` is keyed by pairs of mobile routers. At most 99 mobile routers, 199 hosts and 99 mobile nodes:
    more raise ValueError.
    """
    if len(mobile_routers) > 99 or len(hosts) > 199 or len(mobile_nodes) > 99:
        raise ValueError("a plan holds at most 99 mobile routers, 199 hosts and 99 mobile nodes")
    routers = tuple(_router(i, name, wire) for i, (name, wire) in enumerate(mobile_routers.items(), 1))
    return NetworkPlan(
        mobile_routers=routers,
        inter_mr=tuple(_inter_mr(routers, pair, wire) for pair, wire in inter_mr.items()),
        hosts=tuple(_host(k, name, wire) for k, (name, wire) in enumerate(hosts.items(), 1)),
        mobile_nodes=tuple(_mobile_node(j, name, wire, routers) for j, (name, wire) in enumerate(mobile_nodes.items())),
        control=ControlNetwork(
            interface=f"{CONTROLLER}-eth0",
            switch_interface="control",
            mac=_mac(7, 1),
            switch_mac=_mac(7, 2),
            address=Ipv4Scheme.control(2),
            switch_address=Ipv4Scheme.control(1),
            wire=control,
        ),
    )


def _router(i: int, name: str, wire: Wire) -> MobileRouter:
    return MobileRouter(
        name=name,
        switch=f"s{i}",
        dpid=i,
        core_interface=f"{name}-eth0",
        router_interface=f"{CORE}-{name}",
        core_address=Ipv4Scheme.router_link(i, 2),
        router_address=Ipv4Scheme.router_link(i, 1),
        core_mac=_mac(5, i),
        router_mac=_mac(6, i),
        core_wire=wire,
        access_interface=f"{name}-eth1",
        access_mac=_mac(1, i),
        router_port=f"s{i}-eth1",
        gateway=Ipv4Scheme.access(i, 1),
    )


def _inter_mr(routers: Sequence[MobileRouter], pair: tuple[str, str], wire: Wire) -> InterMrLink:
    one, other = (next(router for router in routers if router.name == name) for name in pair)
    ports = (f"{one.switch}-{other.switch}", f"{other.switch}-{one.switch}")
    return InterMrLink(pair, ports, (f"{ports[0]}-mid", f"{ports[1]}-mid"), wire)


def _host(k: int, name: str, wire: Wire) -> Host:
    return Host(
        name=name,
        interface=f"{name}-eth0",
        core_interface=f"{CORE}-{name}",
        mac=_mac(3, k),
        core_mac=_mac(4, k),
        address=Ipv4Scheme.host_link(k, 2),
        gateway=Ipv4Scheme.host_link(k, 1),
        wire=wire,
    )


def _mobile_node(j: int, name: str, wire: Wire, routers: Sequence[MobileRouter]) -> MobileNode:
    addresses = {router.name: Ipv4Scheme.access(router.dpid, 100 + j).ip for router in routers}
    middle = (f"{name}-air", f"{name}-mast")
    return MobileNode(name, f"{name}-eth0", _mac(2, j + 1), f"{name}-radio", middle, wire, addresses)
