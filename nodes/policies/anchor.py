"""The oldest address that the node still has: answers name it last."""

from __future__ import annotations

from collections.abc import Sequence


class Anchor:
    """Turns the order round."""

    head_start_s: float | None = None

    async def rank(self, _node: str, addresses: Sequence[str], _port: int, _wait_s: float, /) -> tuple[str, ...]:
        """The oldest first."""
        return tuple(reversed(addresses))
