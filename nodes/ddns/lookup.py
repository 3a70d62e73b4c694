"""A CN's lookups (draft 4.1): SRV and address asked for in parallel, and the cache that the draft lets a CN have."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from dmmlab.nodes.ddns.exchange import Exchanged, Waits, exchange


@dataclass(frozen=True, slots=True)
class Found:
    """What a lookup found.

    ``status`` is ok, nxdomain (no such name), nodata (the name lacks an address or a port), servfail (or another code
    of the resolver, in lower case) or timeout. ``ttl_s`` is the shorter one left of the answers. ``cached`` tells that
    it came from the CN's own cache.
    """

    status: str
    addresses: tuple[str, ...] = ()
    port: int = 0
    ttl_s: int = 0
    attempts: int = 1
    cached: bool = False

    @property
    def ok(self) -> bool:
        """Whether there is an address and a port."""
        return self.status == "ok"


@dataclass(frozen=True, slots=True)
class Identified:
    """What a search for a node gave: a status as in `Found`, and the node's ID."""

    status: str
    node: str = ""


@dataclass
class CnCache:
    """What the CN remembers: as long as the TTL allows or, as the draft has it, for good (``honour_ttl`` False)."""

    honour_ttl: bool = False
    clock: Callable[[], float] = time.monotonic
    _kept: dict[tuple[str, str, str], tuple[float, Found]] = field(default_factory=dict)

    def get(self, key: tuple[str, str, str]) -> Found | None:
        """Return what is known by (name, service, transport), or None."""
        until_s, found = self._kept.get(key, (0.0, None))
        if found is None or (self.honour_ttl and self.clock() >= until_s):
            return None
        return replace(found, cached=True, ttl_s=max(0, int(until_s - self.clock())), attempts=0)

    def put(self, key: tuple[str, str, str], found: Found) -> None:
        """Remember a good answer."""
        if found.ok:
            self._kept[key] = (self.clock() + found.ttl_s, found)

    def forget(self, name: str) -> None:
        """Drop what is known of a name, e.g. when nobody answers at the address."""
        self._kept = {key: kept for key, kept in self._kept.items() if key[0] != name}


class LookupClient:
    """The lookups of one CN at its resolver (or at any server); ``family`` says which addresses it can use."""

    def __init__(
        self,
        resolver: tuple[str, int],
        *,
        family: str = "ipv4",
        source: str | None = None,
        cache: CnCache | None = None,
        waits: Waits = Waits(),  # noqa: B008 - frozen
    ) -> None:
        self.cache = cache
        self._resolver, self._source, self._waits = resolver, source, waits
        self._kind = "AAAA" if family == "ipv6" else "A"

    async def lookup(self, name: str, *, service: str = "dmm", transport: str = "udp") -> Found:
        """Return the MN's addresses and port; one round trip, or none when the CN has it cached.

        Raises OSError when ``source`` is no address of ours.
        """
        key = (name, service, transport)
        if self.cache is not None and (kept := self.cache.get(key)) is not None:
            return kept
        found = await self._ask_both(name, f"_{service}._{transport}.{name}")
        if self.cache is not None:
            self.cache.put(key, found)
        return found

    async def discover(self, service: str, zone: str, transport: str = "udp") -> Found:
        """Return a server's address and port by its SRV record in the zone (RFC 2782); two round trips."""
        asked = await self._ask(f"_{service}._{transport}.{zone}", "SRV")
        targets = _records(asked, "SRV")
        if not targets:
            return Found(_status(asked), attempts=asked.attempts)
        best = min(targets, key=lambda record: (record.priority, -record.weight))
        found = _combine(asked, await self._ask(str(best.target), self._kind), self._kind)
        return replace(found, port=best.port) if found.ok else found

    async def find(self, called: str, service: str, zone: str, transport: str = "udp") -> Identified:
        """Return the ID of the node that goes by ``called``, by DNS-SD (RFC 6763): two round trips.

        The service's instances are listed under its name; the instance's TXT record has ``id=…``.
        """
        asked = await self._ask(f"_{service}._{transport}.{zone}", "PTR")
        instances = [record.target for record in _records(asked, "PTR")]
        mine = next((one for one in instances if one.labels[0].decode().lower() == called.lower()), None)
        if mine is None:
            return Identified("nxdomain" if instances else _status(asked))
        told = await self._ask(str(mine), "TXT")
        texts = [text.decode() for record in _records(told, "TXT") for text in record.strings]
        found = next((text.removeprefix("id=") for text in texts if text.startswith("id=")), None)
        return Identified("ok", found) if found else Identified(_status(told))

    async def _ask_both(self, name: str, service_name: str) -> Found:
        pair = await asyncio.gather(self._ask(service_name, "SRV"), self._ask(name, self._kind))
        return _combine(*pair, self._kind)

    async def _ask(self, name: str, kind: str) -> Exchanged:
        query = dns.message.make_query(name, kind)

        def parse(data: bytes) -> dns.message.Message | None:
            try:
                answer = dns.message.from_wire(data)
            except dns.exception.DNSException:
                return None
            return answer if query.is_response(answer) else None

        return await exchange(query.to_wire(), self._resolver, parse, self._source, self._waits)


def _combine(service: Exchanged, address: Exchanged, kind: str) -> Found:
    attempts = max(service.attempts, address.attempts)
    services, addresses = _records(service, "SRV"), _records(address, kind)
    if not services or not addresses:
        bad = [one for one, records in ((service, services), (address, addresses)) if not records]
        return Found(_status(bad[-1]), attempts=attempts)
    answers = [*service.answer.answer, *address.answer.answer]  # type: ignore[union-attr]
    ttl_s = min(rrset.ttl for rrset in answers)
    best = min(services, key=lambda record: (record.priority, -record.weight))
    return Found("ok", tuple(record.address for record in addresses), best.port, ttl_s, attempts)


def _records(done: Exchanged, kind: str) -> list[dns.rdata.Rdata]:
    if done.answer is None:
        return []
    wanted = dns.rdatatype.from_text(kind)
    return [record for rrset in done.answer.answer if rrset.rdtype == wanted for record in rrset]


def _status(done: Exchanged) -> str:
    if done.answer is None:
        return "timeout"
    code = done.answer.rcode()
    return "nodata" if code == dns.rcode.NOERROR else str(dns.rcode.to_text(code)).lower()
