"""Servers on the fake network of `agents_fake`: they speak the real protocols, and remember."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import dns.message
import dns.name
import dns.rdatatype
import dns.tsig
import dns.update
from agents_fake import EPOCH_NS, Address, World

from dmmlab.nodes.registration.bindings import RelayWanted
from dmmlab.nodes.registration.server_core import ServerCore
from dmmlab.nodes.registration.wire import MessageType, decode


class FakeRegistrationServer:
    """The real core of the registration server, on the fake network. What is in ``deaf_to`` it never gets."""

    def __init__(self, of: World, host: str, port: int, keys: Mapping[str, bytes]) -> None:
        self.address, self._world = (host, port), of
        self.core = ServerCore(keys, EPOCH_NS, relay_address=host)
        self.deaf_to: set[MessageType] = set()
        self.got: list[MessageType] = []
        self._ports = iter(range(30_000, 40_000))
        of.network.serve(host, port, self.take)

    def take(self, data: bytes, source: Address) -> None:
        kind = decode(data).type
        if kind in self.deaf_to:
            return
        self.got.append(kind)
        now_ns = EPOCH_NS + self._world.clock.ns
        self.core.receive(data, ("udp", *source), now_ns)
        while (event := self.core.next_event()) is not None:
            if isinstance(event, RelayWanted):
                self.core.requests.relay_ready(event.session, next(self._ports), next(self._ports), now_ns)
        self.core.take_changes()
        for answer, peer in self.core.datagrams_to_send():
            self._world.network.post(answer, self.address, (peer[1], peer[2]))

    def addresses(self, node: str) -> tuple[str, ...]:
        """What the node has registered, newest first."""
        binding = self.core.records[node].binding
        return () if binding is None else binding.addresses


class FakeDdns:
    """A DDNS server that takes every update signed with the node's key; ``zone`` has the addresses after each."""

    def __init__(self, of: World, host: str, name: str, secret: str) -> None:
        self._key = dns.tsig.Key(dns.name.from_text(name), base64.b64decode(secret), dns.tsig.HMAC_SHA256)
        self.zone: list[list[str]] = []
        of.network.serve(host, 53, self.take)

    def take(self, data: bytes, _source: Address) -> bytes:
        update = dns.message.from_wire(data, keyring={self._key.name: self._key})
        assert isinstance(update, dns.update.UpdateMessage)
        kinds = [rrset for rrset in update.update if rrset.rdtype == dns.rdatatype.A]
        self.zone.append([record.address for rrset in kinds for record in rrset])
        return bytes(dns.message.make_response(update).to_wire())
