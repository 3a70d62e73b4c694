"""The closed form of each session's set-up, of a whole scenario.

Nothing here knows how anything is measured, or how the network is built: link delays, movements and TTLs in, seconds
out. ``setup = lookup + connect`` (docs/methods.md), sums of round trips along configured one-way delays, and of the
time that processing is given. Where an answer depends on who was faster in the middle of a move, or on what is drawn,
there is no closed form: None.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import CN, MN, SERVER, Lookup, Method
from dmmlab.experiments.oracle import lifetimes
from dmmlab.experiments.oracle.blind import Blind, follows
from dmmlab.experiments.oracle.delays import Place, path_s
from dmmlab.experiments.oracle.faults import touches
from dmmlab.experiments.oracle.lookups import Lookups
from dmmlab.experiments.oracle.moves import (
    FORGOTTEN_S,
    has_had,
    kept,
    known_at_s,
    place,
    redirected_s,
    released_s,
    serving,
    unsettled,
)
from dmmlab.experiments.oracle.neighbours import Neighbours, Opening, Waits
from dmmlab.experiments.oracle.turns import waiting
from dmmlab.experiments.policies.base import Choice, Offer
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of

_NAMED = 16  # addresses, at the most, in one message
_LONG_S = 1.0  # more than anybody measures


@dataclass(frozen=True)
class Expectation:
    """Seconds, and the mobile router whose address the session is opened on."""

    lookup_s: float
    connect_s: float
    anchor: str

    @property
    def setup_s(self) -> float:
        """Lookup and connect together, seconds."""
        return self.lookup_s + self.connect_s


class Oracle:
    """The closed form of each session of a scenario. Sessions may share caches, so their order matters."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario, self._lookups, self._faults = scenario, Lookups(scenario), touches(scenario)
        self._waiting = waiting(scenario, self._lookups)
        sessions = sorted(sessions_of(scenario), key=lambda spec: (spec.at_s, spec.number))
        unsure, before = set[int](), -1
        while len(unsure) > before:  # what such a session chose, others remember: so all over again
            before = len(unsure)
            self._expected = self._all(sessions, unsure)
            remember = (session.number for session in sessions if session.selection.policy.remembers)
            unsure.update(number for number in remember if self._expected[number] is None)

    def of(self, session: SessionSpec) -> Expectation | None:
        """What ``session`` must take; None where there is no closed form, or where it cannot be set up at all.

        Of programs only they know who speaks first, and when. What is opened in the middle of a move is followed packet
        by packet, where a scenario has nothing that `blind` does not know.
        """
        expected = self._expected[session.number] if session.entry.run is None else None
        if expected is not None or self._blind is None:
            return expected
        answer = self._blind.of(session)
        if answer is None or answer.setup_s is None or answer.late_s:
            return None
        return Expectation(answer.lookup_s, answer.setup_s - answer.lookup_s, answer.anchor)

    @cached_property
    def _blind(self) -> Blind | None:
        return Blind(self._scenario) if follows(self._scenario) else None

    def answer(self, session: SessionSpec) -> str | None:
        """The mobile router whose address the first lookup of ``session`` gives; perhaps nobody answers there."""
        found = self._lookups.of(session)
        return None if found is None else found.anchor

    def _all(self, sessions: list[SessionSpec], unsure: set[int]) -> dict[int, Expectation | None]:
        """By number; those ``unsure`` may have chosen any address."""
        self._used: dict[tuple[str, str, str], set[str | None]] = {}  # whose address may have been chosen last
        openings: dict[int, Opening | None] = {}
        for session in sessions:
            opening = openings[session.number] = self._open(session)
            if session.selection.policy.remembers and (opening is None or session.number in unsure):
                self._used[_memory(session)] = {None, *(move.to for move in self._scenario.moves_of(session.mn))}
        direct = (one for one in openings.values() if one is not None and not METHODS[one.session.method].relayed)
        self._neighbours = Neighbours(self._scenario, direct)
        return {session.number: self._expect(openings[session.number]) for session in sessions}

    def _open(self, session: SessionSpec) -> Opening | None:
        """Its first packet in the user plane; None where there is no closed form."""
        scenario, method, lookup = self._scenario, METHODS[session.method], self._lookups.of(session)
        near, at_router = place(scenario, session.cn, session.at_s), serving(scenario, session.mn, session.at_s)
        settled = not any(unsettled(scenario, end, session.at_s) for end in (session.cn, session.mn))
        settled &= at_router is not None or session.mn not in scenario.mobile_nodes
        if lookup is None or near is None or not settled or not self._may_ask(method, session):
            return None
        if scenario.costs.drawn or session.number in self._waiting:
            return None
        choice = self._choose(session, lookup, near, at_router or "")
        if choice is None:
            return None
        lookup = Lookup(lookup.lookup_s + choice.measuring_s, choice.anchor)
        far = Place(session.mn, at_router or "" if method.relayed else lookup.anchor, at_router or "")
        one_way_s = self._carried_s(method, session, lookup, near, far)
        if one_way_s is None:
            return None
        return Opening(session, near, far, lookup.lookup_s, choice.turn_s, one_way_s)

    def _expect(self, opening: Opening | None) -> Expectation | None:
        if opening is None:
            return None
        session, near, far, lookup_s, turn_s, one_way_s = opening
        method, sent_s = METHODS[session.method], opening.sent_s
        waits: Waits | None = Waits(0.0, 0.0)
        if not self._neighbours.settled((session.cn, session.mn), session.at_s, sent_s):
            waits = None
        elif not method.relayed:
            waits = self._neighbours.waits(opening)
        if waits is None:
            return None
        trips = 1 if session.transport == "udp" else 2
        connect_s = turn_s + 2 * one_way_s * trips + waits.answering_s
        if near.anchor != near.serving and not self._stays(method, session, 2 * one_way_s):
            return None
        over_s = sent_s + waits.asking_s + connect_s - turn_s
        used = [(session.cn, near.anchor), (session.mn, "" if method.relayed else far.anchor)]
        if any(self._changes(session, end, anchor, over_s) for end, anchor in used):
            return None
        redirected = near.anchor != near.serving or far.anchor not in ("", far.serving)
        if self._faults.setup(session, over_s, redirected):
            return None
        return Expectation(lookup_s, connect_s, far.anchor)

    def _changes(self, session: SessionSpec, end: str, anchor: str, until_s: float) -> bool:
        """Whether ``end`` of ``session`` moves, or drops its address of ``anchor``, before ``until_s``, or routers may
        keep what is sent there.
        """
        if any(session.at_s < move.at <= until_s for move in self._scenario.moves_of(end)):
            return True
        if kept(self._scenario, end, anchor, session.at_s, until_s):
            return True
        return bool(anchor) and released_s(self._scenario, end, anchor, session.at_s) <= until_s

    def _may_ask(self, method: Method, session: SessionSpec) -> bool:
        """Whether the server knows a mobile opener: it refuses whoever has not registered."""
        if SERVER not in method.needs or session.cn not in self._scenario.mobile_nodes:
            return True
        return known_at_s(self._scenario, session.cn, SERVER)[0][0] <= session.at_s

    def _stays(self, method: Method, session: SessionSpec, round_trip_s: float) -> bool:
        """Whether an opener that is between two addresses uses the old one throughout, and can send when it has to."""
        answered_s = session.at_s + round_trip_s
        return not method.asks and (
            session.transport == "udp" or place(self._scenario, session.cn, answered_s) is not None
        )

    def _given_back(self, session: SessionSpec, anchor: str) -> bool:
        """Whether the node's address of ``anchor`` may no longer be there when ``session`` is opened."""
        scenario = self._scenario
        moves = [move for move in scenario.moves_of(session.mn) if move.at <= session.at_s]
        if scenario.addresses.lifetime == "fixed" or not moves or moves[-1].to == anchor:
            return False
        turn = max(turn for turn, move in enumerate(moves) if move.to == anchor)
        earlier = [one for one in self._on(session.mn, anchor) if one.at_s < session.at_s]
        released_s = lifetimes.released_s(scenario, session.mn, turn, earlier)
        return released_s is not None and session.at_s >= released_s

    def given_back_s(self, node: str, turn: int) -> float | None:
        """When ``node`` gives back the address of its movement number ``turn`` (from 0); None if it does not."""
        anchor = self._scenario.moves_of(node)[turn].to
        return lifetimes.released_s(self._scenario, node, turn, self._on(node, anchor))

    def _on(self, node: str, anchor: str) -> list[SessionSpec]:
        """The sessions on ``node``'s address of ``anchor``."""
        on = []
        for session in sessions_of(self._scenario):
            near = place(self._scenario, session.cn, session.at_s) if session.cn == node else None
            if (session.mn == node and self.answer(session) == anchor) or (near is not None and near.anchor == anchor):
                on.append(session)
        return on

    def _choose(self, session: SessionSpec, lookup: Lookup, near: Place, at_router: str) -> Choice | None:
        """What the session's policy makes of the lookup; None where that depends on what no closed form knows."""
        selection = session.selection
        if not selection.policy.compares:
            return Choice(lookup.anchor)
        ways_s = self._ways_s(session, lookup, near, at_router)
        if self._scenario.family == "ipv4" and near.mobile and near.serving in ways_s:
            return None  # measuring, it may have to ask for the other's MAC on their link (ARP)
        asked_s = session.at_s + lookup.lookup_s
        if len(ways_s) > 1 and asked_s < redirected_s(self._scenario, session.mn, session.at_s):
            return None
        dropped_s = (released_s(self._scenario, session.mn, router, session.at_s) for router in ways_s)
        if min(dropped_s, default=0.0) <= asked_s + _LONG_S:
            return None
        last = {router if router in ways_s else None for router in self._used.get(_memory(session), {None})}
        offers = (Offer(ways_s, self._scenario.retry.after, router, selection.parameters) for router in last)
        choices = {selection.policy.closed_form(offer) for offer in offers}
        self._used[_memory(session)] = {choice.anchor for choice in choices}
        return choices.pop() if len(choices) == 1 else None

    def _ways_s(self, session: SessionSpec, lookup: Lookup, near: Place, at_router: str) -> dict[str, float | None]:
        """One-way delays by each address that the lookup gives, by its router, the newest first.

        The node keeps every address that it ever had and names the newest 16 to the server; ``lookup`` says which was
        the newest when it did.
        """
        routers = [move.to for move in self._scenario.moves_of(session.mn) if move.at <= session.at_s]
        while routers and routers[-1] != lookup.anchor:
            routers.pop()
        offered = list(dict.fromkeys(reversed(routers)))[:_NAMED]
        places = {router: Place(session.mn, router, at_router) for router in offered}
        return {
            router: None if self._given_back(session, router) else path_s(self._scenario, near, far)
            for router, far in places.items()
        }

    def _carried_s(self, method: Method, session: SessionSpec, lookup: Lookup, near: Place, far: Place) -> float | None:
        """One way of the user plane; None without one, or while the redirect that it needs is not in force yet."""
        scenario, sent_s = self._scenario, session.at_s + lookup.lookup_s
        if any(self._goes_the_old_way(end, session.at_s, sent_s) for end in (session.cn, session.mn)):
            return None
        if far.anchor and not has_had(scenario, session.mn, far.anchor, session.at_s):
            return None
        if far.anchor != far.serving and self._given_back(session, far.anchor):
            return None
        if far.anchor != far.serving and sent_s < redirected_s(scenario, session.mn, session.at_s):
            return None
        ends = {CN: near, MN: far}
        hops_s = [path_s(scenario, *(ends.get(end, Place(end)) for end in trip)) for trip in method.carries]
        return None if None in hops_s else sum(hop_s for hop_s in hops_s if hop_s is not None)

    def _goes_the_old_way(self, end: str, at_s: float, sent_s: float) -> bool:
        """Whether a switch may send on by an old rule what is for ``end``, or from it: if a session went that way."""
        moves = [move for move in self._scenario.moves_of(end) if move.at <= at_s]
        if len(moves) < 2 or not 0 <= sent_s - redirected_s(self._scenario, end, at_s) < FORGOTTEN_S:
            return False
        return any(
            end in (one.cn, one.mn) and one.at_s < moves[-1].at <= one.at_s + (one.duration_s or 0.0)
            for one in sessions_of(self._scenario)
        )


def _memory(session: SessionSpec) -> tuple[str, str, str]:
    """Under what a policy remembers: who opens, to whom, and the policy with its parameters."""
    return session.cn, session.mn, session.selection.key
