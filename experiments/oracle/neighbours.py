"""Whose MAC a mobile node knows on the link that it shares with others: what is asked once (ARP, RFC 826) and kept.

A node keeps its neighbours over its moves, and learns whoever asks it. For a node that is away the anchor's switch
answers (docs/redirect.md).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import NamedTuple

from dmmlab.experiments.oracle.delays import Place, radio_s
from dmmlab.experiments.oracle.moves import configured_s, released_s
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of

RESOLVED_S = 1.1  # RetransTimer (RFC 4861 section 10), and a timer that is late
_DELAYED_S = 5.0  # DELAY_FIRST_PROBE_TIME (there as well): before a router asks whether a MAC is right


class Waits(NamedTuple):
    """What a session's first packet waits for before it leaves, and what its answer waits for; seconds."""

    asking_s: float
    answering_s: float


def resolves(scenario: Scenario, node: str, at_s: float) -> tuple[int, float] | None:
    """The number of ``node``'s last move, if that was back to a router that may have given it up, and so asks for it
    before it delivers a packet, at once or by `RESOLVED_S`; and until when it may give it up yet. None if it was not.

    Without the redirect nobody has answered for it there meanwhile, and an IPv6 address is not advertised as a new one
    is. Of an address that it had dropped the router may have asked three times in vain, lastly just before it came; in
    IPv6 it may yet have to, if it knows the MAC of another radio, which is not to be overridden (RFC 4429 section 3.3).
    """
    moves = [move for move in scenario.moves_of(node) if move.at <= at_s]
    if not moves or moves[-1].to not in {move.to for move in moves[:-1]}:
        return None
    back, turn = moves[-1], len(moves) - 1
    if released_s(scenario, node, back.to, back.at - 1e-9) <= back.over_s + configured_s(scenario, node, turn):
        visits = (number for number, move in enumerate(moves) if move.to == back.to)
        other = scenario.family == "ipv6" and len({scenario.radio_of(node, visit) for visit in visits}) > 1
        return turn, back.over_s + 3 * RESOLVED_S + (_DELAYED_S if other else 0.0)
    return None if scenario.family == "ipv4" or scenario.redirects else (turn, back.over_s)


class Opening(NamedTuple):
    """A session's first packet: ``near`` sends it to ``far``, ``one_way_s`` away, after ``lookup_s``, and ``turn_s`` in
    which it waits for other addresses first.
    """

    session: SessionSpec
    near: Place
    far: Place
    lookup_s: float
    turn_s: float
    one_way_s: float

    @property
    def sent_s(self) -> float:
        """When it leaves."""
        return self.session.at_s + self.lookup_s + self.turn_s


class Neighbours:
    """Of the mobile nodes of a scenario, whose sessions open so: each asks when its packet is there, and who is asked
    learns of who asks.
    """

    def __init__(self, scenario: Scenario, openings: Iterable[Opening]) -> None:
        self._scenario = scenario
        # From when on (s), by who, by which of its radios, whom and the router of the address.
        self._known: dict[tuple[str, int, str, str], float] = {}
        self._waits: dict[int, Waits] = {}
        self._delivered: dict[tuple[str, int], float] = {}  # by node and its move, when its router first had to (s)
        self._long = [session for session in sessions_of(scenario) if session.duration_s or session.size]
        asking = [
            (one.sent_s, one.session.number, False, 0.0, one)
            for one in openings
            if self._may_ask(one) and not self._astray(one)
        ]
        heapq.heapify(asking)
        answering: dict[int, tuple[float, Opening, float]] = {}
        while asking:
            at_s, number, arrived, asking_s, one = heapq.heappop(asking)
            if arrived:
                self._asks_s(one.far, one.far.serving, one.near, at_s)
                answering[number] = (asking_s, one, at_s)
            else:
                asking_s = self._asks_s(one.near, one.near.anchor, one.far, at_s)
                heapq.heappush(asking, (at_s + asking_s + one.one_way_s, number, True, asking_s, one))
        for number, (asking_s, one, at_s) in answering.items():  # who asks may have been asked itself, meanwhile
            self._waits[number] = Waits(asking_s, self._asks_s(one.far, one.far.serving, one.near, at_s))

    def waits(self, opening: Opening) -> Waits | None:
        """What an opening waits for; nothing where no end is on the other's link.

        None where ``near`` has left its link and does not know it yet, and where an earlier session that still goes on
        may have taught ``far`` what it would have to ask before it answers.
        """
        if not self._may_ask(opening):
            return Waits(0.0, 0.0)
        waits = self._waits.get(opening.session.number)
        return None if waits is None or (waits.answering_s and self._taught(opening.session)) else waits

    def _may_ask(self, opening: Opening) -> bool:
        """In IPv6 routers advertise themselves and off-link prefixes: no node asks another."""
        return self._scenario.family == "ipv4" and opening.near.mobile and opening.far.mobile

    def _astray(self, opening: Opening) -> bool:
        """Whether who opens has left the link that it shares with the other, and does not know it yet."""
        near = opening.near
        return near.anchor != near.serving and opening.far.anchor == near.anchor

    def settled(self, ends: tuple[str, str], at_s: float, sent_s: float) -> bool:
        """Whether the routers of both ``ends`` of a session, whose first packet leaves at ``sent_s``, know them."""
        known = True
        for end in ends:
            resolving = resolves(self._scenario, end, at_s)
            if resolving is None:
                continue
            turn, may_s = resolving
            delivered_s = self._delivered.setdefault((end, turn), at_s) if at_s >= may_s else at_s
            known = delivered_s + RESOLVED_S <= min(at_s, sent_s) and known
        return known

    def _asks_s(self, who: Place, link: str, whom: Place, at_s: float) -> float:
        """How long ``who`` asks on the ``link`` that it is on: by radio, there and back, the other or its switch."""
        if link != whom.anchor:
            return 0.0
        key = (who.name, self._radio(who, at_s), whom.name, whom.anchor)
        never = float("inf")
        if self._known.get(key, never) > at_s:
            crossings_s = radio_s(self._scenario, who.name, who.serving)
            if whom.serving == whom.anchor:
                crossings_s += radio_s(self._scenario, whom.name, whom.serving)
                taught = (whom.name, self._radio(whom, at_s), who.name, link)
                self._known[taught] = min(self._known.get(taught, never), at_s + crossings_s)
            self._known[key] = min(self._known.get(key, never), at_s + 2 * crossings_s)
        return max(0.0, self._known[key] - at_s)

    def _radio(self, who: Place, at_s: float) -> int:
        """By which radio it is where it is served: each knows its own neighbours."""
        moves = enumerate(self._scenario.moves_of(who.name))
        there = [turn for turn, move in moves if move.to == who.serving and move.at <= at_s]
        return self._scenario.radio_of(who.name, there[-1]) if there else 0

    def _taught(self, session: SessionSpec) -> bool:
        ends = {session.cn, session.mn}
        moves = (move.at for end in ends for move in self._scenario.moves_of(end) if move.at <= session.at_s)
        arrived_s = max(moves, default=0.0)
        return any(
            {one.cn, one.mn} == ends
            and one.at_s < session.at_s
            and (one.size is not None or one.at_s + (one.duration_s or 0.0) > arrived_s)
            for one in self._long
        )
