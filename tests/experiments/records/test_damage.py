"""What a link has damaged is known by its checksums, and nothing else is taken for it."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from dmmlab.experiments.records.damage import sound

ETHERNET = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
SIX = IPv6(src="2001:db8::1", dst="2001:db8::2")
PACKETS = [
    IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=5001) / b"odd",
    IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=5001) / b"even",
    SIX / UDP(sport=1, dport=5001) / b"odd",
    SIX / TCP(sport=1, dport=5001) / b"even",
]


@pytest.mark.parametrize("packet", PACKETS)
def test_any_bit_that_is_changed_behind_the_macs_is_found(packet: Packet) -> None:
    whole = bytes(ETHERNET / packet)
    assert sound(whole)
    unprotected = {14, 15, 16, 17, 21} if IPv6 in packet else set()  # version, class, flow label, hop limit
    for at in set(range(14, len(whole))) - unprotected:
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << bit
            unread = damaged[20 if IPv6 in packet else 23] not in (6, 17) or len(damaged) < _end(damaged)
            assert unread or not sound(bytes(damaged)), (at, bit)


def _end(frame: bytearray) -> int:
    return 54 + int.from_bytes(frame[18:20], "big") if frame[12:14] == b"\x86\xdd" else 0


def test_a_sum_that_was_left_to_a_device_counts_as_sound_and_so_does_what_has_none_or_is_cut_short() -> None:
    whole = bytearray(bytes(ETHERNET / PACKETS[0]))
    pseudo = bytes(whole[26:34]) + bytes([0, 17, 0, 11])
    total = sum(int.from_bytes(pseudo[at : at + 2], "big") for at in range(0, 12, 2))
    whole[40:42] = ((total & 0xFFFF) + (total >> 16)).to_bytes(2, "big")
    assert sound(bytes(whole))
    whole[40:42] = bytes(2)
    assert sound(bytes(whole))
    assert sound(bytes(ETHERNET / PACKETS[1])[:50])
    assert sound(bytes(ETHERNET / ARP()))
