"""Whether a captured packet is as it was sent: a link that corrupts (`impair`) changes a bit, and who gets the packet
drops it for its checksum, where a capture has it.
"""

from __future__ import annotations

import struct

_ETHERNET, _IPV4, _IPV6, _TCP, _UDP = 14, 0x0800, 0x86DD, 6, 17
_CHECKSUM_AT = {_TCP: 16, _UDP: 6}


def sound(raw: bytes) -> bool:
    """Whether the checksums of a frame with UDP or TCP over IP hold; of others, and of one that was captured in part,
    nobody knows, and it counts as sound.

    What a kernel sends to another on the same machine has the sum of the pseudo-header alone in its place (RFC 9293
    section 3.1; the rest is left to a device that there is none of); a link that changes a bit sums it up first.
    """
    kind = int.from_bytes(raw[12:14], "big")
    if kind == _IPV4 and len(raw) >= _ETHERNET + 20:
        at = _ETHERNET + (raw[_ETHERNET] & 0x0F) * 4
        length, protocol = int.from_bytes(raw[16:18], "big"), raw[23]
        if _folded(raw[_ETHERNET:at]) != 0xFFFF:
            return False
        end, addresses = _ETHERNET + length, raw[26:34]
    elif kind == _IPV6 and len(raw) >= _ETHERNET + 40:
        at, protocol, addresses = _ETHERNET + 40, raw[20], raw[22:54]
        end = at + int.from_bytes(raw[18:20], "big")
    else:
        return True
    body, place = raw[at:end], _CHECKSUM_AT.get(protocol)
    if place is None or len(raw) < end:
        return True
    if len(body) < place + 2:
        return False
    pseudo = addresses + struct.pack("!II", len(body), protocol)
    given = int.from_bytes(body[place : place + 2], "big")
    return given == _folded(pseudo) or _folded(pseudo + body) == 0xFFFF or (protocol == _UDP and not given)


def _folded(data: bytes) -> int:
    """The sum of 16-bit words, in ones' complement (RFC 1071)."""
    words: tuple[int, ...] = struct.unpack(f"!{len(data) // 2}H", data[: len(data) & ~1])
    total = sum(words) + (data[-1] << 8 if len(data) & 1 else 0)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
