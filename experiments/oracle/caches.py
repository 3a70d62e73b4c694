"""What DNS caches hold, as far as a scenario decides it: the resolver's copies of the mobile nodes' records."""

from __future__ import annotations

from math import floor

from dmmlab.experiments.methods.base import DDNS, RESOLVER, CachedAnswer
from dmmlab.experiments.oracle.delays import hosts_s
from dmmlab.experiments.oracle.moves import known_at_s, latest
from dmmlab.experiments.scenario.model import Scenario


class Resolver:
    """The caching resolver of a scenario. It has to be asked in the order of time: an answer is there for the next."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._copies: dict[tuple[str, str], CachedAnswer] = {}

    def answer_s(self, node: str, record: str, at_s: float) -> CachedAnswer | None:
        """Its copy of a record for a question that reaches it at ``at_s``; None if there is no such name yet.

        The resolver counts in whole seconds (RFC 2181 section 8) and uses a record in the second in which its TTL
        ends, and a question that comes while it asks the same itself waits for that answer.
        """
        scenario, copy = self._scenario, self._copies.get((node, record))
        if copy is not None and floor(at_s) <= copy.until_s:
            return copy
        way_s = hosts_s(scenario, RESOLVER, DDNS)
        newest = latest(known_at_s(scenario, node, DDNS), at_s + way_s)
        if newest is None:
            return None
        came_s = at_s + 2 * way_s
        self._copies[node, record] = fresh = CachedAnswer(came_s, newest, floor(came_s) + round(scenario.ddns.ttl))
        return fresh
