"""Run in a guest: ``addresses_inside.py FAMILY`` has a mobile node's agent take a second address in place of its first,
and writes what the kernel then has, and which address it gives a new session, as JSON.

The new session is with a neighbour of the first address, which that one is most like (RFC 6724 section 5, rule 8).
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from pyroute2 import AsyncIPRoute

from dmmlab.machine.events import EventLog
from dmmlab.nodes.datagrams import newest_address
from dmmlab.nodes.mobility.dhcp import Lease
from dmmlab.nodes.mobility.mobile_node import MobileNode
from dmmlab.nodes.mobility.slaac import SlaacNode

INTERFACE = "radio"
ADDRESSES = {
    "ipv4": ("10.1.1.100/24", "10.1.2.100/24", "10.1.1.7"),
    "ipv6": ("2001:db8:1:1::100/64", "2001:db8:1:2::100/64", "2001:db8:1:1::107"),
}


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout


def lease(address: str) -> Lease:
    held = ipaddress.ip_interface(address)
    router = held.network.network_address + 1
    return Lease(held, router, router, 3600)


async def ipv4(node: MobileNode, first: Lease, second: Lease) -> None:
    await node._take(first, node._radios[0])
    await node._take(second, node._radios[0])


async def ipv6(node: MobileNode, first: Lease, second: Lease) -> None:
    ip("addr", "add", str(first.address), "dev", INTERFACE, "nodad")
    await node._deprecate(first, node._radios[0])
    ip("addr", "add", str(second.address), "dev", INTERFACE, "nodad")
    ip("-6", "route", "add", "default", "via", "fe80::1", "dev", INTERFACE)


async def main(family: str) -> None:
    ip("link", "add", INTERFACE, "type", "dummy")
    ip("link", "set", INTERFACE, "up")
    *addresses, neighbour = ADDRESSES[family]
    folder = Path(tempfile.mkdtemp())
    kind = MobileNode if family == "ipv4" else SlaacNode
    node = kind(INTERFACE, folder, None, None, EventLog(folder / "events", "MN1"))
    async with AsyncIPRoute() as node._ip:
        node._radios[0].index = (await node._ip.link_lookup(ifname=INTERFACE))[0]
        await {"ipv4": ipv4, "ipv6": ipv6}[family](node, lease(addresses[0]), lease(addresses[1]))
    (shown,) = json.loads(ip("-j", "addr", "show", INTERFACE))
    held = {
        f"{one['local']}/{one['prefixlen']}": "deprecated" if one.get("deprecated") else "preferred"
        for one in shown["addr_info"]
        if one["scope"] == "global"
    }
    sys.stdout.write(json.dumps({"held": held, "new": newest_address(neighbour)}))


asyncio.run(main(sys.argv[1]))
