"""The numbered probe: what a session sends, and what the mobile node's service sends back unchanged.

24 bytes, the payload of a voice packet. Over TCP a stream of probes is a sequence of such records, so that the n-th
record stands at byte 24·n of the stream, however the kernel cuts it into segments.
"""

from __future__ import annotations

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
