"""A delay for each source: what leaves by one interface waits as long as the interface by which it came in says.

An HTB has a class for each of them and one for what comes from elsewhere, a flower filter finds it, and the netem in it
makes the delay. HTB is there for its classes only: no class ever waits for tokens. (DRR, which has no rates at all,
stops at a class whose netem holds its packets back.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from pyroute2.netlink.rtnl.tcmsg import plugins, sched_template

ROOT_HANDLE = 1 << 16  # 1:
ELSEWHERE = 1  # the class of what came by none of the interfaces: 1:1
_PROTOCOLS = 0x0300 | 1 << 16  # ETH_P_ALL in the network's order, and the priority of the filter
_RATE = 4_000_000_000  # bytes per second; together with _TOKENS more than a virtual wire ever carries
_TOKENS = 10 * 10**9 >> 6  # ten seconds, in the scheduler's ticks of 64 ns
_QUANTUM = 60_000
_ETHERNET = 1  # TC_LINKLAYER_ETHERNET: else the kernel asks for a table of rates
_HTB_PARMS, _HTB_INIT, _HTB_VERSION = 1, 2, 3  # linux/pkt_sched.h
_FLOWER_CLASSID, _FLOWER_INDEV = 1, 2  # linux/pkt_cls.h

# The library makes HTB's table of rates in Python, 256 entries a class, and does not know flower.
plugins.update(htb=sched_template, flower=sched_template)


def root(index: int) -> dict[str, Any]:
    """The HTB at the root of interface ``index``."""
    version, rate_to_quantum, debug, direct = 3, 10, 0, 0
    init = struct.pack("=5I", version, rate_to_quantum, ELSEWHERE, debug, direct)
    return _message(index, ROOT_HANDLE, 0xFFFFFFFF, "htb", _attribute(_HTB_INIT, init))


def of(index: int, minor: int) -> dict[str, Any]:
    """Its class 1:``minor``."""
    spec = struct.pack("=BBHhHI", 0, _ETHERNET, 0, 0, 0, _RATE)
    level, priority = 0, 0
    parms = spec + spec + struct.pack("=5I", _TOKENS, _TOKENS, _QUANTUM, level, priority)
    return _message(index, ROOT_HANDLE + minor, ROOT_HANDLE, "htb", _attribute(_HTB_PARMS, parms))


def entry(index: int, minor: int, arrived_by: str) -> dict[str, Any]:
    """The filter that takes what came in by the interface ``arrived_by`` to class 1:``minor``."""
    options = _attribute(_FLOWER_CLASSID, struct.pack("=I", ROOT_HANDLE + minor))
    options += _attribute(_FLOWER_INDEV, arrived_by.encode() + b"\0")
    return _message(index, 0, ROOT_HANDLE, "flower", options, _PROTOCOLS)


def minors(arrived_by: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """A class number for each interface."""
    return zip(range(ELSEWHERE + 1, ELSEWHERE + 1 + len(arrived_by)), arrived_by, strict=True)


def _message(index: int, handle: int, parent: int, kind: str, options: bytes, info: int = 0) -> dict[str, Any]:
    attributes = [("TCA_KIND", kind), ("TCA_OPTIONS", options)]
    return {"index": index, "handle": handle, "parent": parent, "info": info, "attrs": attributes}


def _attribute(kind: int, value: bytes) -> bytes:
    """RTA_ALIGNed, as netlink(7) has it."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
