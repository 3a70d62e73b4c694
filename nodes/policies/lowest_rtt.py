"""The address with the lowest round trip: every answer is waited for, and then the session is opened on the best."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dmmlab.nodes.datagrams import datagrams_to
from dmmlab.nodes.probe import Probe


class LowestRtt:
    """Measures first."""

    at_once = False

    async def rank(self, addresses: Sequence[str], port: int, wait_s: float, /) -> tuple[str, ...]:
        """``addresses`` by their round trips, measured now with one probe each; what does not answer comes last."""
        trips_s = await asyncio.gather(*(_round_trip_s(address, port, wait_s) for address in addresses))
        return tuple(address for _, address in sorted(zip(trips_s, addresses, strict=True), key=lambda pair: pair[0]))


async def _round_trip_s(address: str, port: int, wait_s: float) -> float:
    loop = asyncio.get_running_loop()
    with datagrams_to(address, port, 0) as there:
        began_s = loop.time()
        try:
            there.send(bytes(Probe()))
            await asyncio.wait_for(loop.sock_recv(there, 65535), wait_s)
        except (OSError, TimeoutError):
            return float("inf")
        return loop.time() - began_s
