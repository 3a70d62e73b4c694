"""The address that was used the last time, for as long as the node still has it."""

from __future__ import annotations

from collections.abc import Sequence


class Cached:
    """Keeps what it chose for each node."""

    head_start_s: float | None = None

    def __init__(self) -> None:
        self._used: dict[str, str] = {}

    async def rank(self, node: str, addresses: Sequence[str], _port: int, _wait_s: float, /) -> tuple[str, ...]:
        """The one used before first, then the newest."""
        ranked = sorted(addresses, key=lambda address: address != self._used.get(node))
        self._used[node] = ranked[0]
        return tuple(ranked)
