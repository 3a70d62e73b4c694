"""What a correspondent does to choose between the addresses that a lookup gave it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Policy(Protocol):
    """A way to choose. One object does so for all of a correspondent's sessions by this policy."""

    head_start_s: float | None  # opened on each address so much later than on the one before; None: on the first only

    async def rank(self, node: str, addresses: Sequence[str], port: int, wait_s: float, /) -> tuple[str, ...]:
        """``addresses`` of ``node`` as they are to be tried; the lookup lasts until it returns, ``wait_s`` at most."""
