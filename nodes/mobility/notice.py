"""A node hears from its radio that it will lose its link, and tells the network before it does.

What a radio knows by the strength of signals (a link-layer trigger: link going down) is a datagram on a Unix socket
here, from whoever plays the radio. What the node then sends over the link that it still has is what RFC 5568 has as
fast binding update: that it leaves, in what time, and for which access point. It is a UDP datagram to its router, which
the access switch hands to the controller.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PORT = 4605  # of the announcement; the node's own is the same
_MAGIC, _VERSION = 0x646D6D6C, 1  # "dmml"
_MESSAGE = struct.Struct("!IB3xQQ")  # magic, version, access point, microseconds


@dataclass(frozen=True)
class Notice:
    """The radio has to leave for the access point ``to`` (its datapath id) in ``lead_s`` seconds."""

    to: int
    lead_s: float

    def message(self) -> bytes:
        """What is announced: 24 bytes."""
        return _MESSAGE.pack(_MAGIC, _VERSION, self.to, round(self.lead_s * 1e6))

    def send(self, where: Path) -> None:
        """Tells the node that listens at ``where``; nobody, if it is not there."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as radio, contextlib.suppress(OSError):
            radio.sendto(self.message(), str(where))

    @classmethod
    def read(cls, message: bytes) -> Notice:
        """What `message` made; ValueError for anything else."""
        if len(message) != _MESSAGE.size:
            raise ValueError(f"{len(message)} bytes are no notice")
        magic, version, to, lead_us = _MESSAGE.unpack(message)
        if (magic, version) != (_MAGIC, _VERSION):
            raise ValueError("that is no notice")
        return cls(to, lead_us / 1e6)


def listen(where: Path, heard: Callable[[Notice], None]) -> None:
    """Calls ``heard`` with what a radio says at ``where``, for as long as the running event loop does."""
    there = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    there.setblocking(False)
    where.unlink(missing_ok=True)  # of whoever listened here before
    there.bind(str(where))

    def take() -> None:
        with contextlib.suppress(BlockingIOError):
            heard(Notice.read(there.recv(_MESSAGE.size + 1)))

    asyncio.get_running_loop().add_reader(there, take)
