"""Asks its resolver for SRV and address in parallel (draft 4.1, Figure 2)."""

from __future__ import annotations

from dmmlab.nodes.ddns.lookup import CnCache, LookupClient
from dmmlab.nodes.methods.base import Found, Means
from dmmlab.nodes.orders import DNS_PORT, DNS_SERVICE, Order


class Ddns:
    """A stub resolver, with a cache of its own if the scenario says so."""

    asks = True

    def __init__(self, means: Means) -> None:
        if means.resolver is None:
            raise ValueError("DDNS needs a resolver")
        cache = None if means.cn_cache == "off" else CnCache(honour_ttl=means.cn_cache == "ttl")
        self._client = LookupClient((means.resolver, DNS_PORT), family=means.family, cache=cache)

    async def lookup(self, order: Order, _local_address: str, /) -> Found:
        """Asks for service and address; `Found.port` is the one that the DNS has."""
        service = DNS_SERVICE if order.service == "echo" else order.service
        found = await self._client.lookup(order.target, service=service, transport=order.transport)
        if not found.ok:
            return Found("timeout" if found.status == "timeout" else "refused", reason=found.status)
        return Found("ok", found.addresses, found.port, cached=found.cached)

    def distrust(self, order: Order) -> None:
        """Forgets what the correspondent itself remembers of the node."""
        if self._client.cache is not None:
            self._client.cache.forget(order.target)

    async def end(self, found: Found) -> None:
        """Nothing is kept for a session."""
        pass
