"""Mobile nodes that say that they are about to leave, and routers that are told to keep what comes for them meanwhile.

An announcement is a node's UDP datagram, as RFC 5568's fast binding update: where it goes (the access switch there, by
its datapath id), and in what time. It is believed where the node itself was seen: at its port, from its MAC. Orders to
a router are frames of an Ethernet type of their own, which no switch takes from its ports.
"""

import ipaddress
import struct
from dataclasses import dataclass

from dmmlab.controllers.dhcp import mac_text
from dmmlab.controllers.plan import SwitchPlan

ANNOUNCEMENT_PORT = 4605  # UDP
ORDERS = 0x88B5  # the Ethernet type of what a router is told: IEEE 802's first for local experiments
_HOLD, _RELEASE = 1, 2
_ANNOUNCEMENT = struct.Struct("!IB3xQQ")  # magic, version, datapath id, microseconds
_ORDER = struct.Struct("!B16s6sI")  # what, the address (IPv4's as ::ffff:…), the MAC that has it, in how many µs
_MAGIC, _VERSION = 0x646D6D6C, 1
_ETHERNET, _UDP_HEADER, _UDP = 14, 8, 17


@dataclass(frozen=True)
class Announcement:
    """The sender leaves for the switch ``to`` in ``lead_s`` seconds."""

    to: int
    lead_s: float


def announcement(frame: bytes) -> Announcement | None:
    """The announcement in an untagged Ethernet frame; None if there is none."""
    if len(frame) < _ETHERNET + 20:
        return None
    kind = frame[12:14]
    if kind == b"\x08\x00":
        protocol, start = frame[_ETHERNET + 9], _ETHERNET + (frame[_ETHERNET] & 0xF) * 4
    elif kind == b"\x86\xdd":
        protocol, start = frame[_ETHERNET + 6], _ETHERNET + 40
    else:
        return None
    body = frame[start + _UDP_HEADER :]
    port = frame[start + 2 : start + 4]
    if protocol != _UDP or port != ANNOUNCEMENT_PORT.to_bytes(2, "big") or len(body) < _ANNOUNCEMENT.size:
        return None
    magic, version, to, lead_us = _ANNOUNCEMENT.unpack_from(body)
    return Announcement(to, lead_us / 1e6) if (magic, version) == (_MAGIC, _VERSION) else None


def order(router: SwitchPlan, hold: bool, address: str, mac: str, in_s: float = 0.0) -> bytes:
    """The frame that tells ``router`` to keep what comes for ``address``, or to send it on to ``mac`` in ``in_s``."""
    packed = ipaddress.ip_address(address).packed
    packed = packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed
    own = bytes.fromhex(mac.replace(":", ""))
    head = bytes.fromhex(router.router_mac.replace(":", "")) + own + ORDERS.to_bytes(2, "big")
    return (head + _ORDER.pack(_HOLD if hold else _RELEASE, packed, own, round(in_s * 1e6))).ljust(60, b"\0")


def sender(frame: bytes) -> str:
    """The MAC that a frame is from."""
    return mac_text(frame[6:12])
