"""The methods against a resolver and the real core of the registration server, on a fake clock and network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import pytest
from agents_fake import EPOCH_NS, World, world
from servers_fake import FakeRegistrationServer

from dmmlab.experiments.methods import METHODS
from dmmlab.nodes.methods.base import Found, Means, Method, load
from dmmlab.nodes.orders import Order
from dmmlab.nodes.registration.client import RegistrationClient
from dmmlab.nodes.registration.client_core import ClientCore, IncomingRequest
from dmmlab.nodes.registration.wire import Message, MessageType, decode

CN, MN, OLD_MN, RESOLVER, SERVER, PORT = "10.2.1.2", "10.1.2.100", "10.1.1.100", "10.2.4.2", "10.2.6.2", 48620
NAME = "mn1.mn.dmm.test"
KEYS = {NAME: b"m" * 32, "cn1.mn.dmm.test": b"c" * 32}
ORDER = Order(
    number=0,
    session="A",
    start_ns=EPOCH_NS,
    method="ddns",
    transport="udp",
    target=NAME,
    address=OLD_MN,
    count=1,
    interval_ns=0,
    size=None,
    seed=1,
    select="latest",
)


def made(name: str, cn_cache: str = "off", client: RegistrationClient | None = None) -> Method:
    """The node's side of a method of the registry."""
    side: Method = load(METHODS[name].side)(Means(RESOLVER, cn_cache, client), **METHODS[name].parameters)
    return side


class Resolver:
    """Knows one name's address and port, for 5 s."""

    def __init__(self, of: World) -> None:
        self.address, self.asked, self.code = MN, list[str](), dns.rcode.NOERROR
        of.network.serve(RESOLVER, 53, self.take)

    def take(self, data: bytes, _source: tuple[str, int]) -> bytes:
        query = dns.message.from_wire(data)
        answer, question = dns.message.make_response(query), query.question[0]
        kind = "SRV" if str(question.name).startswith("_") else "A"
        self.asked.append(kind)
        text = f"0 0 5001 {NAME}." if kind == "SRV" else self.address
        if self.code == dns.rcode.NOERROR:
            answer.answer.append(dns.rrset.from_text(question.name, 5, "IN", kind, text))
        answer.set_rcode(self.code)
        return bytes(answer.to_wire())


@pytest.fixture
def of() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.fixture
def resolver(of: World) -> Resolver:
    return Resolver(of)


def test_fixed_knows_one_address_and_asks_nobody(of: World) -> None:
    found = of.run(made("fixed").lookup(ORDER, CN))
    assert found == Found("ok", (OLD_MN,), 5001)
    assert of.network.sent == [] and of.clock.s == 0


def test_ddns_asks_for_address_and_port_at_once(of: World, resolver: Resolver) -> None:
    found = of.run(made("ddns").lookup(ORDER, CN))
    assert found == Found("ok", (MN,), 5001)
    assert sorted(resolver.asked) == ["A", "SRV"]
    assert of.clock.s == pytest.approx(0.02)  # one round trip


@pytest.mark.parametrize(
    ("cn_cache", "asked"), [("off", [2, 4, 6, 8]), ("ttl", [2, 2, 4, 6]), ("forever", [2, 2, 2, 4])]
)
def test_the_correspondents_own_cache(of: World, resolver: Resolver, cn_cache: str, asked: list[int]) -> None:
    """Asked at once, again, after the TTL, and after nobody answered at what it remembers."""
    method: Any = made("ddns", cn_cache)
    if method._client.cache is not None:
        method._client.cache.clock = lambda: of.clock.s
    counts: list[int] = []
    for before in (lambda: None, lambda: None, lambda: setattr(of.clock, "ns", 10**10), lambda: method.distrust(ORDER)):
        before()
        found = of.run(method.lookup(ORDER, CN))
        counts.append(len(resolver.asked))
        assert found.cached == (len(counts) > 1 and counts[-1] == counts[-2])
    assert counts == asked


def test_no_such_name_is_refused_and_silence_a_timeout(of: World, resolver: Resolver) -> None:
    method = made("ddns")
    resolver.code = dns.rcode.NXDOMAIN
    assert of.run(method.lookup(ORDER, CN)) == Found("refused", reason="nxdomain")
    of.network.silent.add(RESOLVER)
    assert of.run(method.lookup(ORDER, CN)) == Found("timeout", reason="timeout")


def ask(of: World, name: str, order: Order = ORDER) -> tuple[Found, FakeRegistrationServer]:
    """A registered correspondent asks for a registered mobile node, which agrees; then the session ends."""
    of.network.own = [CN]
    server = FakeRegistrationServer(of, SERVER, PORT, KEYS)
    core = ClientCore(NAME, KEYS[NAME], EPOCH_NS)
    message = Message(MessageType.REGISTER, 0, addresses=(MN, OLD_MN), port=5001, service="echo", lifetime_ms=10**6)
    core.start(replace(message, services=(("bulk", 5002),)), 0)

    def agree(data: bytes, source: tuple[str, int]) -> None:
        core.receive(data, of.clock.ns)
        while (event := core.next_event()) is not None:
            if isinstance(event, IncomingRequest):
                answer = Message(MessageType.INCOMING_ANSWER, 0, addresses=(MN,), port=5001, session=event.session)
                core.answer(event.number, answer)
        for answered in core.datagrams_to_send():
            server.take(answered, (MN, 5000))

    async def scene() -> Found:
        for data in core.datagrams_to_send():
            server.take(data, (MN, 5000))
        client = RegistrationClient("cn1.mn.dmm.test", KEYS["cn1.mn.dmm.test"], (SERVER, PORT))
        await client.bind(CN)
        await client.register([CN], 5001, service="echo")
        method = made(name, client=client)
        found = await method.lookup(order, CN)
        await method.end(found)
        await client.close()
        return found

    of.network.on_post = agree
    found: Found = of.run(scene())
    return found, server


def test_p2p_gets_all_addresses_that_the_server_knows(of: World) -> None:
    found, server = ask(of, "p2p")
    assert (found.outcome, found.addresses, found.port) == ("ok", (MN, OLD_MN), 5001)
    assert MessageType.INCOMING_ANSWER not in server.got


def test_combined_gets_what_the_mobile_node_says(of: World) -> None:
    found, server = ask(of, "combined")
    assert (found.outcome, found.addresses, found.port) == ("ok", (MN,), 5001)
    assert server.got[-1] is MessageType.INCOMING_ANSWER


def test_central_gets_the_relay_and_closes_its_session(of: World) -> None:
    found, server = ask(of, "central")
    assert (found.outcome, found.addresses) == ("ok", (SERVER,))
    assert found.relayed is not None and found.port >= 30_000
    assert server.got[-1] is MessageType.SESSION_CLOSE
    assert server.core.requests.sessions == {}


def test_the_request_names_the_service_and_the_port_that_the_session_will_use(of: World) -> None:
    ask(of, "p2p", replace(ORDER, number=7, transport="tcp", size=10, service="bulk"))
    (request,) = [
        message for data in of.network.sent_to(SERVER) if (message := decode(data)).type is MessageType.SERVICE_REQUEST
    ]
    assert (request.service, request.peer_address, request.peer_port) == ("bulk", CN, 20_007)


def test_a_node_that_is_not_registered_is_a_refusal_with_its_reason(of: World) -> None:
    found, _ = ask(of, "p2p", replace(ORDER, target="cn9.mn.dmm.test"))
    assert (found.outcome, found.reason) == ("refused", "unknown_target")
