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
from dmmlab.experiments.methods.base import CN, DDNS, MN, RESOLVER, SERVER
from dmmlab.experiments.oracle.delays import hosts_s, radio_s
from dmmlab.experiments.oracle.moves import known_at_s, latest
from dmmlab.experiments.oracle.stays import stays
from dmmlab.experiments.oracle.ways import Undecided, Ways
from dmmlab.experiments.oracle.world import ScenarioWorld
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of

_FIRST_S, _FACTOR, _MOST_S, _DEADLINE_S = 0.5, 2.0, 2.0, 10.0  # a server's repetitions (docs/registration.md)
_PATIENCE_S = 5.0  # how much longer a correspondent waits that can ask nobody
_ASKED_S = 0.5  # longer than a lookup takes in which nothing is lost
_GRAIN_S = 1e-9
_PLAIN = {"name", "mobile_routers", "links", "ddns", "movement", "sessions", "retry", "redirect", "duration", "seed"}


class Answer(NamedTuple):
    """How a set-up ends: ``setup_s`` after it began (None: nobody answers), of which ``lookup_s`` was spent on lookups,
    at which of its ``attempts``, on the address of ``anchor``. It may be ``late_s`` later: the node waits for its
    router's MAC, if its kernel has forgotten that.
    """

    setup_s: float | None
    lookup_s: float
    attempts: int
    anchor: str
    late_s: float = 0.0


@dataclass(frozen=True)
class _Found:
    """What a lookup gives at ``at_s``: routers of addresses in the order in which they are tried; behind a relay, the
    one of the node's first leg. It may be ``late_s`` later. Where the node is asked, it hears so at ``heard_s``.
    """

    at_s: float
    anchors: tuple[str, ...]
    late_s: float = 0.0
    heard_s: float = 0.0


class _News(NamedTuple):
    """When a server learns of a node's address of ``router``, and how much later it may be."""

    since_s: float
    router: str
    late_s: float


def follows(scenario: Scenario) -> bool:
    """Whether that is all that a scenario has: one request a session, over UDP in IPv4, from a host to a node that
    breaks before it makes, by the newest address, over links without chance, and no key that could change anything.
    """
    keys = scenario.model_dump(exclude_defaults=True).keys()
    return (
        keys <= _PLAIN
        and scenario.ddns.cn_cache == "off"
        and not any(link.jitter or link.loss or link.rate for link in scenario.links)
        and all(move.overlap is None for move in scenario.movement)
        and all(_plain(scenario, session) for session in sessions_of(scenario))
    )


def _plain(scenario: Scenario, session: SessionSpec) -> bool:
    nodes = scenario.mobile_nodes
    one = session.count == 1 and session.transport == "udp" and not session.selection.policy.compares
    been = session.anchor is None or session.anchor in {move.to for move in scenario.moves_of(session.mn)}
    return one and been and session.cn not in nodes and session.mn in nodes


class Blind:
    """The closed forms of a scenario's one-packet sessions, at whatever instant they are opened."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario, self._world = scenario, ScenarioWorld(scenario)
        self._ways = cache(lambda node, anchor, host: Ways(scenario, node, anchor, host))
        self._known = cache(lambda node, host: list(self._news(node, host)))
        self._answers: dict[int, Answer | None] = {}
        sessions = sessions_of(scenario)
        asking = [(self._arrives_s(session), session.number, 0, 0.0, 0.0, session) for session in sessions]
        heapq.heapify(asking)  # caches are filled by whoever asks first
        while asking:
            _, number, attempt, spent_s, late_s, later = heapq.heappop(asking)
            try:
                found = self._found(later)
                answered_s = self._answered_s(later, found, attempt)
            except Undecided:
                self._answers[number] = None
                if METHODS[later.method].cached:
                    self._world.resolver.doubt(
                        later.mn, later.at_s + scenario.retry.attempts * (scenario.retry.after + _ASKED_S)
                    )
                continue
            spent_s, late_s = spent_s + found.at_s - later.at_s, late_s + found.late_s
            anchor = found.anchors[attempt % len(found.anchors)]
            if answered_s is not None:
                self._answers[number] = Answer(answered_s - sessions[number].at_s, spent_s, attempt + 1, anchor, late_s)
            elif attempt + 1 < scenario.retry.attempts:
                again = replace(later, at_s=self._again_s(later, found))
                heapq.heappush(asking, (self._arrives_s(again), number, attempt + 1, spent_s, late_s, again))
            else:
                self._answers[number] = Answer(None, spent_s, attempt + 1, anchor)

    def of(self, session: SessionSpec) -> Answer | None:
        """How ``session`` ends; None where a switch may do the one thing or the other (docs/handovers.md)."""
        return self._answers[session.number]

    def _arrives_s(self, session: SessionSpec) -> float:
        asked = RESOLVER if METHODS[session.method].cached else session.cn
        return session.at_s + (hosts_s(self._scenario, session.cn, asked) if asked == RESOLVER else 0.0)

    def _found(self, session: SessionSpec) -> _Found:
        asks_node = (SERVER, MN) in METHODS[session.method].asks
        found = self._asked(session) if asks_node else self._looked_up(session)
        if found is None:
            raise Undecided
        return found

    def _answered_s(self, session: SessionSpec, found: _Found, attempt: int) -> float | None:
        if METHODS[session.method].relayed:
            return self._relayed_s(session, found)
        anchor = found.anchors[attempt % len(found.anchors)]
        return self._there_and_back_s(session.mn, anchor, session.cn, found.at_s)

    def _again_s(self, session: SessionSpec, found: _Found) -> float:
        """When a correspondent that has heard nothing tries again: behind a relay, once that is closed."""
        method = METHODS[session.method]
        closing_s = 2 * hosts_s(self._scenario, session.cn, SERVER) if method.relayed else 0.0
        return found.at_s + self._scenario.retry.after + closing_s + (0.0 if method.asks else _PATIENCE_S)

    def _looked_up(self, session: SessionSpec) -> _Found | None:
        """By whom the node is not asked itself."""
        method = METHODS[session.method]
        lookup = method.closed_form(self._world, session)
        if lookup is None:
            return None
        for asker, host in method.asks:
            if host in (SERVER, DDNS):  # asked when the question is there
                way_s = hosts_s(self._scenario, session.cn, asker) if asker == RESOLVER else 0.0
                way_s += hosts_s(self._scenario, session.cn if asker == CN else asker, host)
                self._sure(session.mn, host, session.at_s + way_s)
        found_s = session.at_s + lookup.lookup_s
        named = self._named(session.mn, lookup.anchor, found_s) if method.gives_all else (lookup.anchor,)
        return _Found(found_s, named)

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
        answers, said, heard_s = [], tuple[str, ...](), 0.0
        self._sure(session.mn, SERVER, session.at_s + way_s)
        for sent_s, late_s in sorted(self._questions_s(session.mn, session.at_s + way_s)):
            to = latest([(since_s, router) for since_s, router, _ in self._known(session.mn, SERVER)], sent_s)
            if to is None:
                return None
            asked_s = self._ways(session.mn, to, SERVER).down(sent_s)
            if asked_s is None:
                continue
            newest = self._newest(session.mn, asked_s)
            if newest is None:
                continue
            if not said:
                said, heard_s = self._named(session.mn, newest, asked_s), asked_s
            answered_s = self._ways(session.mn, newest, SERVER).up(asked_s)
            if answered_s is not None:
                answers.append(_Found(answered_s + way_s, said, late_s, heard_s))
        return min(answers, key=lambda answer: answer.at_s, default=None)

    def _news(self, node: str, host: str) -> Iterator[_News]:
        """A node that comes back may have to ask for its router's MAC again: what it sent just before it left made its
        kernel ask, in vain, unless somebody answers for the router (as RFC 4861 section 7.3 has it).
        """
        been = set[str]()
        for since_s, router in known_at_s(self._scenario, node, host):
            again = router in been and not self._scenario.redirects
            yield _News(since_s, router, 2 * radio_s(self._scenario, node, router) if again else 0.0)
            been.add(router)

    def _sure(self, node: str, host: str, at_s: float) -> None:
        """Raises Undecided if ``host`` may know of the node's new address at ``at_s``, and may not."""
        if any(since_s <= at_s < since_s + late_s for since_s, _, late_s in self._known(node, host)):
            raise Undecided

    def _questions_s(self, node: str, first_s: float) -> Iterator[tuple[float, float]]:
        """When the server sends its question, and how much later it may be."""
        yield first_s, 0.0
        for since_s, _, late_s in self._known(node, SERVER):
            if first_s < since_s <= first_s + _DEADLINE_S:
                yield since_s, late_s
        sent_s, wait_s = first_s, _FIRST_S
        while (sent_s := sent_s + wait_s) < first_s + _DEADLINE_S:
            yield sent_s, 0.0
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
        """By the node's newest leg, when the packet is at the server: that of its answer, or of where it has come to
        since it heard of the session.
        """
        way_s = hosts_s(self._scenario, session.cn, SERVER)
        there_s = found.at_s + way_s
        self._sure(session.mn, SERVER, there_s)
        known = self._known(session.mn, SERVER)
        asked_for = [router for since_s, router, _ in known if found.heard_s < since_s <= there_s]
        leg = asked_for[-1] if asked_for else found.anchors[0]
        back_s = self._there_and_back_s(session.mn, leg, SERVER, there_s)
        return None if back_s is None else back_s + way_s
