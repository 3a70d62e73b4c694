"""The closed form of each session's set-up, of a whole scenario.

Nothing here knows how anything is measured, or how the network is built: link delays, movements and TTLs in, seconds
out. ``setup = lookup + connect`` (docs/methods.md), sums of round trips along configured one-way delays. Processing
takes no time, and where an answer depends on who was faster in the middle of a move, there is no closed form: None.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

from dmmlab.experiments.oracle.delays import host_to_mn_s, hosts_s
from dmmlab.experiments.oracle.moves import known_at_s, latest, redirected_s, serving
from dmmlab.experiments.scenario.model import DDNS, RESOLVER, SERVER, OneSession, Scenario, sessions_of


@dataclass(frozen=True)
class Expectation:
    """Seconds, and the mobile router whose address the session is opened on."""

    lookup_s: float
    connect_s: float
    anchor: str

    @property
    def setup_s(self) -> float:
        return self.lookup_s + self.connect_s


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
            if anchor != at_router and session.at_s + lookup_s < redirected_s(scenario, node, session.at_s):
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

    # -- lookups: seconds, and the anchor of the address that comes of it -----------------------------------------
    def _fixed(self, session: OneSession) -> tuple[float, str] | None:
        return 0.0, session.entry.anchor or self._scenario.moves_of(session.entry.to)[0].to

    def _p2p(self, session: OneSession) -> tuple[float, str] | None:
        way = hosts_s(self._scenario, session.entry.from_, SERVER)
        newest = latest(known_at_s(self._scenario, session.entry.to, SERVER), session.at_s + way)
        return None if newest is None else (2 * way, newest)

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
        newest = latest(known_at_s(scenario, node, DDNS), at_s + way)
        if newest is None:
            return None
        fresh = _Cache()
        fresh.came_s, fresh.answer = at_s + 2 * way, newest
        fresh.until_s = floor(fresh.came_s) + round(scenario.ddns.ttl)
        self._resolver[node, record] = fresh
        return fresh
