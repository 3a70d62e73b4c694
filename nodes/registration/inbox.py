"""The server's datagram socket: what has come, in turns, and what is done when more comes than can be served."""

import contextlib
import socket
import struct
import time
from collections.abc import Callable

from dmmlab.nodes.registration.bindings import Peer

BATCH = 256  # datagrams served in a turn, and in one transaction, at most
BUFFER_BYTES = 4 << 20
# So long it may be behind with what waits for it: a burst is served, if late. From then on whatever has waited for
# longer than a request may is turned away, so that what is served is served soon; up to so many for each turn, and the
# rest is dropped, as to refuse all would leave no time to serve. (Controlled delay: Maurer, Fail at Scale, ACM Queue
# 13(8), 2015, after RFC 8289.)
PATIENCE_S, REQUEST_WAIT_S = 0.2, 0.05
MOST_TURNED_AWAY, MOST_DROPPED = 2 * BATCH, 65_536
SO_TIMESTAMPNS, SO_RCVBUFFORCE = 35, 33  # asm-generic/socket.h
_STAMP = struct.Struct("@qq")  # struct timespec: CLOCK_REALTIME, when the kernel got it
_STAMP_SPACE = socket.CMSG_SPACE(_STAMP.size)

Take = Callable[[bytes, Peer, int], object]  # a datagram, where from, and now (ns)


class Inbox:
    """A UDP socket at ``host`` and ``port`` (0: any that is free). Raises OSError. ``now_ns`` is the server's clock."""

    def __init__(self, host: str, port: int, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        with contextlib.suppress(PermissionError):  # only root may have more than net.core.rmem_max
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        try:
            self.socket.bind((host, port))
        except OSError:
            self.socket.close()
            raise
        self.port = int(self.socket.getsockname()[1])
        self._behind_s: float | None = None  # since when it has not come to the end of what waits

    def take_turn(self, take: Take, turn_away: Take) -> None:
        """Hand on what has come, the oldest first, up to `BATCH` of them; turn away what came too long ago if that has
        been so for a while.
        """
        now_ns = self._now_ns()
        patient = self._behind_s is None or time.monotonic() - self._behind_s <= PATIENCE_S
        oldest_ns = 0 if patient else time.time_ns() - round(REQUEST_WAIT_S * 1e9)  # by the kernel's clock
        taken = late = 0
        while taken < BATCH and late < MOST_DROPPED:
            try:
                data, stamps, _, address = self.socket.recvmsg(2048, _STAMP_SPACE)
            except BlockingIOError:
                if not late:
                    self._behind_s = None
                return
            except OSError:
                continue  # an ICMP error of an earlier answer
            if patient or _came_ns(stamps) >= oldest_ns:
                take(data, ("udp", address[0], address[1]), now_ns)
                taken += 1
                continue
            late += 1
            if late <= MOST_TURNED_AWAY:
                turn_away(data, ("udp", address[0], address[1]), now_ns)
        if self._behind_s is None:
            self._behind_s = time.monotonic()

    def send(self, data: bytes, address: tuple[object, ...]) -> None:
        """Send a datagram; raises OSError."""
        self.socket.sendto(data, address)

    def close(self) -> None:
        """Take no more."""
        self.socket.close()


def _came_ns(stamps: list[tuple[int, int, bytes]]) -> int:
    """When the kernel got a datagram."""
    seconds, nanoseconds = _STAMP.unpack(stamps[0][2])
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
