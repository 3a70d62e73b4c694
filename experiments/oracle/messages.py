"""How many bytes of signalling a move and a session take by each method, and at which ratios two methods cost the same.

Bytes are those of the messages themselves: what UDP carries (of ARP, the whole of it), so that all protocols are
counted on one layer. Sizes follow from the formats: RFC 2131 and 1542 (DHCP: 300 bytes at least), 826 (ARP), 1035 and
6891 (DNS), 2136 and 8945 (updates, signed with HMAC-SHA256), docs/registration.md. Names are compressed where their
writer does so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from dmmlab.experiments.methods import central, combined, ddns, p2p
from dmmlab.experiments.scenario.model import Scenario

_SERVICES = ("echo", "bulk")  # that every node has
_ADDRESS = {"ipv4": 4, "ipv6": 16}
# RFC 1035: header; type and class of a question; what follows a record's name; a pointer. RFC 6891: the OPT record.
_DNS_HEADER, _QUESTION, _RECORD, _POINTER, _OPT = 12, 4, 10, 2, 11
_SRV = 6  # priority, weight, port
_TSIG = _RECORD + 13 + 16 + 32  # behind its name: the algorithm's name, times and lengths, the MAC
_DHCP = 300
_ARP = 28
# docs/registration.md: header and authenticator; what each attribute has before its value.
_HEAD, _ATTRIBUTE = 12 + 16, 2
_PORT, _LIFETIME, _SESSION, _BYTE = (_ATTRIBUTE + size for size in (2, 4, 8, 1))


class Said(NamedTuple):
    """So many messages and bytes."""

    messages: int
    bytes: int

    def __add__(self, other: object) -> Said:
        if not isinstance(other, Said):
            return NotImplemented
        return Said(self.messages + other.messages, self.bytes + other.bytes)


def _said(*sizes: int) -> Said:
    return Said(len(sizes), sum(sizes))


class Sizes:
    """The messages of a scenario, between a mobile node and a correspondent with the IDs (FQDNs) ``name``, ``peer``."""

    def __init__(self, scenario: Scenario, name: str, peer: str) -> None:
        self._address = _ADDRESS[scenario.family]
        self._label, self._zone = len(name.split(".")[0]), len(name.split(".", 1)[1]) + 2
        self._name = len(name.rstrip(".")) + 2  # in the DNS; an attribute's code, length and text take as much
        self._node, self._peer = self._name, len(peer) + _ATTRIBUTE
        services = (*_SERVICES, *(service.name for service in scenario.services))
        self._services = sum(_ATTRIBUTE + 2 + len(service) for service in services)
        self._echo = _ATTRIBUTE + len(_SERVICES[0])

    # -- a move -------------------------------------------------------------------------------------------------
    def lease(self) -> Said:
        """DHCP: discover, offer, request, acknowledge."""
        return _said(*[_DHCP] * 4)

    def router_met(self) -> Said:
        """ARP: a router that the node has not met before is asked for."""
        return _said(_ARP, _ARP)

    def update(self, addresses: int = 1) -> Said:
        """A dynamic update and its answer: what there was is deleted (A, AAAA, two SRV), what there is now added."""
        own, srv = _POINTER + _RECORD, len("\x04_dmm\x04_udp") + _POINTER + _RECORD
        deleted = self._label + 1 + own + own + 2 * srv
        added = addresses * (own + self._address) + 2 * (own + _SRV + self._name)
        zone = _DNS_HEADER + self._zone + _QUESTION
        return _said(zone + deleted + added + _POINTER + _TSIG, zone + self._name + _TSIG)

    def registration(self, addresses: int) -> Said:
        """The node's: with its services, and all addresses that it has."""
        own = self._node + addresses * (_ATTRIBUTE + self._address) + _PORT + self._echo + _LIFETIME + _PORT
        return _said(_HEAD + own + self._services, _HEAD + self._node + _LIFETIME)

    def asker_registration(self) -> Said:
        """The correspondent's."""
        own = self._peer + _ATTRIBUTE + self._address + _PORT + self._echo + _LIFETIME + _PORT
        return _said(_HEAD + own, _HEAD + self._peer + _LIFETIME)

    # -- a session ----------------------------------------------------------------------------------------------
    def asked_resolver(self) -> Said:
        """Address and port, each a question and its answer."""
        return self._questions(0)

    def asked_server(self) -> Said:
        """The same by the resolver, which says what it can take (OPT)."""
        return self._questions(_OPT)

    def _questions(self, more: int) -> Said:
        address, port = self._name, len("\x04_dmm\x04_udp") + self._name
        asked = [_DNS_HEADER + name + _QUESTION + more for name in (address, port)]
        answers = (self._address, _SRV + self._name)
        return _said(*asked, *(size + _POINTER + _RECORD + data for size, data in zip(asked, answers, strict=True)))

    def request(self, method: str, addresses: int) -> Said:
        """A service request and what follows until its answer, of a node that has so many addresses."""
        asks = _HEAD + self._node + self._peer + self._echo + 2 * _BYTE + _ATTRIBUTE + self._address + _PORT
        known = addresses * (_ATTRIBUTE + self._address)
        answers = _HEAD + _PORT + self._echo
        if method == p2p.METHOD.name:
            return _said(asks, answers + self._peer + known)
        agreed = answers + self._node + known
        if method == combined.METHOD.name:
            return _said(asks, asks, agreed, answers + self._peer + known)
        relay = _ATTRIBUTE + self._address
        return _said(
            asks, asks + relay + _PORT + _SESSION, agreed + _SESSION + _BYTE, answers + self._peer + relay + _SESSION
        )

    def end(self, method: str) -> Said:
        """What ends a session: of those that need no server nobody is told."""
        if method != central.METHOD.name:
            return Said(0, 0)
        return _said(*(_HEAD + name + _SESSION for name in (self._peer, self._peer, self._node)))


class Cost(NamedTuple):
    """Bytes of a method: of a session, of each move, of a question that the resolver passes on, and each second."""

    session: float
    move: float
    cold: float
    second: float


def cost(sizes: Sizes, method: str, addresses: int, refresh_s: float) -> Cost:
    """What a method costs while a node has so many addresses and its correspondent registers again so often."""
    if method == ddns.METHOD.name:
        return Cost(sizes.asked_resolver().bytes, sizes.update().bytes, sizes.asked_server().bytes, 0.0)
    session = sizes.request(method, addresses) + sizes.end(method)
    standing = sizes.asker_registration().bytes / refresh_s
    return Cost(session.bytes, sizes.registration(addresses).bytes, 0.0, standing)


def per_session(of: Cost, ratio: float, stay_s: float, life_s: float) -> float:
    """Bytes of a session, its share of moves and of time included, at so many sessions a move, ``stay_s`` between two.

    Of sessions at random, one in 1 + ratio * life / stay finds no copy in the resolver (`staleness`).
    """
    return of.session + of.cold / (1 + ratio * life_s / stay_s) + (of.move + of.second * stay_s) / ratio


def crossing(one: Cost, other: Cost, stay_s: float, life_s: float) -> list[float]:
    """The ratios of sessions to moves at which two methods, of which one at most is cached, cost the same; in order.

    With a, k, u the differences of sessions, cold questions and what is shared, and q = life / stay, they are the
    positive
    roots of a q r^2 + (a + k + u q) r + u = 0.
    """
    least = Cost(*(first - second for first, second in zip(one, other, strict=True)))
    q, shared = life_s / stay_s, least.move + least.second * stay_s
    return sorted(
        root for root in _roots(least.session * q, least.session + least.cold + shared * q, shared) if root > 0
    )


def _roots(a: float, b: float, c: float) -> Iterable[float]:
    if a == 0:
        return () if b == 0 else (-c / b,)
    inside = b * b - 4 * a * c
    return () if inside < 0 else ((-b + math.sqrt(inside)) / (2 * a), (-b - math.sqrt(inside)) / (2 * a))
