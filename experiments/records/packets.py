"""Packets of a capture, as far as records are made from them: who, to whom, when, which bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scapy.utils import RawPcapReader

from dmmlab.experiments.records.pcap import address_text, mac_text

_PCAP_HEADER_BYTES = 24
_ETHERNET_BYTES = 14
_IPV4 = 0x0800
UDP, TCP = 17, 6
SYN = 0x02


@dataclass(frozen=True, slots=True)
class Packet:
    """An IPv4 packet over UDP or TCP. ``time_ns`` since the epoch, by the kernel; ``length`` of the IP packet, bytes.

    ``payload`` may be cut short by the capture, ``payload_bytes`` is its length on the wire. ``sequence`` and ``flags``
    are TCP's (0 for UDP).
    """

    time_ns: int
    from_mac: str
    source: str
    destination: str
    protocol: int
    source_port: int
    destination_port: int
    sequence: int
    flags: int
    length: int
    payload: bytes
    payload_bytes: int


def read(pcap: Path) -> Iterator[Packet]:
    """The UDP and TCP packets in ``pcap``, in the order of the capture; none if it is empty or was never opened."""
    if not pcap.is_file() or pcap.stat().st_size < _PCAP_HEADER_BYTES:
        return
    with RawPcapReader(str(pcap)) as reader:
        for frame, at in reader:
            time_ns = at.sec * 10**9 + at.usec * (1 if reader.nano else 1000)
            packet = _packet(time_ns, frame)
            if packet is not None:
                yield packet


def _packet(time_ns: int, frame: bytes) -> Packet | None:
    if len(frame) < _ETHERNET_BYTES + 20 or struct.unpack_from("!H", frame, 12)[0] != _IPV4:
        return None
    start = _ETHERNET_BYTES
    header_bytes = (frame[start] & 0x0F) * 4
    length, protocol = struct.unpack_from("!H", frame, start + 2)[0], frame[start + 9]
    transport = start + header_bytes
    if protocol == UDP and len(frame) >= transport + 8:
        source_port, destination_port = struct.unpack_from("!HH", frame, transport)
        sequence, flags, payload_at = 0, 0, 8
    elif protocol == TCP and len(frame) >= transport + 20:
        source_port, destination_port, sequence = struct.unpack_from("!HHI", frame, transport)
        payload_at, flags = (frame[transport + 12] >> 4) * 4, frame[transport + 13]
    else:
        return None
    return Packet(
        time_ns=time_ns,
        from_mac=mac_text(frame[6:12]),
        source=address_text(frame[start + 12 : start + 16]),
        destination=address_text(frame[start + 16 : start + 20]),
        protocol=protocol,
        source_port=source_port,
        destination_port=destination_port,
        sequence=sequence,
        flags=flags,
        length=length,
        payload=frame[transport + payload_at : start + length],
        payload_bytes=length - header_bytes - payload_at,
    )
