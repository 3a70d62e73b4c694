"""The sockets of a session over UDP: one to each address that it is opened on, until one of them has answered."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import struct

from dmmlab.nodes import clock
from dmmlab.nodes.orders import DNS_PORT
from dmmlab.nodes.probe import LOW_SEQUENCE_AT, sequence_of

_ATTACH_FILTER = 26  # SO_ATTACH_FILTER, which Python does not name
_UDP_HEADER_BYTES = 8
_FEW = 3  # so many more answers are read as they come: a filter costs a system call, too
# Classic BPF (linux/bpf_common.h): load four bytes, go on if they are a number, and return how much passes.
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06


class Contest:
    """Sockets to a mobile node's addresses; the first to hear from it stays, the others drop out."""

    def __init__(self, loop: asyncio.AbstractEventLoop, last: int) -> None:
        self.runners: list[socket.socket] = []
        self.winner = ""
        self.decided, self.finished = clock.Flag(loop), clock.Flag(loop)
        self._last = last

    def take_answer(self, there: socket.socket, address: str) -> None:
        """Reads an answer from ``address``, and is called again while there are more; the first of all decides."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            answer = there.recv(65535)
            if not self.decided.is_set():
                self.winner, self.runners = address, [there]
                self.decided.set()
                if self._last - sequence_of(answer) > _FEW:
                    hear_only(there, self._last)
            if sequence_of(answer) == self._last and address == self.winner:
                self.finished.set()


def hear_only(there: socket.socket, sequence: int) -> None:
    """Has the kernel drop, on this socket, what does not answer the probe of this number.

    What a session measures is in the capture. Waking up for each answer would cost a host as much as sending.
    """
    steps = (
        (_LOAD, 0, 0, _UDP_HEADER_BYTES + LOW_SEQUENCE_AT),
        (_IF_EQUAL, 0, 1, sequence & 0xFFFFFFFF),
        (_RETURN, 0, 0, 0xFFFF),
        (_RETURN, 0, 0, 0),
    )
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    there.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("@HP", len(steps), ctypes.addressof(program)))


def newest_address(towards: str) -> str:
    """The address that this host uses for what is new, as its kernel has it now (RFC 6724); 0.0.0.0 or ::
    where it has none.
    """
    with socket_for(towards, socket.SOCK_DGRAM) as there:
        with contextlib.suppress(OSError):
            there.connect((towards, DNS_PORT))
        return str(there.getsockname()[0])


def socket_for(address: str, kind: socket.SocketKind) -> socket.socket:
    """A new socket by which ``address`` can be reached."""
    return socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)


def datagrams_to(address: str, port: int, local_port: int) -> socket.socket:
    """A socket that hears from ``address`` only; several may share one ``local_port``."""
    there = socket_for(address, socket.SOCK_DGRAM)
    there.setblocking(False)
    there.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    there.bind(("", local_port))
    there.connect((address, port))
    return there
