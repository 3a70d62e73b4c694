"""Updates and lookups without daemons: what is lost, forged or cut short on the way, and what a correspondent keeps."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.update
from ports import free_port

from dmmlab.nodes.daemons.named import secret_of
from dmmlab.nodes.ddns import CnCache, Found, LookupClient, UpdateClient, Waits
from dmmlab.nodes.ddns.exchange import exchange

ZONE = "dmm.test"
NAMES = ("mn1.dmm.test", "mn2.dmm.test", "mn11.dmm.test", "mn3.dmm.test")
KEYS = {name: secret_of(name.encode().ljust(32, b"!")) for name in NAMES}
QUICK = Waits(first_s=0.2, deadline_s=1.5)


def test_nobody_there_is_a_timeout_and_a_closed_port_no_error() -> None:
    async def scene() -> None:
        waits = Waits(first_s=0.05, deadline_s=0.3)
        nowhere = ("127.0.0.1", free_port())
        found = await LookupClient(nowhere, waits=waits).lookup("mn1.dmm.test")
        assert (found.status, found.addresses) == ("timeout", ()) and found.attempts >= 2
        outcome = await UpdateClient(nowhere, ZONE, NAMES[0], KEYS[NAMES[0]], waits=waits).update(["10.0.0.1"], 1, 5)
        assert outcome.status == "timeout" and outcome.attempts >= 2

    asyncio.run(scene())


class Lossy(asyncio.DatagramProtocol):
    """Answers every third query, and the TCP bit when ``truncated``."""

    def __init__(self, reply: Callable[[dns.message.Message], bytes], every: int) -> None:
        self.reply, self.every, self.count = reply, every, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.count += 1
        self.transport.sendto(b"noise", address)
        if self.count % self.every == 0:
            self.transport.sendto(self.reply(dns.message.from_wire(data)), address)


def test_a_lost_query_is_repeated_and_noise_ignored() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        answer = lambda query: dns.message.make_response(query).to_wire()  # noqa: E731
        transport, _ = await loop.create_datagram_endpoint(lambda: Lossy(answer, 3), ("127.0.0.1", 0))
        query = dns.message.make_query("a.test", "A")
        server = transport.get_extra_info("sockname")

        def parse(data: bytes) -> dns.message.Message | None:
            return None if data == b"noise" else dns.message.from_wire(data)

        done = await exchange(query.to_wire(), server, parse, waits=Waits(first_s=0.02))
        assert (done.attempts, done.transport) == (3, "udp") and done.answer is not None
        transport.close()

    asyncio.run(scene())


class OffPath(asyncio.DatagramProtocol):
    """Before the server's answer come those of somebody who has to guess: from elsewhere, of another ID or question."""

    def __init__(self) -> None:
        self.elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        forged = self.answer(query, "6.6.6.6")
        self.elsewhere.sendto(forged, address)
        for guess in range(1, 200):
            self.transport.sendto(((query.id + guess) % 65536).to_bytes(2, "big") + forged[2:], address)
        other = dns.message.make_query("other.test", query.question[0].rdtype)
        other.id = query.id
        self.transport.sendto(self.answer(other, "6.6.6.6"), address)
        self.transport.sendto(data, address)
        self.transport.sendto(self.answer(query, "10.1.0.2"), address)

    @staticmethod
    def answer(query: dns.message.Message, address: str) -> bytes:
        answer, name = dns.message.make_response(query), query.question[0].name
        kind = query.question[0].rdtype
        text = address if kind == dns.rdatatype.A else f"0 0 7 {name}"
        answer.answer.append(dns.rrset.from_text(name, 5, "IN", dns.rdatatype.to_text(kind), text))
        wire: bytes = answer.to_wire()
        return wire


def test_an_answer_from_off_the_path_is_no_answer() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(OffPath, ("127.0.0.1", 0))
        found = await LookupClient(transport.get_extra_info("sockname")).lookup("mn1.test")
        assert (found.status, found.addresses, found.port) == ("ok", ("10.1.0.2",), 7)
        transport.close()
        server.elsewhere.close()

    asyncio.run(scene())


def test_what_nobody_signed_says_nothing_of_an_update() -> None:
    """From the server's address and with the update's ID: else somebody could keep a node's name at an old address."""

    class Forger(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
            self.transport = transport

        def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
            for code in (dns.rcode.NOERROR, dns.rcode.REFUSED):
                said = dns.update.UpdateMessage(ZONE, id=int.from_bytes(data[:2], "big"))
                said.flags |= dns.flags.QR
                said.set_rcode(code)
                self.transport.sendto(said.to_wire(), address)

    async def scene() -> None:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Forger, ("127.0.0.1", 0))
        server = transport.get_extra_info("sockname")
        waits = Waits(first_s=0.05, deadline_s=0.3)
        told = await UpdateClient(server, ZONE, NAMES[0], KEYS[NAMES[0]], waits=waits).update(["10.1.0.2"], 1, 5)
        transport.close()
        assert told.status == "timeout"

    asyncio.run(scene())


def test_a_truncated_answer_is_asked_for_over_tcp() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        wire = dns.message.make_response(dns.message.from_wire(data)).to_wire()
        writer.write(len(wire).to_bytes(2, "big") + wire)
        writer.close()

    def truncated(query: dns.message.Message) -> bytes:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.TC
        wire: bytes = answer.to_wire()
        return wire

    async def scene() -> None:
        stream = await asyncio.start_server(serve, "127.0.0.1", 0)
        server = stream.sockets[0].getsockname()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: Lossy(truncated, 1), server)

        def parse(data: bytes) -> dns.message.Message | None:
            return None if data == b"noise" else dns.message.from_wire(data)

        done = await exchange(dns.message.make_query("a.test", "A").to_wire(), server, parse)
        assert (done.attempts, done.transport) == (2, "tcp")
        transport.close()
        stream.close()
        await stream.wait_closed()

    asyncio.run(scene())


def test_the_cache_of_a_cn_may_ignore_the_ttl() -> None:
    now = [100.0]
    key, found = ("mn1", "dmm", "udp"), Found("ok", ("10.1.0.2",), 7000, 5)
    faithful, draft = (CnCache(honour_ttl=honour, clock=lambda: now[0]) for honour in (True, False))
    for cache in (faithful, draft):
        cache.put(key, Found("nxdomain"))
        assert cache.get(key) is None
        cache.put(key, found)
        now[0] = 104.0
        assert cache.get(key) == Found("ok", ("10.1.0.2",), 7000, 1, attempts=0, cached=True)
        now[0] = 100.0
    now[0] = 105.0
    assert faithful.get(key) is None
    kept = draft.get(key)
    assert kept is not None and kept.addresses == ("10.1.0.2",)
    draft.forget("mn1")
    assert draft.get(key) is None
