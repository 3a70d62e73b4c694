"""Just enough DHCP (RFC 2131, RFC 2132) to overhear which mobile node holds which address, and for how long."""

import socket
import struct
from dataclasses import dataclass

DECLINE, ACK, RELEASE = 4, 5, 7
INFINITE_S = 0xFFFFFFFF

_ETHERNET, _UDP_HEADER, _BOOTP = 14, 8, 236
_MAGIC = b"\x63\x82\x53\x63"
_PAD, _LEASE_TIME, _MESSAGE_TYPE, _CLIENT_ID, _END = 0, 51, 53, 61, 255


@dataclass(frozen=True)
class DhcpMessage:
    """What matters of a DHCP message; ``lease_s`` is None where the message has no lease time."""

    type: int
    mac: str
    client_address: str
    your_address: str
    lease_s: int | None
    client_id: bytes | None


def mac_text(octets: bytes) -> str:
    """Six octets as lower-case text with colons."""
    return octets.hex(":")


def parse_frame(frame: bytes) -> DhcpMessage | None:
    """The DHCP message in an untagged Ethernet frame; None if there is none, or a broken one."""
    if len(frame) < _ETHERNET + 20 or frame[12:14] != b"\x08\x00" or frame[_ETHERNET + 9] != 17:
        return None
    message = _ETHERNET + (frame[_ETHERNET] & 0xF) * 4 + _UDP_HEADER
    ports = frame[message - _UDP_HEADER : message - 4]
    if ports not in (b"\x00\x43\x00\x44", b"\x00\x44\x00\x43"):
        return None
    body = frame[message:]
    if len(body) < _BOOTP + 4 or body[2] != 6 or body[_BOOTP : _BOOTP + 4] != _MAGIC:
        return None
    options = _options(body[_BOOTP + 4 :])
    kind = options.get(_MESSAGE_TYPE, b"")
    if len(kind) != 1:
        return None
    lease = options.get(_LEASE_TIME, b"")
    return DhcpMessage(
        type=kind[0],
        mac=mac_text(body[28:34]),
        client_address=socket.inet_ntoa(body[12:16]),
        your_address=socket.inet_ntoa(body[16:20]),
        lease_s=struct.unpack("!I", lease)[0] if len(lease) == 4 else None,
        client_id=options.get(_CLIENT_ID),
    )


def _options(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != _END:
        if data[at] == _PAD:
            at += 1
            continue
        if at + 2 > len(data):
            break
        end = at + 2 + data[at + 1]
        found[data[at]] = data[at + 2 : end]
        at = end
    return found
