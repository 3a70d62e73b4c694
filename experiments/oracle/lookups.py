"""What each session's lookup must take and find, of a whole scenario, in the order in which the servers are asked.

A session that hears nothing looks the node up again (`retry`), which fills caches for others: so these are here, too.
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from math import inf

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import MN, RESOLVER, SERVER, Lookup
from dmmlab.experiments.oracle.delays import Place, path_s
from dmmlab.experiments.oracle.moves import configured_s, kept, place, redirected_s, released_s, serving, unsettled
from dmmlab.experiments.oracle.world import ScenarioWorld
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of

_ASKED_S = 10.0  # as long at most a question is repeated that is not answered (docs/ddns.md)


class Lookups:
    """The lookups of a scenario's sessions."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario, self._world = scenario, ScenarioWorld(scenario)
        self._found: dict[int, Lookup | None] = {}
        self._unsure: set[tuple[str, str, str]] = set()  # whose own caches nobody can know: method, opener, node
        asking = [(self._arrives_s(session), session.number, 0, session) for session in sessions_of(scenario)]
        heapq.heapify(asking)
        while asking:
            _, number, attempt, session = heapq.heappop(asking)
            lookup = self._look_up(session, again=attempt > 0)
            self._found.setdefault(number, lookup)
            again_s = self._again_s(session, lookup) if METHODS[session.method].cached else None
            if again_s is not None and attempt + 1 < scenario.retry.attempts:
                later = replace(session, at_s=again_s)
                heapq.heappush(asking, (self._arrives_s(later), number, attempt + 1, later))

    def of(self, session: SessionSpec) -> Lookup | None:
        """What the first lookup of ``session`` takes and finds; None where there is no closed form."""
        return self._found[session.number]

    def _arrives_s(self, session: SessionSpec) -> float:
        """When it asks whoever may have been asked before by others."""
        if not METHODS[session.method].cached or RESOLVER not in self._scenario.hosts:
            return session.at_s
        return session.at_s + (self._world.way_s(session.cn, RESOLVER, session.at_s) or 0.0)

    def _look_up(self, session: SessionSpec, again: bool) -> Lookup | None:
        scenario, world, method = self._scenario, self._world, METHODS[session.method]
        whose = (session.method, session.cn, session.mn)
        if again:  # it distrusts what it remembers itself
            world.remembered = {key: kept for key, kept in world.remembered.items() if key[:3] != whose}
        waits_s = self._connects_s(session) if SERVER in method.needs else 0.0
        lookup = None if waits_s is None else method.closed_form(world, replace(session, at_s=session.at_s + waits_s))
        if lookup is not None and waits_s:
            lookup = Lookup(waits_s + lookup.lookup_s, lookup.anchor)
        if lookup is not None and (SERVER, MN) in method.asks and self._asks_in_vain(session, lookup):
            lookup = None
        if method.cached:
            over_s = session.at_s + (_ASKED_S if lookup is None else lookup.lookup_s)
            moving = any(session.at_s < move.at <= over_s for move in scenario.moves_of(session.cn))
            lost = place(scenario, session.cn, session.at_s) is None or unsettled(scenario, session.cn, session.at_s)
            if moving or lost:
                self._doubt(session, session.at_s + _ASKED_S, session.at_s)
        return None if whose in self._unsure and world.cn_cache != "off" else lookup

    def _connects_s(self, session: SessionSpec) -> float | None:
        """How long a mobile opener still needs for its connection to the server (``control: tcp``), which it opens from
        each new address: what it asks meanwhile waits for that. None between two addresses: the connection before is on
        a redirect that may not be in force, and may be closed before it has answered.
        """
        scenario, moves = self._scenario, self._scenario.moves_of(session.cn)
        turn = sum(move.at <= session.at_s for move in moves) - 1
        if scenario.registration.control == "udp" or turn < 0:
            return 0.0
        came_s = moves[turn].at + (moves[turn].gap if turn else 0.0)
        known_s = came_s + configured_s(scenario, session.cn, turn)
        way_s = self._world.way_s(session.cn, SERVER, known_s)
        if session.at_s < known_s or way_s is None:
            return None
        return max(0.0, known_s + 2 * way_s - session.at_s)

    def _asks_in_vain(self, session: SessionSpec, lookup: Lookup) -> bool:
        """Whether the server asks the node by an address that it has dropped, and not yet told it of the next; or by
        one that routers may keep what is sent to.
        """
        way_s = self._world.way_s(session.cn, SERVER, session.at_s) or 0.0
        asked = self._world.known(session.mn, SERVER, session.at_s + way_s)
        over_s = session.at_s + lookup.lookup_s
        if asked is not None and kept(self._scenario, session.mn, asked, session.at_s, over_s):
            return True
        return asked is not None and released_s(self._scenario, session.mn, asked, session.at_s) <= over_s

    def _again_s(self, session: SessionSpec, lookup: Lookup | None) -> float | None:
        """When it looks the node up again, because it has certainly heard nothing by then; None if it has, or nobody
        knows.
        """
        if lookup is None:
            return None
        scenario, ends = self._scenario, (session.cn, session.mn)
        opened_s = session.at_s + lookup.lookup_s
        silent_s = opened_s + scenario.retry.after
        next_s = min(
            (move.at for end in ends for move in scenario.moves_of(end) if move.at > session.at_s), default=1e9
        )
        near, at_router = place(scenario, session.cn, session.at_s), serving(scenario, session.mn, session.at_s)
        settled = near is not None and at_router is not None and all(self._settled(end, session.at_s) for end in ends)
        if settled and near is not None:
            way_s = path_s(scenario, near, Place(session.mn, lookup.anchor, at_router or ""))
            if released_s(scenario, session.mn, lookup.anchor, session.at_s) <= opened_s:
                way_s = None
            if way_s is not None and opened_s + 8 * way_s < min(next_s, silent_s):
                return None
            if way_s is None and silent_s < next_s:
                return silent_s
        self._doubt(session, silent_s + scenario.retry.attempts * (_ASKED_S + scenario.retry.after))
        return None

    def _settled(self, end: str, at_s: float) -> bool:
        """Whether the network and ``end`` itself have settled after its last move."""
        moves = [move for move in self._scenario.moves_of(end) if move.at <= at_s]
        if not moves:
            return True
        attached_s = moves[-1].at + (moves[-1].gap if len(moves) > 1 else 0.0)
        can_s = attached_s + configured_s(self._scenario, end, len(moves) - 1)
        return at_s >= max(can_s, redirected_s(self._scenario, end, at_s)) and not unsettled(self._scenario, end, at_s)

    def _doubt(self, session: SessionSpec, until_s: float, from_s: float = inf) -> None:
        self._world.resolver.doubt(session.mn, until_s, from_s)
        self._unsure.add((session.method, session.cn, session.mn))
