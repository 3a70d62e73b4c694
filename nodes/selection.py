"""Choosing between several addresses of a mobile node: by a race, or by measuring first.

A race opens the session on all addresses at once and goes on with the one that answers first, as RFC 8305 does for
address families (without its head start: the addresses lead to one node, and a packet more is cheap). Measuring first
waits for every answer and then opens the session on the best address.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence

from dmmlab.nodes.probe import Probe


class Race:
    """Sockets to a mobile node's addresses; the first to hear from it stays, the others drop out."""

    def __init__(self, last: int) -> None:
        self.runners: list[socket.socket] = []
        self.winner = ""
        self.decided, self.finished = asyncio.Event(), asyncio.Event()
        self._last = last

    def take_answers(self, there: socket.socket, address: str) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                with contextlib.suppress(ConnectionError):
                    answer = Probe(there.recv(65535))
                    if not self.decided.is_set():
                        self.winner, self.runners = address, [there]
                        self.decided.set()
                    if answer.sequence == self._last and address == self.winner:
                        self.finished.set()


def datagrams_to(address: str, port: int, local_port: int) -> socket.socket:
    """A socket that hears from ``address`` only; several may share one ``local_port``."""
    there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    there.setblocking(False)
    there.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    there.bind(("", local_port))
    there.connect((address, port))
    return there


async def nearest_first(addresses: Sequence[str], port: int, wait_s: float) -> tuple[str, ...]:
    """``addresses`` by their round trips, measured now with one probe each; what does not answer comes last."""
    loop = asyncio.get_running_loop()

    async def measure(address: str) -> float:
        with datagrams_to(address, port, 0) as there:
            began_s = loop.time()
            try:
                there.send(bytes(Probe()))
                await asyncio.wait_for(loop.sock_recv(there, 65535), wait_s)
            except (OSError, TimeoutError):
                return float("inf")
            return loop.time() - began_s

    trips = await asyncio.gather(*(measure(address) for address in addresses))
    return tuple(address for _, address in sorted(zip(trips, addresses, strict=True), key=lambda pair: pair[0]))
