"""What a correspondent does to find a mobile node: a method's side on the node, made by name.

A method turns an order into what to open: addresses (the first is tried first) and a port. Which methods there are, and
which class is whose side, the order file says (`dmmlab.experiments.methods` wrote it there).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from dmmlab.nodes.orders import Order
from dmmlab.nodes.registration.desk import Asking
from dmmlab.topologies.addressing import Family


@dataclass(frozen=True)
class Found:
    """What a lookup gave: ``outcome`` is ok, timeout or refused (then with a reason); ``cached`` by the CN itself.

    ``relayed`` is the number of the session at the registration server, where that carries it.
    """

    outcome: str
    addresses: tuple[str, ...] = ()
    port: int = 0
    reason: str = ""
    cached: bool = False
    relayed: int | None = None


@dataclass(frozen=True)
class Means:
    """What a correspondent has for its methods: its resolver's address, how it caches (off, ttl, forever), its client
    at the registration server, the addresses that it can use. None where the scenario needs none.
    """

    resolver: str | None = None
    cn_cache: str = "off"
    client: Asking | None = None
    family: Family = "ipv4"


class Method(Protocol):
    """A way to find a mobile node. It is made with the `Means` and its parameters as keywords."""

    asks: bool  # whether a lookup may give something else the next time

    async def lookup(self, order: Order, local_address: str, /) -> Found:
        """Finds the order's target; never raises for what the network or a server does."""

    def distrust(self, order: Order) -> None:
        """Nobody answered at what the last lookup gave: the next one must not come from a memory of one's own."""

    async def end(self, found: Found) -> None:
        """The session on what was found is over."""


def load(side: str) -> Any:
    """The class that ``side`` names (``module:Class``); ImportError or AttributeError if there is none."""
    module, _, name = side.partition(":")
    return getattr(import_module(module), name)
