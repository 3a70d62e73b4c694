"""Set-ups while the node moves, or before anybody knows that it has: followed packet by packet.

A session that is opened in this *blind window* meets servers that know an address that the node has left, a radio that
is not there, or a redirect that is not in force yet. What becomes of each packet follows from `Ways`; what is done
about a lost one, from the rules of who sends it:

* a correspondent that hears nothing for ``retry.after`` looks the node up again and tries the next of the addresses
  found, ``retry.attempts`` times in all (docs/methods.md); one that asks nobody waits for 5 s more each time;
* a server that must ask the node (combined, central) repeats its question after 0.5 s, then after twice as long each
  time (docs/registration.md), and *at once* when the node registers a new address;
* a relay sends on by the node's newest leg; the node asks for a new one as it registers.

For one request over UDP in IPv4, from a host to a node that makes before-break moves over links without chance.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import MN, RESOLVER, SERVER
from dmmlab.experiments.oracle.delays import hosts_s
from dmmlab.experiments.oracle.moves import known_at_s, latest
from dmmlab.experiments.oracle.ways import Undecided, Ways, stays
from dmmlab.experiments.oracle.world import ScenarioWorld
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of

_FIRST_S, _FACTOR, _MOST_S, _DEADLINE_S = 0.5, 2.0, 2.0, 10.0  # a server's repetitions (docs/registration.md)
_PATIENCE_S = 5.0  # how much longer a correspondent waits that can ask nobody
_GRAIN_S = 1e-9


class Answer(NamedTuple):
    """How a set-up ends: ``setup_s`` after it began (None: nobody answers), at which of its ``attempts``, on the
    address of ``anchor``.
    """

    setup_s: float | None
    attempts: int
    anchor: str


@dataclass(frozen=True)
class _Found:
    """What a lookup gives at ``at_s``: routers of addresses in the order in which they are tried; behind a relay, the
    one of the node's first leg.
    """

    at_s: float
    anchors: tuple[str, ...]


class Blind:
    """The closed forms of a scenario's one-packet sessions, at whatever instant they are opened."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario, self._world = scenario, ScenarioWorld(scenario)
        self._ways = cache(lambda node, anchor, host: Ways(scenario, node, anchor, host))
        self._known = cache(lambda node: known_at_s(scenario, node, SERVER))
        self._answers: dict[int, Answer | None] = {}
        asking = [(self._arrives_s(session), session.number, 0, session) for session in sessions_of(scenario)]
        heapq.heapify(asking)  # caches are filled by whoever asks first
        while asking:
            _, number, attempt, later = heapq.heappop(asking)
            began_s = sessions_of(scenario)[number].at_s
            try:
                outcome = self._attempt(later, attempt)
            except Undecided:
                self._answers[number] = None
                continue
            if isinstance(outcome, _Again):
                if attempt + 1 < scenario.retry.attempts:
                    again = replace(later, at_s=outcome.at_s)
                    heapq.heappush(asking, (self._arrives_s(again), number, attempt + 1, again))
                else:
                    self._answers[number] = Answer(None, attempt + 1, outcome.anchor)
            else:
                self._answers[number] = Answer(outcome.at_s - began_s, attempt + 1, outcome.anchor)

    def of(self, session: SessionSpec) -> Answer | None:
        """How ``session`` ends; None where a switch may do the one thing or the other (docs/handovers.md)."""
        return self._answers[session.number]

    def _arrives_s(self, session: SessionSpec) -> float:
        asked = RESOLVER if METHODS[session.method].cached else session.cn
        return session.at_s + (hosts_s(self._scenario, session.cn, asked) if asked == RESOLVER else 0.0)

    def _attempt(self, session: SessionSpec, attempt: int) -> _Answered | _Again:
        method = METHODS[session.method]
        asks_node = (SERVER, MN) in method.asks
        found = self._asked(session) if asks_node else self._looked_up(session)
        if found is None:
            raise Undecided
        anchor = found.anchors[attempt % len(found.anchors)]
        if method.relayed:
            answered_s = self._relayed_s(session, found)
        else:
            answered_s = self._there_and_back_s(session.mn, anchor, session.cn, found.at_s)
        if answered_s is not None:
            return _Answered(answered_s, anchor)
        closing_s = 2 * hosts_s(self._scenario, session.cn, SERVER) if method.relayed else 0.0  # at the server
        closing_s += 0.0 if method.asks else _PATIENCE_S
        return _Again(found.at_s + self._scenario.retry.after + closing_s, anchor)

    def _looked_up(self, session: SessionSpec) -> _Found | None:
        """By whom the node is not asked itself."""
        method = METHODS[session.method]
        lookup = method.closed_form(self._world, session)
        if lookup is None:
            return None
        named = self._named(session.mn, lookup.anchor, session.at_s) if method.gives_all else (lookup.anchor,)
        return _Found(session.at_s + lookup.lookup_s, named)

    def _named(self, node: str, newest: str, at_s: float) -> tuple[str, ...]:
        """The routers of all addresses that ``node`` registers together with that of ``newest``: newest first."""
        routers = [move.to for move in self._scenario.moves_of(node) if move.at <= at_s]
        while routers[-1] != newest:
            routers.pop()
        return tuple(dict.fromkeys(reversed(routers)))

    def _asked(self, session: SessionSpec) -> _Found | None:
        """The server asks the node, again and again, until an answer is there. The node repeats the answer that it gave
        first, if that was lost, from whichever address it has by then.
        """
        way_s = hosts_s(self._scenario, session.cn, SERVER)
        answers, said = [], tuple[str, ...]()
        for sent_s in sorted(self._questions_s(session.mn, session.at_s + way_s)):
            to = latest(self._known(session.mn), sent_s)
            if to is None:
                return None
            asked_s = self._ways(session.mn, to, SERVER).down(sent_s)
            if asked_s is None:
                continue
            newest = self._newest(session.mn, asked_s)
            if newest is None:
                continue
            said = said or self._named(session.mn, newest, asked_s)
            answered_s = self._ways(session.mn, newest, SERVER).up(asked_s)
            if answered_s is not None:
                answers.append(_Found(answered_s + way_s, said))
        return min(answers, key=lambda answer: answer.at_s, default=None)

    def _questions_s(self, node: str, first_s: float) -> Iterator[float]:
        """When the server sends its question."""
        yield first_s
        yield from (since_s for since_s, _ in self._known(node) if first_s < since_s <= first_s + _DEADLINE_S)
        sent_s, wait_s = first_s, _FIRST_S
        while (sent_s := sent_s + wait_s) < first_s + _DEADLINE_S:
            yield sent_s
            wait_s = min(_FACTOR * wait_s, _MOST_S)

    def _newest(self, node: str, at_s: float) -> str | None:
        """The router of the address that ``node`` uses for what is new."""
        have = [stay.router for stay in stays(self._scenario, node) if stay.address_s <= at_s + _GRAIN_S]
        return have[-1] if have else None

    def _there_and_back_s(self, node: str, anchor: str, host: str, sent_s: float) -> float | None:
        ways = self._ways(node, anchor, host)
        there_s = ways.down(sent_s)
        return None if there_s is None else ways.up(there_s)

    def _relayed_s(self, session: SessionSpec, found: _Found) -> float | None:
        """By the node's newest leg, when the packet is at the server."""
        way_s = hosts_s(self._scenario, session.cn, SERVER)
        there_s = found.at_s + way_s
        routers = [move.to for move in self._scenario.moves_of(session.mn)]
        asked_for = [router for since_s, router in self._known(session.mn) if found.at_s - way_s < since_s <= there_s]
        leg = asked_for[-1] if asked_for else found.anchors[0]
        assert leg in routers
        back_s = self._there_and_back_s(session.mn, leg, SERVER, there_s)
        return None if back_s is None else back_s + way_s


@dataclass(frozen=True)
class _Answered:
    at_s: float
    anchor: str


@dataclass(frozen=True)
class _Again:
    """Nobody has answered: the next attempt, if there is one, begins at ``at_s``."""

    at_s: float
    anchor: str
