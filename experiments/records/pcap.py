"""The frames of a capture, for all that is made of one: addresses, ports and what was captured of the payload.

And the messages of a TCP stream, whose segments may be cut short by the capture's snapshot length.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from dmmlab.experiments.records import damage
from dmmlab.experiments.records.errors import RunDirectoryError
from dmmlab.experiments.records.stepped import Stamp

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
TCP, UDP, ICMPV6 = 6, 17, 58
DISCOVERY = range(133, 137)  # ICMPv6's router and neighbour solicitations and advertisements (RFC 4861)
REGISTRATION = 157  # and its duplicate address request (RFC 6775)
SYN = 0x02
ARP_BYTES = 28
_ETHERNET_BYTES = 14
_FILE_BYTES, _RECORD_BYTES = 24, 16  # headers of the file, and of each packet
_IPV4 = struct.Struct("!BxHxxxxxBxx4s4s")  # version and header length, length, protocol, addresses
_IPV6 = struct.Struct("!4xHBx16s16s")  # length of the payload, next header, addresses
_UDP, _TCP = struct.Struct("!HH"), struct.Struct("!HHI4xBB")  # ports; of TCP also sequence, data offset, flags
_FORMATS = {  # of a pcap file's first four bytes: byte order, and nanoseconds per fraction of a second
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
}


class Frame(NamedTuple):
    """A frame with ARP, or with UDP, TCP or neighbour discovery over IP.

    ``time_ns`` since the epoch; ``length`` of the IP packet in bytes (28 for ARP). ``payload`` is what was captured
    of the UDP datagram or TCP segment, ``payload_bytes`` its length on the wire; of ARP and discovery, the packet.
    ``protocol`` is the IP protocol number, 0 for ARP, whose addresses are those of sender and target.
    """

    time_ns: int
    from_mac: str
    to_mac: str
    protocol: int
    source: str
    destination: str
    source_port: int
    destination_port: int
    sequence: int
    flags: int
    length: int
    payload: bytes
    payload_bytes: int

    @property
    def ports(self) -> tuple[int, int]:
        """Source and destination."""
        return self.source_port, self.destination_port


@cache
def mac_text(raw: bytes) -> str:
    """A MAC address in its usual form."""
    return raw.hex(":")


@cache
def address_text(raw: bytes) -> str:
    """An IPv4 or IPv6 address in its usual form."""
    return str(ipaddress.ip_address(raw))


def _as_it_is(stamp_ns: int) -> int:
    return stamp_ns


def read(pcap: Path, put_right: Stamp = _as_it_is, damaged: bool = False, *, growing: bool = False) -> Iterator[Frame]:
    """The frames of ``pcap`` in the order of the capture; none if it is missing. Others are left out.

    ``put_right`` makes their times of all stamps. If some may be ``damaged``, those are left out, too. A file that is
    still ``growing`` may end anywhere. Raises RunDirectoryError where another one does, or is no capture.
    """
    if not pcap.is_file():
        return
    data, place = pcap.read_bytes(), _FILE_BYTES
    order, unit_ns = _FORMATS.get(data[:4], ("", 0))
    if growing and len(data) < place:
        return
    if not order or len(data) < place:
        raise RunDirectoryError.damaged(pcap, "no capture (pcap), or its beginning only")
    header = struct.Struct(order + "IIII")
    while place < len(data):
        if place + _RECORD_BYTES > len(data):
            break
        seconds, fraction, captured, _ = header.unpack_from(data, place)
        if place + _RECORD_BYTES + captured > len(data):
            break
        place += _RECORD_BYTES
        raw = data[place : place + captured]
        frame = parse(raw, put_right(seconds * 10**9 + fraction * unit_ns))
        place += captured
        if frame is not None and not (damaged and not damage.sound(raw)):
            yield frame
    if place < len(data) and not growing:
        raise RunDirectoryError.damaged(pcap, f"it ends within a packet, at byte {len(data)}")


def parse(raw: bytes, time_ns: int) -> Frame | None:
    """A captured frame, or None if it is none of those that are read here."""
    if len(raw) < _ETHERNET_BYTES + ARP_BYTES:
        return None
    kind = int.from_bytes(raw[12:14], "big")
    if kind == ARP:
        return _arp(raw, time_ns)
    start = _ETHERNET_BYTES
    if kind == IPV4:
        first, length, protocol, source, destination = _IPV4.unpack_from(raw, start)
        at = start + (first & 0x0F) * 4
    elif kind == IPV6 and len(raw) >= start + 40:
        length, protocol, source, destination = _IPV6.unpack_from(raw, start)
        length, at = length + 40, start + 40
    else:
        return None
    if protocol == UDP and len(raw) >= at + 8:
        source_port, destination_port = _UDP.unpack_from(raw, at)
        begin, sequence, flags = at + 8, 0, 0
    elif protocol == TCP and len(raw) >= at + 20:
        source_port, destination_port, sequence, words, flags = _TCP.unpack_from(raw, at)
        begin = at + (words >> 4) * 4
    elif protocol == ICMPV6 and kind == IPV6 and raw[at : at + 1] and raw[at] in (*DISCOVERY, REGISTRATION):
        begin, source_port, destination_port, sequence, flags = at, 0, 0, 0, 0
    else:
        return None
    return Frame(
        time_ns,
        mac_text(raw[6:12]),
        mac_text(raw[:6]),
        protocol,
        address_text(source),
        address_text(destination),
        source_port,
        destination_port,
        sequence,
        flags,
        length,
        raw[begin : start + length],
        start + length - begin,
    )


def _arp(raw: bytes, time_ns: int) -> Frame:
    packet = raw[_ETHERNET_BYTES : _ETHERNET_BYTES + ARP_BYTES]
    return Frame(
        time_ns=time_ns,
        from_mac=mac_text(raw[6:12]),
        to_mac=mac_text(raw[:6]),
        protocol=0,
        source=address_text(packet[14:18]),
        destination=address_text(packet[24:28]),
        source_port=0,
        destination_port=0,
        sequence=0,
        flags=0,
        length=ARP_BYTES,
        payload=packet,
        payload_bytes=ARP_BYTES,
    )


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of a stream's bytes that came in one segment; ``data`` may be shorter than ``length``: not captured."""

    time_ns: int
    data: bytes
    length: int


class Stream:
    """One direction of a TCP connection, put in order: segments in, pieces out, each byte once."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._early: dict[int, Frame] = {}

    def feed(self, frame: Frame) -> list[Piece]:
        """What follows without a hole now that this segment has come."""
        if frame.flags & SYN:
            self._next, self._early = (frame.sequence + 1) % 2**32, {}
            return []
        if not frame.payload_bytes:
            return []
        if self._next is None:  # the capture began later than the connection
            self._next = frame.sequence
        self._early.setdefault(frame.sequence, frame)
        return self._drain()

    def _drain(self) -> list[Piece]:
        pieces: list[Piece] = []
        while True:
            assert self._next is not None
            here = self._next
            ready = [at for at, frame in self._early.items() if _before(at, here)]
            if not ready:
                return pieces
            for at in ready:
                frame = self._early.pop(at)
                known = (self._next - at) % 2**32
                if known < frame.payload_bytes:
                    pieces.append(Piece(frame.time_ns, frame.payload[known:], frame.payload_bytes - known))
                    self._next = (at + frame.payload_bytes) % 2**32


def _before(sequence: int, other: int) -> bool:
    """Whether a sequence number is not after ``other`` (RFC 9293 section 3.4: modulo 2**32)."""
    return (other - sequence) % 2**32 < 2**31


@dataclass(frozen=True, slots=True)
class Cut:
    """A message of a stream: when its first byte came, what was captured of it, its length in bytes.

    ``data`` is empty where the capture lacks the message's header: then it is all that followed in that segment.
    """

    time_ns: int
    data: bytes
    length: int


class Cutter:
    """Cuts a stream into messages that say how long they are, though the capture may lack some of their bytes.

    The first ``header_bytes`` of a message hold its length, which ``length_of`` reads; 0: this is no message.
    """

    def __init__(self, header_bytes: int, length_of: Callable[[bytes], int]) -> None:
        self._header_bytes, self._length_of = header_bytes, length_of
        self._begin(0)

    def _begin(self, time_ns: int) -> None:
        self._time_ns, self._data, self._read, self._length, self._holed = time_ns, b"", 0, 0, False

    def feed(self, piece: Piece) -> list[Cut]:
        """The messages that end in this piece. What cannot be read is skipped up to the next piece."""
        cuts, place = [], 0
        while place < piece.length:
            if not self._read:
                self._begin(piece.time_ns)
            wanted = (self._length or self._header_bytes) - self._read
            step = min(wanted, piece.length - place)
            part = piece.data[place : place + step]
            if not self._holed:
                self._data += part
            self._holed |= len(part) < step
            self._read, place = self._read + step, place + step
            if not self._length and (self._holed or self._read == self._header_bytes):
                self._length = 0 if self._holed else self._length_of(self._data)
                if self._length < self._header_bytes:
                    cuts.append(Cut(self._time_ns, b"", self._read + piece.length - place))
                    self._begin(0)
                    return cuts
            if self._read == self._length:
                cuts.append(Cut(self._time_ns, self._data, self._length))
                self._begin(0)
        return cuts
