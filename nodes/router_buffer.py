"""A mobile router keeps what comes for an address while its node is between two links, and delivers it afterwards.

What keeps it is the kernel's own queue of a neighbour whose link-layer address is not known (RFC 4861 section 7.2.2,
RFC 1122 section 2.3.2.2): it is first in, first out, has a bound in bytes, and what comes while it is emptied queues
up behind. Told to hold, this program routes the address by a next hop that nobody has, and that the router does not ask
for; told to release, it says that the node is that next hop: the kernel sends on all that has waited, and the route
goes. Nothing here touches a packet. That the node, or a DHCP server, says meanwhile where the address is lets none of
them go too early: it is not the address's own neighbour entry that they wait at.

The network's controller says so in frames of an Ethernet type of their own (IEEE 802's first for local experiments),
put out at the router's port by its access switch, which takes such frames from nobody else (docs/redirect.md).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import signal
import socket
import struct
from pathlib import Path
from typing import NamedTuple

from pyroute2.netlink import NLM_F_CREATE, NLM_F_REPLACE
from pyroute2.netlink.rtnl import RTM_DELROUTE, RTM_GETQDISC, RTM_NEWNEIGH, RTM_NEWQDISC, RTM_NEWROUTE
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from dmmlab.machine.events import EventLog
from dmmlab.nodes import clock
from dmmlab.topologies.addressing import Address
from dmmlab.topologies.rtnetlink import Rtnetlink

ETHERTYPE = 0x88B5
BOUND_BYTES = 4 << 20  # of each address' queue, as the kernel counts them: headers of its own are part of it
LONGEST_S = 30.0  # afterwards what waits for a node that has not come back is dropped
_HOLD, _RELEASE = 1, 2
_ORDER = struct.Struct("!B16s6sI")  # after the Ethernet header: what, the address (IPv4's as ::ffff:…), its MAC, in µs
_ETHERNET = 14
_UNICAST, _MAIN_TABLE, _STATIC, _ONLINK = 1, 254, 4, 4  # RTN_, RT_TABLE_, RTPROT_, RTNH_F_, linux/rtnetlink.h
_LABORATORY, _LINK_LOCAL = 0xC6120000, 0xFE80 << 112  # 198.18.0.0, fe80::
_BYTES_A_SECOND, _BURST_BYTES = 125_000_000, 4000  # 1 Gbit/s; so much may leave at once
_ROOT, _ETHERNET_FRAMES, _TICK_SHIFT = 0xFFFFFFFF, 1, 6  # linux/pkt_sched.h; a tick is 64 ns
_INCOMPLETE, _REACHABLE, _FAILED = 0x01, 0x02, 0x20  # NUD_, linux/neighbour.h


class Order(NamedTuple):
    """What the controller says: hold, or release to this MAC in so many seconds."""

    hold: bool
    address: Address
    mac: str
    in_s: float

    @classmethod
    def read(cls, frame: bytes) -> Order:
        """From an Ethernet frame; ValueError if it is none."""
        if len(frame) < _ETHERNET + _ORDER.size:
            raise ValueError("too short")
        what, packed, mac, in_us = _ORDER.unpack_from(frame, _ETHERNET)
        if what not in (_HOLD, _RELEASE):
            raise ValueError(f"order {what}")
        address = ipaddress.IPv6Address(packed)
        return cls(what == _HOLD, address.ipv4_mapped or address, mac.hex(":"), in_us / 1e6)


class Buffer:
    """The neighbours of ``interface`` for whom the router keeps packets.

    The interface has a rate: what is delivered leaves packet after packet and not all at one instant, in which a switch
    that does not know their flow yet would have to look up each, and drops those that it has no room for.
    """

    def __init__(self, interface: str, log: EventLog) -> None:
        self._interface, self._log = interface, log
        self._kernel, self._index = Rtnetlink(), socket.if_nametoindex(interface)
        self._held: dict[Address, asyncio.TimerHandle] = {}
        self._releasing: dict[Address, asyncio.TimerHandle] = {}
        self._pace()
        for family in ("ipv4", "ipv6"):
            bound = Path(f"/proc/sys/net/{family}/neigh/{interface}/unres_qlen_bytes")
            with contextlib.suppress(OSError):  # a network without IPv6
                bound.write_text(str(BOUND_BYTES))

    def carry_out(self, order: Order) -> None:
        """Does what the controller says."""
        if (waiting := self._releasing.pop(order.address, None)) is not None:
            waiting.cancel()
        if order.hold:
            self.hold(order.address)
        elif order.in_s:
            releasing = asyncio.get_running_loop().call_later(order.in_s, self.release, order.address, order.mac)
            self._releasing[order.address] = releasing
        else:
            self.release(order.address, order.mac)

    def hold(self, address: Address) -> None:
        """From now on, what comes for ``address`` waits."""
        if address in self._held:
            return
        self._neighbour(_nobody(address), _INCOMPLETE)
        self._route(address, RTM_NEWROUTE)
        self._held[address] = asyncio.get_running_loop().call_later(LONGEST_S, self._give_up, address)
        self._log.emit("buffer_started", address=str(address))

    def release(self, address: Address, mac: str) -> None:
        """What waits for ``address`` goes to ``mac``, and so does what comes from now on."""
        timer = self._held.pop(address, None)
        if timer is None:
            return
        timer.cancel()
        before = self._sent()
        self._neighbour(_nobody(address), _REACHABLE, mac)  # in this call the kernel sends all of it
        self._log.emit("buffer_ended", address=str(address), packets=self._sent() - before)
        self._forget(address)

    def _give_up(self, address: Address) -> None:
        del self._held[address]
        self._forget(address)
        self._log.emit("buffer_dropped", address=str(address))

    def _forget(self, address: Address) -> None:
        """What comes takes its ordinary way; what still waits is dropped."""
        self._route(address, RTM_DELROUTE)
        self._neighbour(_nobody(address), _FAILED)

    def _route(self, address: Address, what: int) -> None:
        fields = {
            "family": _family(address),
            "dst_len": address.max_prefixlen,
            "table": _MAIN_TABLE,
            "type": _UNICAST,
            "proto": _STATIC,
            "flags": _ONLINK,
            "attrs": [("RTA_DST", str(address)), ("RTA_GATEWAY", str(_nobody(address))), ("RTA_OIF", self._index)],
        }
        flags = NLM_F_CREATE | NLM_F_REPLACE if what == RTM_NEWROUTE else 0
        self._kernel.ask(f"route of {address}", what, rtmsg(), fields, flags)

    def _pace(self) -> None:
        ticks = round(_BURST_BYTES / _BYTES_A_SECOND * 1e9) >> _TICK_SHIFT
        parms = {"rate": _BYTES_A_SECOND, "rate___reserved": _ETHERNET_FRAMES, "limit": BOUND_BYTES, "buffer": ticks}
        message = {
            "index": self._index,
            "handle": 1 << 16,
            "parent": _ROOT,
            "attrs": [("TCA_KIND", "tbf"), ("TCA_OPTIONS", {"attrs": [("TCA_TBF_PARMS", parms)]})],
        }
        flags = NLM_F_CREATE | NLM_F_REPLACE
        self._kernel.ask(f"rate of {self._interface}", RTM_NEWQDISC, tcmsg(), message, flags)

    def _neighbour(self, address: Address, state: int, mac: str | None = None) -> None:
        attributes = [("NDA_DST", str(address)), *([("NDA_LLADDR", mac)] if mac is not None else [])]
        fields = {"family": _family(address), "ifindex": self._index, "state": state, "attrs": attributes}
        what = f"neighbour {address} at {self._interface}"
        self._kernel.ask(what, RTM_NEWNEIGH, ndmsg(), fields, NLM_F_CREATE | NLM_F_REPLACE)

    def _sent(self) -> int:
        """How many packets have been handed to the interface."""
        for found in self._kernel.dump(RTM_GETQDISC, tcmsg(), {"index": self._index}):
            if found["index"] == self._index and found["parent"] == _ROOT:
                stats = found.get_attr("TCA_STATS2")
                basic, queue = (stats.get_attr(f"TCA_STATS_{name}") for name in ("BASIC", "QUEUE"))
                return int(basic["packets"]) + int(queue["qlen"]) + int(queue["drops"])
        raise OSError(f"{self._interface}: no such interface")


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def _nobody(address: Address) -> Address:
    """A next hop of its own for each address of a prefix, which no node has: of a range that is for laboratories
    (RFC 2544), or link-local with an identifier that is not made of a MAC.
    """
    if address.version == 4:
        return ipaddress.IPv4Address(_LABORATORY | int(address) & 0xFFFF)
    return ipaddress.IPv6Address(_LINK_LOCAL | (int(address) & (1 << 64) - 1) ^ 1 << 63)


async def _main(arguments: argparse.Namespace) -> None:
    log = EventLog(arguments.events, arguments.name, "mobile router")
    orders = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
    orders.bind((arguments.interface, ETHERTYPE))
    orders.setblocking(False)
    buffer, loop, stopped = Buffer(arguments.interface, log), asyncio.get_running_loop(), asyncio.Event()

    def take() -> None:
        with contextlib.suppress(BlockingIOError, ValueError):
            buffer.carry_out(Order.read(orders.recv(2048)))

    loop.add_reader(orders, take)
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    log.emit("ready", interface=arguments.interface)
    await stopped.wait()


def main(argv: list[str] | None = None) -> None:
    """Keeps and delivers until it is told to stop."""
    parser = argparse.ArgumentParser(prog="dmmlab.nodes.router_buffer", description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--interface", required=True, help="of the router, towards its mobile nodes")
    parser.add_argument("--events", type=Path, required=True)
    clock.run(_main(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
