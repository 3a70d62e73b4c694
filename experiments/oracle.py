"""The closed forms: what a session set-up and a round trip must take, from the scenario alone.

Nothing here knows how anything is measured, or how the network is built: link delays, movements and TTLs in, seconds
out. ``setup = lookup + connect`` (docs/methods.md), sums of round trips along configured one-way delays. Processing
takes no time, and where an answer depends on who was faster in the middle of a move, there is no closed form: None.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from math import floor

from dmmlab.experiments.scenario import (
    CONTROLLER,
    CORE,
    DDNS,
    RADIO,
    RESOLVER,
    SERVER,
    SWITCHES,
    OneSession,
    Scenario,
    sessions_of,
)

_DHCP_MESSAGES = 4  # RFC 2131: discover, offer, request, acknowledge, each once over the radio link
_ARP_MESSAGES = 2  # RFC 826: the new router is asked for once there is an address to ask from


@dataclass(frozen=True)
class Expectation:
    """Seconds, and the mobile router whose address the session is opened on."""

    lookup_s: float
    connect_s: float
    anchor: str

    @property
    def setup_s(self) -> float:
        return self.lookup_s + self.connect_s


def serving(scenario: Scenario, node: str, at_s: float) -> str | None:
    """The mobile router that ``node`` is attached to at ``at_s``; None before its first attachment and in a gap."""
    router: str | None = None
    for turn, move in enumerate(scenario.moves_of(node)):
        if at_s < move.at:
            break
        router = move.to if turn == 0 or at_s >= move.at + move.gap else None
    return router


def to_core_s(scenario: Scenario, node: str) -> float:
    """One-way delay between the core and host or mobile router ``node``."""
    link = scenario.link(node, CORE)
    return 0.0 if link is None else link.delay


def inter_mr_s(scenario: Scenario, one: str, other: str) -> float | None:
    """One-way delay of the shortest way over inter-MR links (Dijkstra); None if there is none."""
    reached, heap = set[str](), [(0.0, one)]
    while heap:
        delay, router = heapq.heappop(heap)
        if router == other:
            return delay
        if router in reached:
            continue
        reached.add(router)
        for link in scenario.links:
            if router in link.between and set(link.between) <= set(scenario.mobile_routers):
                far = link.between[0] if link.between[1] == router else link.between[1]
                heapq.heappush(heap, (delay + link.delay, far))
    return None


def host_to_mn_s(scenario: Scenario, host: str, node: str, anchor: str, at_router: str) -> float | None:
    """One-way delay from ``host`` to ``node`` by its address of ``anchor``, while ``at_router`` serves it.

    By the redirect where the two differ: None if there is no redirect or no inter-MR way.
    """
    radio = scenario.link(RADIO, node)
    across = inter_mr_s(scenario, anchor, at_router) if anchor == at_router or scenario.redirect else None
    if across is None or radio is None:
        return None
    return to_core_s(scenario, host) + to_core_s(scenario, anchor) + across + radio.delay


def hosts_s(scenario: Scenario, one: str, other: str) -> float:
    """One-way delay between two hosts on the core."""
    return to_core_s(scenario, one) + to_core_s(scenario, other)


def known_at_s(scenario: Scenario, node: str, host: str) -> list[tuple[float, str]]:
    """When ``host`` learns of each of ``node``'s addresses, in order: seconds, and the mobile router it is from.

    The node has an address after one DHCP exchange over the radio, knows its router after one more exchange, and one
    message takes the news to the host.
    """
    known = []
    for turn, move in enumerate(scenario.moves_of(node)):
        attached_s = move.at + (move.gap if turn else 0.0)
        way = host_to_mn_s(scenario, host, node, move.to, move.to)
        known.append(
            (attached_s + (_DHCP_MESSAGES + _ARP_MESSAGES) * _delay(scenario, RADIO, node) + (way or 0.0), move.to)
        )
    return known


def _delay(scenario: Scenario, one: str, other: str) -> float:
    link = scenario.link(one, other)
    return 0.0 if link is None else link.delay


def _latest(known: Iterable[tuple[float, str]], at_s: float) -> str | None:
    return next((router for since_s, router in reversed(list(known)) if since_s <= at_s), None)


class _Cache:
    """One DNS record in a cache: when it came, what it said, how long it may be used."""

    def __init__(self) -> None:
        self.came_s, self.answer, self.until_s = float("inf"), "", float("-inf")


class Oracle:
    """The closed form of each session of a scenario. Sessions by `ddns` share a resolver, so their order matters."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._resolver: dict[tuple[str, str], _Cache] = {}
        self._cn: dict[tuple[str, str, str], tuple[float, str]] = {}
        self._expected: dict[int, Expectation | None] = {}
        self._answers: dict[int, str] = {}
        for session in sorted(sessions_of(scenario), key=lambda one: (one.at_s, one.number)):
            self._expected[session.number] = self._expect(session)

    def of(self, session: OneSession) -> Expectation | None:
        """What ``session`` must take; None where there is no closed form, or where it cannot be set up at all."""
        return self._expected[session.number]

    def answer(self, session: OneSession) -> str | None:
        """The mobile router whose address the first lookup of ``session`` gives; perhaps nobody answers there."""
        return self._answers.get(session.number)

    def _expect(self, session: OneSession) -> Expectation | None:
        scenario, node, cn = self._scenario, session.entry.to, session.entry.from_
        found = {
            "fixed": self._fixed,
            "ddns": self._ddns,
            "p2p": self._p2p,
            "central": self._through_mn,
            "combined": self._through_mn,
        }[session.method](session)
        if found is not None:
            self._answers[session.number] = found[1]
        at_router = serving(scenario, node, session.at_s)
        if found is None or at_router is None:
            return None
        lookup_s, anchor = found
        if session.entry.select != "latest":
            lookup_s, anchor = self._selected(session, lookup_s, at_router)
        if session.method == "central":
            server_mn = host_to_mn_s(scenario, SERVER, node, at_router, at_router)
            one_way = None if server_mn is None else hosts_s(scenario, cn, SERVER) + server_mn
        else:
            one_way = host_to_mn_s(scenario, cn, node, anchor, at_router)
            if anchor != at_router and session.at_s + lookup_s < self._redirected_s(node, session.at_s):
                return None
        if one_way is None:
            return None
        connect_s = 2 * one_way * (1 if session.transport == "udp" else 2)
        over_s = session.at_s + lookup_s + connect_s
        if any(session.at_s < move.at <= over_s for move in scenario.moves_of(node)):
            return None
        return Expectation(lookup_s, connect_s, anchor)

    def _selected(self, session: OneSession, lookup_s: float, at_router: str) -> tuple[float, str]:
        """The best of all addresses that the node has by then; measuring them first takes the longest round trip.

        The node keeps every address that it ever had and names them all to the server.
        """
        node, cn = session.entry.to, session.entry.from_
        ways = {}
        for move in self._scenario.moves_of(node):
            way = host_to_mn_s(self._scenario, cn, node, move.to, at_router)
            if move.at <= session.at_s and way is not None:
                ways[move.to] = way
        measured_s = 2 * max(ways.values()) if session.entry.select == "lowest-rtt" else 0.0
        return lookup_s + measured_s, min(ways, key=lambda anchor: ways[anchor])

    def _redirected_s(self, node: str, at_s: float) -> float:
        """When the redirect of the last move before ``at_s`` is in force: first frame, packet-in, flow-mods."""
        move = [move for move in self._scenario.moves_of(node) if move.at <= at_s][-1]
        return (
            move.at + move.gap + _delay(self._scenario, RADIO, node) + 2 * _delay(self._scenario, CONTROLLER, SWITCHES)
        )

    # -- lookups: seconds, and the anchor of the address that comes of it -----------------------------------------
    def _fixed(self, session: OneSession) -> tuple[float, str] | None:
        return 0.0, session.entry.anchor or self._scenario.moves_of(session.entry.to)[0].to

    def _p2p(self, session: OneSession) -> tuple[float, str] | None:
        way = hosts_s(self._scenario, session.entry.from_, SERVER)
        latest = _latest(known_at_s(self._scenario, session.entry.to, SERVER), session.at_s + way)
        return None if latest is None else (2 * way, latest)

    def _through_mn(self, session: OneSession) -> tuple[float, str] | None:
        """The server asks the mobile node, which answers with the address that it has."""
        scenario, node = self._scenario, session.entry.to
        found, at_router = self._p2p(session), serving(scenario, node, session.at_s)
        if found is None or found[1] != at_router:
            return None
        server_mn = host_to_mn_s(scenario, SERVER, node, at_router, at_router)
        return None if server_mn is None else (found[0] + 2 * server_mn, at_router)

    def _ddns(self, session: OneSession) -> tuple[float, str] | None:
        """Address and port are asked for in parallel: the later answer ends the lookup."""
        scenario, cn, node = self._scenario, session.entry.from_, session.entry.to
        key, mode = (cn, node, session.transport), scenario.ddns.cn_cache
        until_s, kept = self._cn.get(key, (float("-inf"), ""))
        if mode != "off" and session.at_s < until_s:
            return 0.0, kept
        to_resolver = hosts_s(scenario, cn, RESOLVER)
        arrives_s = session.at_s + to_resolver
        answers = [self._resolve(node, record, arrives_s) for record in ("A", session.transport)]
        if answers[0] is None or answers[1] is None:
            return None
        answered_s = max(answer.came_s for answer in answers if answer is not None) + to_resolver
        answered_s = max(answered_s, session.at_s + 2 * to_resolver)
        left_s = floor(answers[0].until_s) - floor(max(arrives_s, answers[0].came_s))
        if mode != "off":
            self._cn[key] = (float("inf") if mode == "forever" else answered_s + left_s, answers[0].answer)
        return answered_s - session.at_s, answers[0].answer

    def _resolve(self, node: str, record: str, at_s: float) -> _Cache | None:
        """The resolver's copy of a record for a question that arrives at ``at_s``; None if there is no such name yet.

        The resolver counts in whole seconds (RFC 2181 section 8) and uses a record in the second in which its TTL
        ends, and a question that comes while it asks the same itself waits for that answer.
        """
        scenario, copy = self._scenario, self._resolver.get((node, record))
        if copy is not None and floor(at_s) <= copy.until_s:
            return copy
        way = hosts_s(scenario, RESOLVER, DDNS)
        latest = _latest(known_at_s(scenario, node, DDNS), at_s + way)
        if latest is None:
            return None
        fresh = _Cache()
        fresh.came_s, fresh.answer = at_s + 2 * way, latest
        fresh.until_s = floor(fresh.came_s) + round(scenario.ddns.ttl)
        self._resolver[node, record] = fresh
        return fresh
