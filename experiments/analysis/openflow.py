"""OpenFlow 1.3 messages as far as signalling needs them: which one, about which mobile node's port, MAC or address.

Read from bytes (OpenFlow Switch Specification 1.3.5, section 7), since analysis shares nothing with the controller.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dmmlab.experiments.records.pcap import address_text, mac_text

PORT = 6653
HEADER = struct.Struct("!BBHI")  # version, type, length, transaction
_NAMES = {
    0: "hello",
    1: "error",
    2: "echo-request",
    3: "echo-reply",
    4: "experimenter",
    5: "features-request",
    6: "features-reply",
    7: "get-config-request",
    8: "get-config-reply",
    9: "set-config",
    10: "packet-in",
    11: "flow-removed",
    12: "port-status",
    13: "packet-out",
    14: "flow-mod",
    15: "group-mod",
    16: "port-mod",
    17: "table-mod",
    18: "multipart-request",
    19: "multipart-reply",
    20: "barrier-request",
    21: "barrier-reply",
    24: "role-request",
    25: "role-reply",
}
_ECHO = ("echo-request", "echo-reply")
_REASONS = ("add", "delete", "modify")  # of a port status
_COMMANDS = ("add", "modify", "modify", "delete", "delete")  # of a flow-mod, strict or not
_PORT_DESCRIPTION, _PORT_BYTES = 13, 64
_BASIC_CLASS = 0x8000
_IN_PORT = 0
_MACS = {3, 4, 24, 25, 32, 33}  # eth_dst, eth_src, arp_sha, arp_tha, ipv6_nd_sll, ipv6_nd_tll
_ADDRESSES = {11, 12, 22, 23, 26, 27, 31}  # ipv4_src/dst, arp_spa/tpa, ipv6_src/dst, ipv6_nd_target


@dataclass(frozen=True, slots=True)
class OpenFlow:
    """One message. ``ports`` are (number, name) of the ports that it describes, ``in_port`` the one it speaks of;
    ``frame`` is what was captured of the frame that a packet-in copies.
    """

    name: str
    transaction: int
    macs: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    in_port: int | None = None
    ports: tuple[tuple[int, str], ...] = ()
    datapath: int | None = None
    frame: bytes = b""

    @property
    def keepalive(self) -> bool:
        """Whether it only keeps the channel alive."""
        return self.name in _ECHO

    @property
    def answers(self) -> bool:
        """Whether its transaction is that of an earlier message."""
        return self.name in ("barrier-reply", "multipart-reply", "error", "features-reply", "role-reply")


def length_of(header: bytes) -> int:
    """The length that a message's first 8 bytes announce; 0 if they do not begin a message of OpenFlow 1.0 to 1.5."""
    version, kind, length, _ = HEADER.unpack(header)
    return length if 1 <= version <= 6 and kind in _NAMES else 0


def decode(data: bytes) -> OpenFlow:
    """A message whose end may be missing: what was not captured is not said of it."""
    _, kind, _, transaction = HEADER.unpack_from(data)
    name = _NAMES.get(kind, f"type-{kind}")
    try:
        return _READERS.get(name, _plain)(name, transaction, data)
    except (IndexError, struct.error):
        return OpenFlow(name, transaction)


def _plain(name: str, transaction: int, _data: bytes) -> OpenFlow:
    return OpenFlow(name, transaction)


def _features(name: str, transaction: int, data: bytes) -> OpenFlow:
    return OpenFlow(name, transaction, datapath=struct.unpack_from("!Q", data, 8)[0])


def _port(data: bytes, at: int) -> tuple[int, str]:
    number, label = struct.unpack_from("!I20x16s", data, at)
    return number, label.rstrip(b"\0").decode(errors="replace")


def _port_status(name: str, transaction: int, data: bytes) -> OpenFlow:
    port = _port(data, 16)
    return OpenFlow(f"{name} {_REASONS[data[8]]}", transaction, ports=(port,), in_port=port[0])


def _multipart_reply(name: str, transaction: int, data: bytes) -> OpenFlow:
    (kind,) = struct.unpack_from("!H", data, 8)
    starts = range(16, len(data) - _PORT_BYTES + 1, _PORT_BYTES) if kind == _PORT_DESCRIPTION else ()
    return OpenFlow(name, transaction, ports=tuple(_port(data, at) for at in starts))


def _flow_mod(name: str, transaction: int, data: bytes) -> OpenFlow:
    return _matching(f"{name} {_COMMANDS[data[25]]}", transaction, data, 48)


def _flow_removed(name: str, transaction: int, data: bytes) -> OpenFlow:
    return _matching(name, transaction, data, 48)


def _packet_in(name: str, transaction: int, data: bytes) -> OpenFlow:
    match = _matching(name, transaction, data, 24)
    (match_bytes,) = struct.unpack_from("!H", data, 26)
    frame = data[24 + (match_bytes + 7) // 8 * 8 + 2 :]
    macs = {mac_text(frame[at : at + 6]) for at in (0, 6) if len(frame) >= 12}
    return OpenFlow(name, transaction, match.macs | macs, match.addresses, match.in_port, frame=frame)


def _packet_out(name: str, transaction: int, data: bytes) -> OpenFlow:
    in_port, action_bytes = struct.unpack_from("!IH", data, 12)
    frame = data[24 + action_bytes :]
    macs = {mac_text(frame[at : at + 6]) for at in (0, 6) if len(frame) >= 12}
    return OpenFlow(name, transaction, frozenset(macs), in_port=in_port)


def _matching(name: str, transaction: int, data: bytes, at: int) -> OpenFlow:
    """A message with a match at byte ``at``: the MACs and addresses that it matches."""
    macs, addresses, in_port = set(), set(), None
    for field, value in _fields(data, at):
        if field in _MACS:
            macs.add(mac_text(value[:6]))
        elif field in _ADDRESSES and len(value) in (4, 16):
            addresses.add(address_text(value))
        elif field == _IN_PORT:
            in_port = int.from_bytes(value, "big")
    return OpenFlow(name, transaction, frozenset(macs), frozenset(addresses), in_port)


def _fields(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    kind, length = struct.unpack_from("!HH", data, at)
    place, end = at + 4, at + length
    while kind == 1 and place + 4 <= min(end, len(data)):
        family, field, size = struct.unpack_from("!HBB", data, place)
        value = data[place + 4 : place + 4 + size]
        if family == _BASIC_CLASS and len(value) == size:
            yield field >> 1, value
        place += 4 + size


_READERS: dict[str, Callable[[str, int, bytes], OpenFlow]] = {
    "features-reply": _features,
    "port-status": _port_status,
    "multipart-reply": _multipart_reply,
    "flow-mod": _flow_mod,
    "flow-removed": _flow_removed,
    "packet-in": _packet_in,
    "packet-out": _packet_out,
}
