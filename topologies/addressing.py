"""Addressing as a value: a scheme says which prefixes, addresses and MACs a network of a given size has.

A scheme is data (ranges, and how finely each is cut), so a scheme of another size or family is another value and not
another class. The plan holds the scheme that it was made with; nobody else derives an address. Mobile routers, hosts
and mobile nodes are counted from 1, in the scenario's order.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from enum import IntEnum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_interface,
    ip_network,
)
from typing import Literal

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network
Family = Literal["ipv4", "ipv6"]
Dad = Literal["off", "on", "optimistic"]  # duplicate address detection (RFC 4862 section 5.4), optimistic by RFC 4429


@dataclass(frozen=True)
class Size:
    """How many of each a network has, or may have."""

    mobile_routers: int
    hosts: int
    mobile_nodes: int

    def within(self, limits: Size) -> bool:
        """Whether it has at most as many of each."""
        return all(own <= most for own, most in zip(astuple(self), astuple(limits), strict=True))

    def __str__(self) -> str:
        return f"{self.mobile_routers:,} mobile routers, {self.hosts:,} hosts and {self.mobile_nodes:,} mobile nodes"


@dataclass(frozen=True)
class Range:
    """A range that is cut into prefixes of ``length`` bits; the prefix of index 0 is its first."""

    whole: Network
    length: int

    def address(self, index: int, host: int) -> Address:
        """The address number ``host`` of the prefix of ``index``."""
        return self.whole.network_address + ((index << self.whole.max_prefixlen - self.length) + host)

    def interface(self, index: int, host: int) -> Interface:
        """The same address with its prefix."""
        return ip_interface(f"{self.address(index, host)}/{self.length}")


class Port(IntEnum):
    """What an interface with a MAC is, in the fifth octet of the MAC."""

    ROUTER_ACCESS = 1
    MOBILE_NODE = 2
    HOST = 3
    CORE_TO_HOST = 4
    ROUTER_CORE = 5
    CORE_TO_ROUTER = 6
    CONTROL = 7
    SITE = 8
    SITE_HUB = 9
    SECOND_RADIO = 10


@dataclass(frozen=True)
class Link:
    """The two ends of a link between two hosts, in one prefix: ``near`` is that of CORE or of the switches."""

    near: Interface
    far: Interface


@dataclass(frozen=True)
class Scheme:
    """Addresses of one family for networks within ``limits``.

    ``access`` has a prefix for each mobile router, ``routers`` and ``hosts`` one for each link to the core.
    """

    family: Family
    limits: Size
    access: Range
    hosts: Range
    routers: Range
    control: Network

    def gateway(self, router: int) -> Interface:
        """Mobile router ``router`` in the access prefix that it allocates from."""
        return self.access.interface(router, 1)

    def mobile_node(self, router: int, node: int) -> Address:
        """The address of mobile node ``node`` in the prefix of mobile router ``router``.

        The router holds it for the node (DHCP), or the node forms it from its MAC (SLAAC, RFC 4862).
        """
        if self.family == "ipv6":
            return self.access.address(router, interface_identifier(self.mac(Port.MOBILE_NODE, node)))
        return self.access.address(router, 99 + node)

    def router_link(self, router: int) -> Link:
        """The link of mobile router ``router`` to the core."""
        return Link(self.routers.interface(router, 1), self.routers.interface(router, 2))

    def host_link(self, host: int) -> Link:
        """The link of host ``host`` to the core."""
        return Link(self.hosts.interface(host, 1), self.hosts.interface(host, 2))

    def control_link(self) -> Link:
        """The link between the switches and the controller."""
        whole = Range(self.control, self.control.prefixlen)
        return Link(whole.interface(0, 1), whole.interface(0, 2))

    def site_link(self, site: int) -> Link:
        """The link of site ``site`` to the control network, in a network of several."""
        return Link(_SITES.interface(site, 1), _SITES.interface(site, 2))

    def mac(self, port: Port, index: int) -> str:
        """The MAC of the interface that ``port`` says, of the router, host or mobile node of this index.

        Locally administered (IEEE 802, the 02). The index's high octet is the fourth, so that the first 255 of each
        have the MACs that they would have with one octet.
        """
        high, low = divmod(index, 256)
        return f"02:00:00:{high:02x}:{port:02x}:{low:02x}"


def interface_identifier(mac: str) -> int:
    """The modified EUI-64 of a MAC (RFC 4291 appendix A): the host part of the addresses that SLAAC forms."""
    octets = bytearray.fromhex(mac.replace(":", ""))
    octets[0] ^= 2
    return int.from_bytes(octets[:3] + b"\xff\xfe" + octets[3:], "big")


def family_of(address: str) -> Family:
    """The family of an address that is written out."""
    return "ipv6" if ":" in address else "ipv4"


def link_local(mac: str) -> IPv6Address:
    """The link-local address of the interface with this MAC (RFC 4862 section 5.3)."""
    return IPv6Address((0xFE80 << 112) + interface_identifier(mac))


_ROUTERS = Range(ip_network("10.3.0.0/16"), 24)
_CONTROL = ip_network("169.254.253.0/30")
_SITES = Range(ip_network("169.254.0.0/16"), 30)  # the first 250: far below the control link's
SCHEMES = (
    # What a person reads at a glance, 10.1.ROUTER.NODE, 10.2.HOST and 10.3.ROUTER, as long as the numbers fit.
    Scheme(
        family="ipv4",
        limits=Size(mobile_routers=99, hosts=199, mobile_nodes=99),
        access=Range(ip_network("10.1.0.0/16"), 24),
        hosts=Range(ip_network("10.2.0.0/16"), 24),
        routers=_ROUTERS,
        control=_CONTROL,
    ),
    Scheme(
        family="ipv4",
        limits=Size(mobile_routers=250, hosts=2000, mobile_nodes=2000),
        access=Range(ip_network("10.16.0.0/12"), 20),
        hosts=Range(ip_network("10.32.0.0/12"), 24),
        routers=_ROUTERS,
        control=_CONTROL,
    ),
)

# The documentation prefix (RFC 3849), a /64 for each link, numbered as above. The control channel is the same for both.
IPV6_SCHEME = Scheme(
    family="ipv6",
    limits=SCHEMES[-1].limits,
    access=Range(ip_network("2001:db8:1::/48"), 64),
    hosts=Range(ip_network("2001:db8:2::/48"), 64),
    routers=Range(ip_network("2001:db8:3::/48"), 64),
    control=_CONTROL,
)


def scheme_for(size: Size, family: Family = "ipv4") -> Scheme:
    """The first scheme of ``family`` that holds a network of ``size``; ValueError, one sentence, if none does."""
    schemes = SCHEMES if family == "ipv4" else (IPV6_SCHEME,)
    for scheme in schemes:
        if size.within(scheme.limits):
            return scheme
    raise ValueError(f"a network holds at most {schemes[-1].limits}; this has {size}")
