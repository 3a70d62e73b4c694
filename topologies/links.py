"""Netlink in the namespaces of a network: addresses, routes, link states, and what a wire does to packets.

A wire is shaped where no host sees it, so that a capture on a host is stamped when the packet is really sent, and no
delay is ever applied twice:

* `Netlink.shape`: a link that ends at a router or at the control network is shaped at that end, what leaves by a netem
  on the interface, what arrives by a netem on an IFB that the interface's ingress is redirected to.
* `Netlink.splice`: a link that ends at a switch is two veth pairs, spliced in the middle by a redirect whose two
  interfaces carry the netem. Open vSwitch deletes queueing disciplines of its own ports whenever it likes.
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE
from pyroute2.netlink.rtnl import (
    RTM_GETLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWNEIGH,
    RTM_NEWQDISC,
    RTM_NEWROUTE,
    RTM_NEWTCLASS,
    RTM_NEWTFILTER,
)
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from dmmlab.topologies import classes, netem
from dmmlab.topologies.addressing import Address, Interface, Network
from dmmlab.topologies.namespaces import Namespace
from dmmlab.topologies.plan import Wire
from dmmlab.topologies.rtnetlink import Rtnetlink

_UP = 1  # IFF_UP, linux/if.h
_UNICAST, _MAIN_TABLE, _STATIC = 1, 254, 4  # a route's RTN_, RT_TABLE_ and RTPROT_, linux/rtnetlink.h
_PERMANENT = 0x80  # NUD_PERMANENT, linux/neighbour.h
_ROOT, _INGRESS, _INGRESS_HANDLE = 0xFFFFFFFF, 0xFFFFFFF1, 0xFFFF0000  # linux/pkt_sched.h
_FIRST_HANDLE = 1 << 16  # 1:
_ALL_PROTOCOLS = socket.htons(0x0003)  # ETH_P_ALL
_STOLEN, _EGRESS_REDIRECT = 4, 1  # linux/pkt_cls.h, linux/tc_act/tc_mirred.h
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17  # linux/sockios.h, linux/ethtool.h
_VXLAN_PORT = 4789  # RFC 7348 section 5
_NEW = NLM_F_CREATE | NLM_F_EXCL  # it must not be there yet
_FIRST_INDEX = 1000  # of the interfaces made here; those that a namespace is born with, and Open vSwitch's, are below

Disturbance = Callable[[Wire], Wire]  # what becomes of a wire for as long as a fault lasts


@dataclass(frozen=True)
class _Shaped:
    """A netem: on which interface and where there, the wire that it makes, and what its random draws follow from."""

    interface: str
    wire: Wire
    chance: str
    parent: int = _ROOT
    handle: int = _FIRST_HANDLE


@dataclass(frozen=True)
class End:
    """One end of a link, before it is made: the interface's name, and its MAC (None: whatever the kernel draws)."""

    name: str
    mac: str | None = None


class Netlink:
    """The interfaces of one namespace and what they do, over a netlink connection into it.

    Whatever the kernel refuses is an OSError that says what was wanted. An interface's index is given to it when it
    is made, so none is ever looked up.
    """

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        with namespace.inside():
            self._kernel = Rtnetlink()
        self._ifbs: dict[str, str] = {}  # by interface: what shapes what arrives there
        self._shaped: dict[tuple[str, int], _Shaped] = {}
        self._disturbed: dict[str, Disturbance] = {}
        self._indices, self._last = {"lo": 1}, _FIRST_INDEX

    def close(self) -> None:
        """Ends the connection. The namespace is for its owner to close."""
        self._kernel.close()

    def veth(self, end: End, far: End, there: Netlink) -> None:
        """A pair of interfaces, one here and its peer in the namespace of ``there``; both are down.

        Their indices differ: the kernel tells at once of a carrier's loss only on an interface whose index is not its
        peer's, else up to a second later, and not at all of one that has come back by then (net/core/link_watch.c).
        """
        peer = there._new(far, unlike=self._free() if there is not self else None)
        peer["attrs"].append(("IFLA_NET_NS_FD", there.namespace.file))
        self._make(end, "veth", ("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", peer)]}))

    def tunnel(self, name: str, number: int, local: Address, remote: Address, there: Netlink) -> None:
        """One end of a VXLAN (RFC 7348) from ``local`` here to ``remote``: an interface in the namespace of ``there``.

        What it carries goes by the routes of this namespace. ``number`` is its VNI, which tells it from others at the
        same address. Both ends know each other, so none learns; the port that it is sent from is always the same.
        """
        six = "6" if local.version == 6 else ""
        data = [
            ("IFLA_VXLAN_ID", number),
            (f"IFLA_VXLAN_GROUP{six}", str(remote)),
            (f"IFLA_VXLAN_LOCAL{six}", str(local)),
            ("IFLA_VXLAN_LEARNING", 0),
            ("IFLA_VXLAN_PORT", _VXLAN_PORT),
            ("IFLA_VXLAN_PORT_RANGE", {"low": _VXLAN_PORT, "high": _VXLAN_PORT + 1}),
        ]
        link = there._new(End(name))
        link["attrs"] += [
            ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "vxlan"), ("IFLA_INFO_DATA", {"attrs": data})]}),
            ("IFLA_NET_NS_FD", there.namespace.file),
        ]
        self._kernel.ask(f"vxlan {name}", RTM_NEWLINK, ifinfmsg(), link, _NEW)

    def mtu(self, interface: str, octets: int) -> None:
        """What ``interface`` sends at most in one packet."""
        fields = {"index": self._indices[interface], "attrs": [("IFLA_MTU", octets)]}
        self._kernel.ask(f"MTU of {interface}", RTM_NEWLINK, ifinfmsg(), fields)

    def hand_over(self, interface: str, there: Netlink, index: int) -> None:
        """Moves ``interface`` into the namespace of ``there``, where it is down and has ``index``."""
        to = [("IFLA_NET_NS_FD", there.namespace.file), ("IFLA_NEW_IFINDEX", index)]
        fields = {"index": self._indices.pop(interface), "attrs": to}
        self._kernel.ask(f"{interface} elsewhere", RTM_NEWLINK, ifinfmsg(), fields)
        there._indices[interface] = index

    def up(self, interface: str) -> None:
        """Brings ``interface`` up."""
        self._set(interface, _UP)

    def not_in_operation(self, interfaces: Sequence[str]) -> list[str]:
        """Those of ``interfaces``, all up, of whose carrier the kernel has not taken notice: it drops what they send.

        It sees to a hundred interfaces at a time, and to the next hundred a second later (net/core/link_watch.c).
        """
        links = self._kernel.dump(RTM_GETLINK, ifinfmsg(), {})
        ready = {link["index"] for link in links if link.get_attr("IFLA_OPERSTATE") == "UP"}
        return [interface for interface in interfaces if self._indices[interface] not in ready]

    def down(self, interface: str) -> None:
        """Takes ``interface`` down."""
        self._set(interface, 0)

    def address(self, interface: str, address: Interface) -> None:
        """Gives ``interface`` the address, in its prefix."""
        fields = {"family": _family(address), "prefixlen": address.network.prefixlen, "index": self._indices[interface]}
        attributes = [("IFA_LOCAL", str(address.ip)), ("IFA_ADDRESS", str(address.ip))]
        what = f"address {address} of {interface}"
        self._kernel.ask(what, RTM_NEWADDR, ifaddrmsg(), {**fields, "attrs": attributes}, _NEW)

    def neighbour(self, interface: str, address: Address, mac: str) -> None:
        """A permanent neighbour: the two ends of a point-to-point link that need never ask for each other."""
        fields = {"family": _family(address), "ifindex": self._indices[interface], "state": _PERMANENT}
        attributes = [("NDA_DST", str(address)), ("NDA_LLADDR", mac)]
        what = f"neighbour {address} at {interface}"
        self._kernel.ask(what, RTM_NEWNEIGH, ndmsg(), {**fields, "attrs": attributes}, _NEW)

    def route(self, prefix: Network | None, gateway: Address) -> None:
        """Reaches ``prefix`` by ``gateway``; with no prefix, whatever has no other route."""
        fields = {"family": _family(gateway), "type": _UNICAST, "table": _MAIN_TABLE, "proto": _STATIC}
        attributes = [("RTA_GATEWAY", str(gateway))]
        if prefix is not None:
            fields["dst_len"] = prefix.prefixlen
            attributes.append(("RTA_DST", str(prefix.network_address)))
        what = f"route to {prefix or 'anywhere'} by {gateway}"
        self._kernel.ask(what, RTM_NEWROUTE, rtmsg(), {**fields, "attrs": attributes}, _NEW)

    def checksums_in_software(self, interface: str) -> None:
        """The stack itself completes the checksum of each packet that leaves by ``interface``, and sends no aggregates.

        Else it leaves that to a network card, which a veth is not, and a switch in user space passes on what is wrong.
        """
        switched_off = array.array("I", [_ETHTOOL_STXCSUM, 0])
        request = struct.pack("16sP16x", interface.encode(), switched_off.buffer_info()[0])
        with self.namespace.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SIOCETHTOOL, request)

    def shape(self, interface: str, wire: Wire, seed: int) -> None:
        """Gives both directions of ``interface``'s link the delay, jitter, loss and rate of ``wire``.

        Random draws follow from ``seed``, the run's, the interface's name and the direction.
        """
        self._shape_arriving(interface, wire, seed)
        self._netem(interface, wire, f"{seed}/{interface}/leaves")

    def shape_by_source(self, interface: str, arriving: Wire, leaving: Wire, ways: dict[str, Wire], seed: int) -> None:
        """As `shape`, with a wire for what arrives and one for what leaves, which is another for what came in by one
        of the interfaces of this namespace that ``ways`` names.
        """
        self._shape_arriving(interface, arriving, seed)
        index = self._indices[interface]
        self._kernel.ask(f"classes of {interface}", RTM_NEWQDISC, tcmsg(), classes.root(index), _NEW)
        self._class(interface, classes.ELSEWHERE, leaving, f"{seed}/{interface}/leaves")
        for minor, source in classes.minors(ways):
            self._class(interface, minor, ways[source], f"{seed}/{interface}/leaves/{source}")
            what = f"filter of {interface} for what came by {source}"
            self._kernel.ask(what, RTM_NEWTFILTER, tcmsg(), classes.entry(index, minor, source), _NEW)

    def _class(self, interface: str, minor: int, wire: Wire, chance: str) -> None:
        what = f"class {minor} of {interface}"
        self._kernel.ask(what, RTM_NEWTCLASS, tcmsg(), classes.of(self._indices[interface], minor), _NEW)
        self._netem(interface, wire, chance, parent=classes.ROOT_HANDLE + minor, handle=(minor + 1) << 16)

    def _shape_arriving(self, interface: str, wire: Wire, seed: int) -> None:
        ifb = self._ifbs[interface] = f"wire{len(self._ifbs)}"
        self._make(End(ifb), "ifb")
        self.up(ifb)
        self._netem(ifb, wire, f"{seed}/{interface}/arrives")
        self._redirect(interface, ifb)

    def splice(self, one: str, other: str, wire: Wire, seed: int) -> None:
        """Sends on what arrives at one of two interfaces from the other, by ``wire``; ``seed`` as in `shape`."""
        for near, far in ((one, other), (other, one)):
            self._netem(far, wire, f"{seed}/{far}/leaves")
            self._redirect(near, far)
            self.up(near)

    def change_wire(self, interface: str, wire: Wire, seed: int) -> None:
        """Another ``wire`` for what leaves ``interface``, which has one by `splice`; nothing may be under way."""
        self._netem(interface, wire, f"{seed}/{interface}/leaves", flags=NLM_F_CREATE | NLM_F_REPLACE)

    def arriving(self, interface: str) -> str:
        """The interface by which what arrives at ``interface`` is shaped, to `disturb`."""
        return self._ifbs[interface]

    def disturb(self, interface: str, how: Disturbance | None) -> None:
        """What leaves ``interface`` goes by ``how`` of its wire, or again by that itself (None). What is under way
        arrives as it would have.
        """
        if how is None:
            self._disturbed.pop(interface, None)
        else:
            self._disturbed[interface] = how
        for shaped in [one for one in self._shaped.values() if one.interface == interface]:
            self._apply(shaped, NLM_F_CREATE | NLM_F_REPLACE, corrupts=True)

    def _free(self) -> int:
        """The index that the next interface made here gets."""
        return self._last + 1

    def _new(self, end: End, unlike: int | None = None) -> dict[str, Any]:
        """The description of an interface that is about to be made here, with another index than ``unlike``."""
        self._last = self._free() + (self._free() == unlike)
        index = self._indices[end.name] = self._last
        attributes: list[tuple[str, Any]] = [("IFLA_IFNAME", end.name)]
        if end.mac is not None:
            attributes.append(("IFLA_ADDRESS", end.mac))
        return {"index": index, "attrs": attributes}

    def _make(self, end: End, kind: str, *options: tuple[str, Any]) -> None:
        link = self._new(end)
        link["attrs"].append(("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", kind), *options]}))
        self._kernel.ask(f"{kind} {end.name}", RTM_NEWLINK, ifinfmsg(), link, _NEW)

    def _set(self, interface: str, flags: int) -> None:
        fields = {"index": self._indices[interface], "flags": flags, "change": _UP}
        self._kernel.ask(f"{interface} {'up' if flags else 'down'}", RTM_NEWLINK, ifinfmsg(), fields)

    def _redirect(self, arrives: str, leaves: str) -> None:
        index = self._indices[arrives]
        ingress = {"index": index, "handle": _INGRESS_HANDLE, "parent": _INGRESS, "attrs": [("TCA_KIND", "ingress")]}
        self._kernel.ask(f"ingress of {arrives}", RTM_NEWQDISC, tcmsg(), ingress, _NEW)
        parms = {"action": _STOLEN, "eaction": _EGRESS_REDIRECT, "ifindex": self._indices[leaves]}
        action = [("TCA_ACT_KIND", "mirred"), ("TCA_ACT_OPTIONS", {"attrs": [("TCA_MIRRED_PARMS", parms)]})]
        options = {"attrs": [("TCA_MATCHALL_ACT", {"attrs": [("TCA_ACT_PRIO_1", {"attrs": action})]})]}
        matchall = {
            "index": index,
            "parent": _INGRESS_HANDLE,
            "info": _ALL_PROTOCOLS | 1 << 16,  # and the priority of the filter
            "attrs": [("TCA_KIND", "matchall"), ("TCA_OPTIONS", options)],
        }
        self._kernel.ask(f"redirect of {arrives}", RTM_NEWTFILTER, tcmsg(), matchall, _NEW)

    def _netem(
        self,
        interface: str,
        wire: Wire,
        chance: str,
        parent: int = _ROOT,
        handle: int = _FIRST_HANDLE,
        flags: int = _NEW,
    ) -> None:
        shaped = self._shaped[interface, handle] = _Shaped(interface, wire, chance, parent, handle)
        self._apply(shaped, flags)

    def _apply(self, shaped: _Shaped, flags: int, corrupts: bool = False) -> None:
        how = self._disturbed.get(shaped.interface)
        wire = shaped.wire if how is None else how(shaped.wire)
        options = netem.options(wire, shaped.chance, corrupts)
        fields = {
            "index": self._indices[shaped.interface],
            "handle": shaped.handle,
            "parent": shaped.parent,
            "attrs": [("TCA_KIND", "netem"), ("TCA_OPTIONS", options)],
        }
        self._kernel.ask(f"netem of {shaped.interface}", RTM_NEWQDISC, tcmsg(), fields, flags)


def _family(address: Address | Interface) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
