"""What a scenario's faults may touch: of that there is no closed form, of all else it is what it would be without them.

A fault touches whatever depends on what it breaks, from its beginning until the time in which that recovers is over
(docs/faults.md). Moves count as well: who moves meanwhile may be registered, or redirected, only at the end of it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import defaultdict

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import DDNS, RESOLVER
from dmmlab.experiments.oracle.memo import once
from dmmlab.experiments.scenario.faults import SWITCHES, Fault
from dmmlab.experiments.scenario.model import CONTROLLER, RADIO, Scenario
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of

_BEFORE_S = 2.0  # a move that long before may still have something under way
# Whoever asks a server repeats every 2 s at most, and a switch looks for its controller every second.
_AGAIN_S = 3.0
_REFRESH_S = 20.0  # whoever begins to refresh half a lifetime before its end does it in time, but for longer faults
_SECOND_S = 1.0  # a resolver counts in whole ones
_RESOLVER_S = 12.0  # as long unbound may leave a server alone that did not answer (docs/ddns.md)


@once
def touches(scenario: Scenario) -> Touched:
    """What the faults of ``scenario`` touch."""
    return Touched(scenario)


class Touched:
    """What the faults of ``scenario`` touch."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._alike: dict[tuple[str, str, str, str | None], list[SessionSpec]] = defaultdict(list)
        self._asked_s: list[float] = []  # when somebody asks for what the resolver may have cached
        for session in sessions_of(scenario) if scenario.faults else ():
            if METHODS[session.method].cached:
                insort(self._asked_s, session.at_s)
            self._alike[session.cn, session.mn, session.method, session.anchor].append(session)

    def setup(self, session: SessionSpec, over_s: float, redirected: bool) -> bool:
        """Whether they may touch the set-up of ``session``, which is over at ``over_s``; ``redirected`` says whether it
        is opened on an address from elsewhere.
        """
        faults = self._scenario.faults
        if faults and self._scenario.addresses.lifetime == "session-lasting":
            return over_s >= min(fault.at for fault in faults)  # what is given back when follows from all sessions
        touched = (self._concerns(fault, session, session.at_s, over_s, redirected) for fault in faults)
        return any(touched) or any(self._asks_again(fault, session, redirected) for fault in faults)

    def probe(self, session: SessionSpec, sent_s: float, over_s: float) -> bool:
        """Whether they may touch a probe of ``session`` that is sent at ``sent_s`` and answered by ``over_s``.

        A session that ends with one of its parties, or with its stream, is not opened again.
        """
        for fault in self._scenario.faults:
            if self._concerns(fault, session, sent_s, over_s, redirected=True):
                return True
            ended = fault.crash is not None and session.at_s <= fault.over_s
            if ended and sent_s >= fault.at and self._relies(fault, session, redirected=True):
                return True
        return False

    def stay(self, from_s: float, until_s: float) -> bool:
        """Whether they may touch what comes of a move at ``from_s``, until the next one."""
        faults = self._scenario.faults
        return any(
            fault.at - _BEFORE_S <= until_s and from_s <= self._recovered_s(fault)
            for fault in faults
            if fault.clock_step is None  # no step of a move is timed by the clock of the day
        )

    def _asks_again(self, fault: Fault, session: SessionSpec, redirected: bool) -> bool:
        """Whether a router may have to find out a node's MAC anew for it: it gave up asking while ``fault`` lasted (RFC
        4861 section 7.3.3, and ARP as Linux does it), and no such session since then has made it ask.
        """
        if fault.clock_step is not None:
            return False
        parties, recovered_s = set(fault.parties), self._recovered_s(fault)
        mobile = {session.cn, session.mn}.intersection(self._scenario.mobile_nodes)
        among = CONTROLLER in parties or parties <= set(self._scenario.mobile_routers)
        unheard = redirected if among else bool(parties & {SWITCHES, *mobile})
        if session.at_s < fault.at or not unheard or not mobile:
            return False
        return not any(
            recovered_s <= other.at_s <= session.at_s - _AGAIN_S
            for other in self._alike.get((session.cn, session.mn, session.method, session.anchor), ())
        )

    def _concerns(self, fault: Fault, session: SessionSpec, at_s: float, over_s: float, redirected: bool) -> bool:
        method, scenario = METHODS[session.method], self._scenario
        until_s = self._recovered_s(fault) + (fault.for_ if session.transport == "tcp" else 0.0)
        until_s += session.interval_s or 0.0
        if method.cached:  # what was learned meanwhile is believed for a while
            kept_s = {"off": 0.0, "ttl": scenario.ddns.ttl, "forever": math.inf}[scenario.ddns.cn_cache]
            until_s = self._cached_until_s(until_s) + kept_s
        if over_s < fault.at or at_s > until_s:
            return False
        if fault.clock_step is not None:
            return method.cached  # a resolver has records until a time of day
        return self._relies(fault, session, redirected) or self._moved(fault, session, over_s, until_s)

    def _cached_until_s(self, until_s: float) -> float:
        """Until when what the resolver has cached, and when it asks, may follow from what happened by ``until_s``:
        as long as it is asked again before it has forgotten.
        """
        forgets_s = self._scenario.ddns.ttl + _SECOND_S
        until_s += forgets_s
        for asked_s in self._asked_s[bisect_left(self._asked_s, until_s - forgets_s) :]:
            if asked_s > until_s:
                break
            until_s = asked_s + forgets_s
        return until_s

    def _relies(self, fault: Fault, session: SessionSpec, redirected: bool) -> bool:
        """Whether ``session`` depends on what ``fault`` breaks, wherever its ends are."""
        method, scenario = METHODS[session.method], self._scenario
        mobile = [end for end in (session.cn, session.mn) if end in scenario.mobile_nodes]
        mine = {session.cn, session.mn, *method.needs}
        if method.cached:  # and on who fills the cache
            mine |= {s.from_ for s in scenario.sessions if any(METHODS[name].cached for name in s.method)}
        parties = set(fault.parties)
        if fault.link is None:
            if parties == {SWITCHES}:
                return bool(mobile)
            # At its anchor an IPv6 address of a node that is away is answered for by the controller.
            return bool(mine & parties) or (parties == {CONTROLLER} and redirected and scenario.family == "ipv6")
        routers = {move.to for end in mobile for move in scenario.moves_of(end)}
        if CONTROLLER in parties:
            return redirected and scenario.family == "ipv6"
        if parties <= set(scenario.mobile_routers):
            return redirected
        return bool(parties & (mine | routers))

    def _moved(self, fault: Fault, session: SessionSpec, over_s: float, until_s: float) -> bool:
        """Whether an end moves while ``fault`` may keep what comes of that from it."""
        scenario = self._scenario
        others = set(scenario.ends) - {session.cn, session.mn}
        if others.intersection(fault.parties):
            return False
        unasked = {*(RESOLVER, DDNS), *scenario.hosts} - set(METHODS[session.method].needs)
        if unasked.intersection(fault.parties):
            return False
        return any(
            fault.at - _BEFORE_S <= move.over_s and move.at <= min(over_s, until_s)
            for end in (session.cn, session.mn)
            for move in scenario.moves_of(end)
        )

    def _recovered_s(self, fault: Fault) -> float:
        """Until when what ``fault`` breaks may take to be as it was."""
        parties, recovers_s = set(fault.parties), _AGAIN_S
        if DDNS in parties or RESOLVER in parties:
            recovers_s = max(_RESOLVER_S, fault.for_) + _AGAIN_S
        if parties & {RADIO, *self._scenario.mobile_routers}:
            recovers_s += 1.2 * fault.for_ + 4.0  # a router is solicited after 4 s, and twice as long each time
        step_s = fault.clock_step or 0.0
        recovers_s += step_s  # what was cached meanwhile is believed so much longer
        lifetime_s = self._scenario.registration.lifetime
        if lifetime_s / 2 < min(self._scenario.duration, fault.for_ + step_s + _REFRESH_S):
            recovers_s += lifetime_s  # what was not refreshed has ended
        return fault.over_s + recovers_s
