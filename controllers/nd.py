"""Just enough neighbour discovery (RFC 4861, RFC 4862) to overhear which IPv6 addresses a mobile node uses, and to
answer for one that is not there, as a home agent does (RFC 6275 section 10.4.1).

There is no lease to overhear: a mobile node forms its addresses itself. But its router resolves an address before it
delivers to it, so the address is in a solicitation or an advertisement of the mobile node's before it is of use.
"""

import ipaddress
from dataclasses import dataclass

_ETHERNET, _IPV6 = 14, 40
_SOLICITATION, _ADVERTISEMENT = 135, 136
DEREGISTRATION = 157  # a duplicate address request (RFC 6775), which registers, and for no time deregisters
_UNSPECIFIED = bytes(16)
_ALL_NODES, _ALL_NODES_MAC = ipaddress.IPv6Address("ff02::1").packed, bytes.fromhex("333300000001")
_SOLICITED, _OVERRIDE = 0x40000000, 0x20000000  # an advertisement's flags
_TARGET_MAC = bytes([2, 1])  # the option's type, and its length in units of 8 octets


@dataclass(frozen=True)
class Question:
    """A neighbour solicitation to a group of nodes: who has ``target``? ``asker`` is unspecified where one wants to
    know whether an address that it has formed is somebody's already.
    """

    target: str
    asker: bytes
    asker_mac: bytes

    def answer(self, mac: str) -> bytes:
        """The Ethernet frame that says that ``mac`` has the target: to the asker, or to all if it has no address."""
        anonymous = self.asker == _UNSPECIFIED
        source, hardware = ipaddress.IPv6Address(self.target).packed, bytes.fromhex(mac.replace(":", ""))
        destination = _ALL_NODES if anonymous else self.asker
        flags = _OVERRIDE if anonymous else _OVERRIDE | _SOLICITED
        body = flags.to_bytes(4, "big") + source + _TARGET_MAC + hardware
        length = 4 + len(body)
        pseudo = source + destination + length.to_bytes(4, "big") + bytes([0, 0, 0, 58])
        checksum = _checksum(pseudo + bytes([_ADVERTISEMENT, 0, 0, 0]) + body)
        head = (_ALL_NODES_MAC if anonymous else self.asker_mac) + hardware + b"\x86\xdd"
        ip = b"\x60\0\0\0" + length.to_bytes(2, "big") + bytes([58, 255]) + source + destination
        return head + ip + bytes([_ADVERTISEMENT, 0]) + checksum + body


def link_local(mac: str) -> str:
    """The link-local address of the interface with this MAC (RFC 4862 section 5.3), as text."""
    octets = bytearray.fromhex(mac.replace(":", ""))
    octets[0] ^= 2
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + octets[:3] + b"\xff\xfe" + octets[3:]))


def probed(frame: bytes) -> bool:
    """Whether this neighbour message only asks whether an address is somebody's (RFC 4862 section 5.4.2)."""
    return frame[_ETHERNET + _IPV6] == _SOLICITATION and frame[_ETHERNET + 8 : _ETHERNET + 24] == _UNSPECIFIED


def question(frame: bytes) -> Question | None:
    """The solicitation to a group in this untagged Ethernet frame; None if it is something else."""
    message = _ETHERNET + _IPV6
    if len(frame) < message + 24 or frame[12:14] != b"\x86\xdd" or frame[_ETHERNET + 6] != 58:
        return None
    if frame[message] != _SOLICITATION or frame[:2] != b"\x33\x33":
        return None
    target = str(ipaddress.IPv6Address(frame[message + 8 : message + 24]))
    return Question(target, frame[_ETHERNET + 8 : _ETHERNET + 24], frame[6:12])


def _checksum(data: bytes) -> bytes:
    """The Internet checksum (RFC 1071) of an even number of octets."""
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


def released_address(frame: bytes) -> str | None:
    """The address that the sender of this untagged Ethernet frame drops: it registers it, from itself, for no time (RFC
    6775 section 4.4); None if the frame says nothing of the kind.
    """
    message = _ETHERNET + _IPV6
    if len(frame) < message + 32 or frame[12:14] != b"\x86\xdd" or frame[_ETHERNET + 6] != 58:
        return None
    source, address = frame[_ETHERNET + 8 : _ETHERNET + 24], frame[message + 16 : message + 32]
    if frame[message] != DEREGISTRATION or any(frame[message + 6 : message + 8]) or source != address:
        return None
    return str(ipaddress.IPv6Address(address))


def claimed_address(frame: bytes) -> str | None:
    """The address that the sender of this untagged Ethernet frame says is its own; None if it says none.

    An advertisement claims its target; a solicitation its source, or in duplicate address detection its target.
    """
    message = _ETHERNET + _IPV6
    if len(frame) < message + 24 or frame[12:14] != b"\x86\xdd" or frame[_ETHERNET + 6] != 58:
        return None
    source, target = frame[_ETHERNET + 8 : _ETHERNET + 24], frame[message + 8 : message + 24]
    if frame[message] == _ADVERTISEMENT or (frame[message] == _SOLICITATION and source == _UNSPECIFIED):
        return str(ipaddress.IPv6Address(target))
    if frame[message] == _SOLICITATION:
        return str(ipaddress.IPv6Address(source))
    return None


def teaches(frame: bytes) -> bool:
    """Whether who hears this message, in which its sender claims an address (`claimed_address`), takes the sender's MAC
    for it in place of another one that it knows: an advertisement with Override (RFC 4861 section 7.2.5), or a
    solicitation from the address; not one to detect duplicates.
    """
    message = _ETHERNET + _IPV6
    if frame[message] == _ADVERTISEMENT:
        return bool(int.from_bytes(frame[message + 4 : message + 8], "big") & _OVERRIDE)
    return frame[_ETHERNET + 8 : _ETHERNET + 24] != _UNSPECIFIED
