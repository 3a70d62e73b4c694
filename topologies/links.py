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
import ctypes
import fcntl
import hashlib
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.rtnl.tcmsg import sched_netem

from dmmlab.topologies.addressing import Address, Interface, Network
from dmmlab.topologies.plan import Wire

_CLONE_NEWNET = 0x40000000
_INGRESS = 0xFFFF0000
_ALL_PROTOCOLS = 0x0003
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17  # linux/sockios.h, linux/ethtool.h
_QUEUE_PACKETS = 100_000  # netem's queue holds what is under way, far more than its default of 1000 at high rates

_libc = ctypes.CDLL(None, use_errno=True)


def _netem_options(kwarg: Mapping[str, Any]) -> dict[str, Any]:
    """netem's message with 64-bit nanoseconds and a seed, which the library's own builder does not know."""
    options: dict[str, Any] = {"delay": 0, "jitter": 0, "limit": _QUEUE_PACKETS, "gap": 0, "duplicate": 0, "attrs": []}
    options["loss"] = round(kwarg["loss"] * 0xFFFFFFFF)
    options["attrs"] += [
        ["TCA_NETEM_LATENCY64", round(kwarg["delay_s"] * 1e9)],
        ["TCA_NETEM_JITTER64", round(kwarg["jitter_s"] * 1e9)],
    ]
    if kwarg["rate_bps"]:
        rate = {"rate": round(kwarg["rate_bps"] / 8), "packet_overhead": 0, "cell_size": 0, "cell_overhead": 0}
        options["attrs"].append(["TCA_NETEM_RATE", rate])
    if kwarg["seed"] is not None:
        options["attrs"].append(["TCA_NETEM_PRNG_SEED", kwarg["seed"]])
    return options


_NAMES = ("ECN", "RATE64", "PAD", "LATENCY64", "JITTER64", "SLOT", "SLOT_DIST", "PRNG_SEED")
_TYPES = {"LATENCY64": "int64", "JITTER64": "int64", "PRNG_SEED": "uint64"}
sched_netem.options.nla_map += tuple((f"TCA_NETEM_{name}", _TYPES.get(name, "hex")) for name in _NAMES)
sched_netem.get_parameters = _netem_options


@contextmanager
def inside(pid: int) -> Iterator[None]:
    """The calling thread is in the network namespace of process ``pid`` for as long as the block runs."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        enter(there)
        yield
    finally:
        enter(home)
        os.close(home)
        os.close(there)


def enter(namespace: int) -> None:
    """Moves the calling thread into the network namespace open as file descriptor ``namespace``."""
    if _libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Netlink:
    """One namespace's rtnetlink socket. It stays in the namespace in which it was opened."""

    def __init__(self, pid: int, seed: int) -> None:
        with inside(pid):
            self._ip = IPRoute()
        self._pid = pid
        self._seed = seed
        self._ifbs = 0
        self._indices: dict[str, int] = {}

    def close(self) -> None:
        """Ends the connection."""
        self._ip.close()

    def index(self, interface: str) -> int:
        """The index of ``interface``; remembered, for no interface here is ever replaced by another of its name."""
        if interface not in self._indices:
            found = self._ip.link_lookup(ifname=interface)
            if not found:
                raise LookupError(f"no interface {interface}")
            self._indices[interface] = int(found[0])
        return self._indices[interface]

    def up(self, interface: str, mac: str | None = None) -> None:
        """Brings ``interface`` up, with MAC ``mac`` if one is given."""
        index = self.index(interface)
        if mac is not None:
            self._ip.link("set", index=index, address=mac)
        self._ip.link("set", index=index, state="up")

    def down(self, interface: str) -> None:
        """Takes ``interface`` down."""
        self._ip.link("set", index=self.index(interface), state="down")

    def address(self, interface: str, address: Interface) -> None:
        """Gives ``interface`` the address, in its prefix."""
        length = address.network.prefixlen
        self._ip.addr("add", index=self.index(interface), address=str(address.ip), prefixlen=length)

    def neighbour(self, interface: str, address: Address, mac: str) -> None:
        """A permanent neighbour: the two ends of a point-to-point link that need never ask for each other."""
        self._ip.neigh("add", dst=str(address), lladdr=mac, ifindex=self.index(interface), state="permanent")

    def route(self, prefix: Network | None, gateway: Address) -> None:
        """Reaches ``prefix`` by ``gateway``; with no prefix, whatever has no other route."""
        self._ip.route("add", dst="default" if prefix is None else str(prefix), gateway=str(gateway))

    def checksums_in_software(self, interface: str) -> None:
        """The stack itself completes the checksum of each packet that leaves by ``interface``, and sends no aggregates.

        Else it leaves that to a network card, which a veth is not, and a switch in user space passes on what is wrong.
        """
        switched_off = array.array("I", [_ETHTOOL_STXCSUM, 0])
        request = struct.pack("16sP16x", interface.encode(), switched_off.buffer_info()[0])
        with inside(self._pid), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SIOCETHTOOL, request)

    def veth(self, interface: str, peer: str) -> None:
        """A pair of interfaces, both here."""
        self._ip.link("add", ifname=interface, kind="veth", peer={"ifname": peer})

    def shape(self, interface: str, wire: Wire) -> None:
        """Gives both directions of ``interface``'s link the delay, jitter, loss and rate of ``wire``.

        Random draws follow from the run's seed, the interface's name and the direction.
        """
        ifb = f"wire{self._ifbs}"
        self._ifbs += 1
        self._ip.link("add", ifname=ifb, kind="ifb")
        self._ip.link("set", index=self.index(ifb), state="up")
        self._netem(self.index(ifb), wire, f"{interface}/arrives")
        self._netem(self.index(interface), wire, f"{interface}/leaves")
        self._redirect(self.index(interface), self.index(ifb))

    def splice(self, one: str, other: str, wire: Wire) -> None:
        """Sends on what arrives at one of two interfaces from the other, by ``wire``."""
        for near, far in ((one, other), (other, one)):
            self._netem(self.index(far), wire, f"{far}/leaves")
            self._redirect(self.index(near), self.index(far))
            self.up(near)

    def _redirect(self, arrives: int, leaves: int) -> None:
        self._ip.tc("add", "ingress", arrives, _INGRESS)
        mirred = {"kind": "mirred", "direction": "egress", "action": "redirect", "ifindex": leaves}
        self._ip.tc("add-filter", "matchall", arrives, parent=_INGRESS, prio=1, protocol=_ALL_PROTOCOLS, action=mirred)

    def _netem(self, index: int, wire: Wire, name: str) -> None:
        chance = wire.jitter_s > 0 or wire.loss > 0
        digest = hashlib.sha256(f"{self._seed}/{name}".encode()).digest()
        self._ip.tc(
            "add",
            "netem",
            index,
            "1:",
            delay_s=wire.delay_s,
            jitter_s=wire.jitter_s,
            loss=wire.loss,
            rate_bps=wire.rate_bps,
            seed=int.from_bytes(digest[:8], "big") if chance else None,
        )
