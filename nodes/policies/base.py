"""What a correspondent does to choose between the addresses that a lookup gave it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Policy(Protocol):
    """A way to choose."""

    at_once: bool  # open on all addresses, and go on with the one that answers first

    async def rank(self, addresses: Sequence[str], port: int, wait_s: float, /) -> tuple[str, ...]:
        """``addresses`` as they are to be tried; the lookup lasts until this returns, ``wait_s`` more at the most."""
