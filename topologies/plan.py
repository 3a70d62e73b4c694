r"""What a network is made of, before anything is built: nodes, links, addresses, names.

::

     CN1 … CNn   RESOLVER  DDNS  SERVER         hosts, each on its own link to the core
        \\           |       |     /
         +--------- CORE -------+               Linux router
              |              |
             MR1            MRn                 Linux router, each the gateway of its own access prefix
              |              |
              s1 -inter-MR- sn                  Open vSwitch access switches
                \\
                 MN1                            the radio link joins one switch at a time

Addresses are the scheme's (`addressing`); nothing here knows the family. How a plan is made: `planning`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from dmmlab.topologies.addressing import (
    Address,
    Dad,
    Family,
    Interface,
    Network,
    Port,
    Scheme,
    link_local,
)

CORE = "CORE"
CONTROLLER = "CONTROLLER"
CONTROLLER_PORT = 6653
HUB = "HUB"
# Of one Open vSwitch, which looks at each of them some twenty times a move. Fewer are not what a run is made of.
SITE_PORTS = 40
_DUID_LL = bytes([0, 3, 0, 1])  # a DUID of type 3, hardware type Ethernet (RFC 8415 section 11.4)
INTER_MR_VLAN = 4094  # keeps what a switch floods away from the inter-MR ports; explicit rules still reach them


@dataclass(frozen=True)
class Wire:
    """What a link does to packets, in each direction: seconds, share lost, bits per second (None: unlimited).

    ``burst`` is how many packets are lost in a row on average. ``duplicate`` of them come twice, ``reorder`` overtake
    those before, ``corrupt`` have one bit changed: shares.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    rate_bps: float | None = None
    burst: float = field(default=1.0, repr=False)
    duplicate: float = field(default=0.0, repr=False)
    reorder: float = field(default=0.0, repr=False)
    corrupt: float = field(default=0.0, repr=False)


@dataclass(frozen=True)
class Air:
    """What a mobile node's radio links are like: everywhere, elsewhere than at the mobile routers that are named, and
    whether it has a second radio.
    """

    everywhere: Wire
    wires: Mapping[str, Wire] = field(default_factory=dict)
    second: bool = False


@dataclass(frozen=True)
class Host:
    """A correspondent or a server, on its own link to the core."""

    name: str
    interface: str
    core_interface: str
    mac: str
    core_mac: str
    address: Interface
    gateway: Interface
    wire: Wire


@dataclass(frozen=True)
class MobileRouter:
    """A mobile router: a Linux router with an access switch below it and the core above it."""

    name: str
    switch: str
    dpid: int
    core_interface: str  # of the router, towards CORE
    router_interface: str  # of CORE, towards the router
    core_address: Interface
    router_address: Interface
    core_mac: str  # of core_interface
    router_mac: str  # of router_interface
    core_wire: Wire
    access_interface: str  # of the router, towards its switch
    access_mac: str
    router_port: str  # of the switch, towards its router
    gateway: Interface

    @property
    def prefix(self) -> Network:
        """What it allocates mobile nodes' addresses from."""
        return self.gateway.network

    @property
    def router_id(self) -> Address:
        """The address by which mobile nodes know it: IPv6's routers advertise themselves by their link-local one."""
        return self.gateway.ip if self.gateway.version == 4 else link_local(self.access_mac)


@dataclass(frozen=True)
class InterMrLink:
    """A link between two access switches: a port of each, and behind each port the middle where the wire is."""

    routers: tuple[str, str]
    ports: tuple[str, str]
    middle: tuple[str, str]
    wire: Wire


@dataclass(frozen=True)
class Tunnel:
    """A tunnel between two mobile routers through the core: a port of each one's switch; ``number`` is its VNI.

    It has no wire of its own: what is in it goes over both routers' links to the core.
    """

    number: int
    routers: tuple[str, str]
    ports: tuple[str, str]
    delay_s: float


@dataclass(frozen=True)
class Radio:
    """A radio of a mobile node: its interface, and the port of whichever switch serves it."""

    interface: str
    mac: str
    port: str
    middle: tuple[str, str]  # of the radio link: towards the node, towards the port


@dataclass(frozen=True)
class MobileNode:
    """A mobile node, and its address from each mobile router, which is the same whichever of its radios asks for it.

    What only some nodes have is left out of its text: the tests hold that of small networks against what it was.
    """

    name: str
    interface: str
    mac: str
    radio_port: str  # a port of whichever switch serves it
    middle: tuple[str, str]  # of the radio link: towards the node, towards the port
    wire: Wire
    addresses: Mapping[str, Address]
    second: Radio | None = field(default=None, repr=False)
    other_wires: Mapping[str, Wire] = field(default_factory=dict, repr=False)  # by mobile router

    @property
    def radios(self) -> tuple[Radio, ...]:
        """One, or two."""
        first = Radio(self.interface, self.mac, self.radio_port, self.middle)
        return (first,) if self.second is None else (first, self.second)

    @property
    def client_id(self) -> bytes:
        """What a node with two radios is to DHCP servers: an identifier made of the first one's MAC (RFC 4361, 6.1)."""
        mac = bytes.fromhex(self.mac.replace(":", ""))
        return b"\xff" + mac[2:] + _DUID_LL + mac

    def wire_at(self, router: str) -> Wire:
        """What the radio link to mobile router ``router`` does to packets."""
        return self.other_wires.get(router, self.wire)


@dataclass(frozen=True)
class ControlNetwork:
    """The controller's own namespace, and the link over which all switches reach it."""

    interface: str
    switch_interface: str
    mac: str
    switch_mac: str
    address: Interface
    switch_address: Interface
    wire: Wire


@dataclass(frozen=True)
class Site:
    """Access switches that have one Open vSwitch, in a namespace called ``name``.

    Where there are several sites, each reaches the control network by a link of its own to a router called HUB, without
    a delay: from ``interface`` to ``hub_interface``.
    """

    name: str
    switches: frozenset[str]
    interface: str
    hub_interface: str
    mac: str
    hub_mac: str
    address: Interface
    hub_address: Interface


@dataclass(frozen=True)
class NetworkPlan:
    """A whole network; ``scheme`` is where its addresses and MACs come from."""

    scheme: Scheme
    mobile_routers: tuple[MobileRouter, ...]
    inter_mr: tuple[InterMrLink, ...]
    hosts: tuple[Host, ...]
    mobile_nodes: tuple[MobileNode, ...]
    control: ControlNetwork
    pairs: Mapping[frozenset[str], float] = field(default_factory=dict)  # delay between two nodes at the core, seconds
    dad: Dad = "off"  # what mobile nodes do about duplicate addresses (IPv6)
    tunnels: tuple[Tunnel, ...] = ()

    @property
    def family(self) -> Family:
        """Of all addresses but those of the control channel, which are IPv4's."""
        return self.scheme.family

    def mobile_router(self, name: str) -> MobileRouter:
        """The mobile router of this name; StopIteration if there is none."""
        return next(router for router in self.mobile_routers if router.name == name)

    def host(self, name: str) -> Host:
        """The host of this name; StopIteration if there is none."""
        return next(host for host in self.hosts if host.name == name)

    def mobile_node(self, name: str) -> MobileNode:
        """The mobile node of this name; StopIteration if there is none."""
        return next(node for node in self.mobile_nodes if node.name == name)

    def with_tunnels(self, joined: Sequence[tuple[str, str]]) -> NetworkPlan:
        """The same with a tunnel between the two mobile routers of each pair."""
        return replace(self, tunnels=tuple(self._tunnel(number, pair) for number, pair in enumerate(joined, 1)))

    def _tunnel(self, number: int, pair: tuple[str, str]) -> Tunnel:
        one, other = (self.mobile_router(name).switch for name in pair)
        delay_s = sum(wire.delay_s for wire in self.across(*pair))
        return Tunnel(number, pair, (f"{one}-core-{other}", f"{other}-core-{one}"), delay_s)

    @cached_property
    def paired(self) -> frozenset[str]:
        """Hosts and mobile routers that have a delay of their own to some other one."""
        return frozenset(name for pair in self.pairs for name in pair)

    def way(self, source: str, destination: str) -> Wire:
        """Of the link to ``destination``, for what comes from ``source``, a paired one: all the delay between them."""
        wire = self._core_wire(destination)
        pair_s = self.pairs.get(frozenset((source, destination)))
        return replace(wire, delay_s=self._core_wire(source).delay_s + wire.delay_s if pair_s is None else pair_s)

    def across(self, one: str, other: str) -> tuple[Wire, ...]:
        """The wires between two hosts or mobile routers, by the core."""
        near, far = self._core_wire(one), self._core_wire(other)
        if not self.paired & {one, other}:
            return near, far
        return replace(near, delay_s=0.0), self.way(one, other)

    def _core_wire(self, name: str) -> Wire:
        return next((host.wire for host in self.hosts if host.name == name), None) or self.mobile_router(name).core_wire

    def addresses(self, name: str) -> frozenset[str]:
        """Every address that the host or mobile node of this name may have, as text; empty if there is none."""
        hosts = {str(host.address.ip) for host in self.hosts if host.name == name}
        return frozenset(hosts | {address for address, (node, _) in self.owners.items() if node == name})

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        """One for all switches, or if they have more than `SITE_PORTS` one for each."""
        switches = [router.switch for router in self.mobile_routers]
        links = len(switches) + len(self.inter_mr) + len(self.tunnels)
        if len(self.mobile_nodes) + 2 * links <= SITE_PORTS:
            return (_site(self.scheme, 1, switches),)
        return tuple(_site(self.scheme, k, [switch]) for k, switch in enumerate(switches, 1))

    @cached_property
    def owners(self) -> dict[str, tuple[str, str]]:
        """Of each address of a mobile node, as text: the node, and the mobile router that it is from."""
        return {str(own): (node.name, name) for node in self.mobile_nodes for name, own in node.addresses.items()}


def _site(scheme: Scheme, k: int, switches: list[str]) -> Site:
    link = scheme.site_link(k)
    return Site(
        name="access" if k == 1 else f"access{k}",
        switches=frozenset(switches),
        interface=f"site{k}-hub",
        hub_interface=f"hub-site{k}",
        mac=scheme.mac(Port.SITE, k),
        hub_mac=scheme.mac(Port.SITE_HUB, k),
        address=link.far,
        hub_address=link.near,
    )
