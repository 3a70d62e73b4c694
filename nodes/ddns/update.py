"""An MN's dynamic updates (RFC 2136, draft 4.1): address and port in one atomic, TSIG-signed message."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.tsig
import dns.update

from dmmlab.nodes.ddns.exchange import Waits, exchange

ALGORITHM = dns.tsig.HMAC_SHA256


@dataclass(frozen=True, slots=True)
class Updated:
    """What became of an update: ``ok``, ``refused`` (``reason`` is the server's code, e.g. notauth) or ``timeout``."""

    status: str
    reason: str = ""
    attempts: int = 1
    transport: str = "udp"

    @property
    def ok(self) -> bool:
        """Whether the zone says what we asked for."""
        return self.status == "ok"


class UpdateClient:
    """The updates of one MN; ``secret`` is the base64 TSIG key that bears the MN's FQDN as its name.

    ``source`` is the address to send from (None: the kernel's choice) and may be set anew after a move,
    as may ``server``.
    """

    def __init__(
        self,
        server: tuple[str, int],
        zone: str,
        name: str,
        secret: str,
        *,
        key_name: str | None = None,
        source: str | None = None,
        waits: Waits = Waits(),  # noqa: B008 - frozen
    ) -> None:
        self.source = source
        self.server, self._zone, self._waits = server, zone, waits
        self._name = dns.name.from_text(name)
        self._key = dns.tsig.Key(dns.name.from_text(key_name or name), base64.b64decode(secret), ALGORITHM)

    async def update(
        self,
        addresses: Sequence[str],
        port: int,
        ttl_s: int,
        *,
        service: str = "dmm",
        transports: Sequence[str] = ("udp", "tcp"),
        keep: Sequence[str] = (),
        more: Mapping[str, int] | None = None,
    ) -> Updated:
        """Replace the MN's addresses (A and AAAA) and its port (SRV) in one message; ``more`` are ports of further
        services, by name.

        Every other address of the MN is removed with it, except those in ``keep``: the old ones, during an overlap.
        Repeating it is harmless, as it states the whole. Raises OSError when ``source`` is no address of ours.
        """
        services = {service: port, **(more or {})}
        message = self._begin(services, transports)
        for address in dict.fromkeys((*addresses, *keep)):
            message.add(self._name, ttl_s, "AAAA" if ":" in address else "A", address)
        for name, number in services.items():
            for transport in transports:
                message.add(self._srv(name, transport), ttl_s, "SRV", f"0 0 {number} {self._name}")
        return await self._send(message)

    async def remove(self, *, service: str = "dmm", transports: Sequence[str] = ("udp", "tcp")) -> Updated:
        """Take the MN's addresses and port out of the zone."""
        return await self._send(self._begin((service,), transports))

    def _begin(self, services: Iterable[str], transports: Sequence[str]) -> dns.update.UpdateMessage:
        message = dns.update.UpdateMessage(self._zone)
        message.use_tsig(self._key)
        for kind in ("A", "AAAA"):
            message.delete(self._name, kind)
        for service in services:
            for transport in transports:
                message.delete(self._srv(service, transport), "SRV")
        return message

    def _srv(self, service: str, transport: str) -> dns.name.Name:
        return dns.name.from_text(f"_{service}._{transport}", self._name)

    async def _send(self, message: dns.update.UpdateMessage) -> Updated:
        wire = message.to_wire()

        def parse(data: bytes) -> dns.message.Message | None:
            try:
                answer = dns.message.from_wire(data, keyring=self._key, request_mac=message.mac)
            except dns.tsig.PeerError:
                raise
            except dns.exception.DNSException:
                return None
            if not message.is_response(answer):
                return None
            return answer if answer.had_tsig else None  # which newer ones of dnspython ask for themselves

        try:
            done = await exchange(wire, self.server, parse, self.source, self._waits)
        except dns.tsig.PeerError as error:  # BADKEY, BADSIG, BADTIME (RFC 8945, 5.2)
            return Updated("refused", type(error).__name__.removeprefix("Peer").lower())
        if done.answer is None:
            return Updated("timeout", attempts=done.attempts)
        code = done.answer.rcode()
        if code != dns.rcode.NOERROR:
            return Updated("refused", dns.rcode.to_text(code).lower(), done.attempts, done.transport)
        return Updated("ok", "", done.attempts, done.transport)
