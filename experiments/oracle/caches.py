"""What DNS caches hold, as far as a scenario decides it: the resolver's copies of the mobile nodes' records."""

from __future__ import annotations

from math import floor, inf

from dmmlab.experiments.methods.base import DDNS, RESOLVER, CachedAnswer
from dmmlab.experiments.oracle.delays import hosts_s
from dmmlab.experiments.oracle.moves import discovered_s, known_at_s, latest
from dmmlab.experiments.scenario.model import Scenario


class Resolver:
    """The caching resolver of a scenario. It has to be asked in the order of time: an answer is there for the next."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._copies: dict[tuple[str, str], CachedAnswer] = {}
        self._missing: dict[tuple[str, str], float] = {}  # until when (s) it believes that there is no such name
        self._doubtful: dict[str, float] = {}  # by node, until when (s) nobody knows what it has

    def answer_s(self, node: str, record: str, at_s: float) -> CachedAnswer | None:
        """Its copy of a record for a question that reaches it at ``at_s``; None if there is no such name yet, or it
        believes so (RFC 2308), or cannot be known.

        The resolver counts in whole seconds (RFC 2181 section 8) and uses a record in the second in which its TTL
        ends, and a question that comes while it asks the same itself waits for that answer.
        """
        scenario, copy = self._scenario, self._copies.get((node, record))
        if copy is not None and floor(at_s) <= copy.until_s:
            return copy
        if at_s <= self._doubtful.get(node, -1.0):
            self.doubt(node, at_s)
            return None
        if floor(at_s) <= self._missing.get((node, record), -1.0):
            return None
        way_s = hosts_s(scenario, RESOLVER, DDNS)
        came_s, ttl_s = at_s + 2 * way_s, round(scenario.ddns.ttl)
        known = known_at_s(scenario, node, DDNS)
        newest = latest(known, at_s + way_s)
        if newest is None and at_s + way_s > known[0][0] - discovered_s(scenario, node, DDNS, known[0][1]):
            self.doubt(node, at_s)
        elif newest is None:
            self._missing[node, record] = floor(came_s) + ttl_s
        else:
            self._copies[node, record] = CachedAnswer(came_s, newest, floor(came_s) + ttl_s)
        return None if newest is None else self._copies[node, record]

    def doubt(self, node: str, until_s: float, from_s: float = inf) -> None:
        """Somebody may ask for ``node``, once or more until ``until_s``, and nobody knows when: nor what it has learned
        from ``from_s`` on.
        """
        self._copies = {key: copy for key, copy in self._copies.items() if key[0] != node or copy.came_s < from_s}
        kept_s = until_s + 2 * hosts_s(self._scenario, RESOLVER, DDNS) + round(self._scenario.ddns.ttl) + 1
        self._doubtful[node] = max(kept_s, self._doubtful.get(node, 0.0))
