"""How a correspondent finds a mobile node: one class a method, one registry.

A method turns an order into what to open: addresses (the first is tried first) and a port. The delay contract of each
stands in docs/methods.md; a new method is one class here and one closed form in experiments/oracle.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dmmlab.nodes.ddns.lookup import CnCache, LookupClient
from dmmlab.nodes.orders import BULK_PORT, SERVICES, CorrespondentFile, Order
from dmmlab.nodes.registration.client import RegistrationClient
from dmmlab.nodes.registration.wire import Mode, Transport

DNS_PORT = 53
DNS_SERVICE = "dmm"  # the MNs' service in SRV owner names: _dmm._udp.mn1.ZONE


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


class Method(Protocol):
    """A way to find a mobile node."""

    async def lookup(self, order: Order, local_address: str) -> Found:
        """Finds the order's target; never raises for what the network or a server does."""

    def distrust(self, order: Order) -> None:
        """Nobody answered at what the last lookup gave: the next one must not come from a memory of one's own."""

    async def end(self, found: Found) -> None:
        """The session on what was found is over."""


class Fixed:
    """No mechanism: the correspondent knows one address, whatever has become of it."""

    async def lookup(self, order: Order, local_address: str) -> Found:
        return Found("ok", (order.address,), SERVICES[order.service])

    def distrust(self, order: Order) -> None:
        pass

    async def end(self, found: Found) -> None:
        pass


class Ddns:
    """Asks its resolver for SRV and address in parallel (draft 4.1, Figure 2)."""

    def __init__(self, resolver: str, cn_cache: str) -> None:
        cache = None if cn_cache == "off" else CnCache(honour_ttl=cn_cache == "ttl")
        self._client = LookupClient((resolver, DNS_PORT), cache=cache)

    async def lookup(self, order: Order, local_address: str) -> Found:
        found = await self._client.lookup(order.target, service=DNS_SERVICE, transport=order.transport)
        if not found.ok:
            return Found("timeout" if found.status == "timeout" else "refused", reason=found.status)
        port = BULK_PORT if order.service == "bulk" else found.port
        return Found("ok", found.addresses, port, cached=found.cached)

    def distrust(self, order: Order) -> None:
        if self._client.cache is not None:
            self._client.cache.forget(order.target)

    async def end(self, found: Found) -> None:
        pass


class Registered:
    """Asks the registration server, in one of its three modes (draft 4.2, Figures 3 to 5)."""

    def __init__(self, client: RegistrationClient, mode: Mode) -> None:
        self._client, self._mode = client, mode

    async def lookup(self, order: Order, local_address: str) -> Found:
        transport = Transport.TCP if order.transport == "tcp" else Transport.UDP
        outcome = await self._client.request(
            order.target,
            self._mode,
            transport,
            service=order.service,
            user_plane=(local_address, order.local_port),
        )
        if not outcome.ok:
            reason = outcome.reason.name.lower() if outcome.reason is not None else outcome.status.value
            return Found("timeout" if outcome.status.value == "timeout" else "refused", reason=reason)
        return Found("ok", outcome.addresses, outcome.port, relayed=outcome.session)

    def distrust(self, order: Order) -> None:
        pass

    async def end(self, found: Found) -> None:
        if self._mode is Mode.CENTRAL and found.relayed is not None:
            await self._client.close_session(found.relayed)


def methods_for(told: CorrespondentFile, client: RegistrationClient | None) -> dict[str, Method]:
    """The methods that this correspondent has the means for, by name."""
    made: dict[str, Method] = {"fixed": Fixed()}
    if told.resolver is not None:
        made["ddns"] = Ddns(told.resolver, told.cn_cache)
    if client is not None:
        made |= {mode.name.lower(): Registered(client, mode) for mode in Mode}
    return made
