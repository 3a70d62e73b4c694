"""The address with the lowest round trip: every answer is waited for, and then the session is opened on the best."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dmmlab.nodes.datagrams import datagrams_to
from dmmlab.nodes.probe import Probe


class LowestRtt:
    """Measures first."""

    head_start_s: float | None = None

    async def rank(self, node: str, addresses: Sequence[str], port: int, wait_s: float, /) -> tuple[str, ...]:
        """``addresses`` by their round trips, measured now with one probe each; what does not answer comes last."""
        trips_s = await asyncio.gather(*(_round_trip_s(address, port, wait_s) for address in addresses))
        found = dict(zip(addresses, trips_s, strict=True))
        first = self._first(node, found)
        return tuple(sorted(found, key=lambda address: (address != first, found[address])))

    def _first(self, _node: str, found: dict[str, float]) -> str:
        """Which one to use, of round trips in seconds; infinite where nothing came back."""
        return min(found, key=lambda address: found[address])


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
