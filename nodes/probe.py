"""The numbered probe: what a session sends, and what the mobile node's service sends back unchanged.

24 bytes, the payload of a voice packet. Over TCP a stream of probes is a sequence of such records, so that the n-th
record stands at byte 24·n of the stream, however the kernel cuts it into segments.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from scapy.fields import IntField, LongField, XIntField
from scapy.packet import Packet

MAGIC = 0x646D6D70  # "dmmp"


class Probe(Packet):  # type: ignore[misc]
    """Session number, sequence number, and when the session meant to send it (ns since the epoch)."""

    name = "Probe"
    fields_desc = [  # noqa: RUF012 - the name and the type are Scapy's
        XIntField("magic", MAGIC),
        IntField("session", 0),
        LongField("sequence", 0),
        LongField("due_ns", 0),
    ]


_NUMBERS = struct.Struct("!QQ")  # the last two fields, in which the probes of a session differ
LOW_SEQUENCE_AT = 12  # where in a probe the lower half of its sequence number is


def probes_of(session: int) -> Callable[[int, int], bytes]:
    """What gives the probe of a session by its sequence number and due time (ns): Scapy makes one, for all of them."""
    head = bytes(Probe(session=session))[: -_NUMBERS.size]
    return lambda sequence, due_ns: head + _NUMBERS.pack(sequence, due_ns)


def sequence_of(answer: bytes) -> int:
    """The sequence number in a probe that came back; 0 in what is too short to be one."""
    return int(_NUMBERS.unpack_from(answer, len(answer) - _NUMBERS.size)[0]) if len(answer) >= _NUMBERS.size else 0
