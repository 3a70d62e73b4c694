"""The closed form of each session's set-up, of a whole scenario.

Nothing here knows how anything is measured, or how the network is built: link delays, movements and TTLs in, seconds
out. ``setup = lookup + connect`` (docs/methods.md), sums of round trips along configured one-way delays. Processing
takes no time, and where an answer depends on who was faster in the middle of a move, there is no closed form: None.
"""

from __future__ import annotations

from dataclasses import dataclass

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import CN, MN, SERVER, Lookup, Method
from dmmlab.experiments.oracle import lifetimes
from dmmlab.experiments.oracle.delays import Place, path_s
from dmmlab.experiments.oracle.moves import known_at_s, place, redirected_s, serving, unsettled
from dmmlab.experiments.oracle.neighbours import Neighbours, Waits
from dmmlab.experiments.oracle.world import ScenarioWorld
from dmmlab.experiments.policies.base import Choice, Offer
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of

_NAMED = 16  # addresses, at the most, in one message


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
        self._scenario = scenario
        self._world = ScenarioWorld(scenario)
        self._neighbours = Neighbours(scenario)
        self._expected: dict[int, Expectation | None] = {}
        self._answers: dict[int, str] = {}
        self._used: dict[tuple[str, str, str], set[str | None]] = {}  # whose address may have been chosen last
        for session in sorted(sessions_of(scenario), key=lambda spec: (spec.at_s, spec.number)):
            expected = self._expect(session)
            # Of programs only they know who speaks first, and when.
            self._expected[session.number] = expected if session.entry.run is None else None
            if expected is None and session.selection.policy.remembers:  # then it may have chosen any
                self._used[_memory(session)] = {None, *(move.to for move in scenario.moves_of(session.mn))}

    def of(self, session: SessionSpec) -> Expectation | None:
        """What ``session`` must take; None where there is no closed form, or where it cannot be set up at all."""
        return self._expected[session.number]

    def answer(self, session: SessionSpec) -> str | None:
        """The mobile router whose address the first lookup of ``session`` gives; perhaps nobody answers there."""
        return self._answers.get(session.number)

    def _expect(self, session: SessionSpec) -> Expectation | None:
        scenario, method = self._scenario, METHODS[session.method]
        lookup = method.closed_form(self._world, session)
        if lookup is not None:
            self._answers[session.number] = lookup.anchor
        near, at_router = place(scenario, session.cn, session.at_s), serving(scenario, session.mn, session.at_s)
        settled = not any(unsettled(scenario, end, session.at_s) for end in (session.cn, session.mn))
        settled &= at_router is not None or session.mn not in scenario.mobile_nodes
        if lookup is None or near is None or not settled or not self._may_ask(method, session):
            return None
        choice = self._choose(session, lookup, near, at_router or "")
        if choice is None:
            return None
        lookup = Lookup(lookup.lookup_s + choice.measuring_s, choice.anchor)
        far = Place(session.mn, at_router or "" if method.relayed else lookup.anchor, at_router or "")
        one_way_s = self._carried_s(method, session, lookup, near, far)
        if one_way_s is None:
            return None
        sent_s = session.at_s + lookup.lookup_s + choice.turn_s
        waits: Waits | None = Waits(0.0, 0.0)
        if not method.relayed:
            waits = self._neighbours.waits(session, near, far, sent_s, one_way_s)
        if waits is None:
            return None
        trips = 1 if session.transport == "udp" else 2
        connect_s = choice.turn_s + 2 * one_way_s * trips + waits.answering_s
        if near.anchor != near.serving and not self._stays(method, session, 2 * one_way_s):
            return None
        over_s = sent_s + waits.asking_s + connect_s - choice.turn_s
        ends = (session.cn, session.mn)
        if any(session.at_s < move.at <= over_s for end in ends for move in scenario.moves_of(end)):
            return None
        return Expectation(lookup.lookup_s, connect_s, lookup.anchor)

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
            if (session.mn == node and self._answers.get(session.number) == anchor) or (
                near is not None and near.anchor == anchor
            ):
                on.append(session)
        return on

    def _choose(self, session: SessionSpec, lookup: Lookup, near: Place, at_router: str) -> Choice | None:
        """What the session's policy makes of the lookup; None where that depends on what no closed form knows."""
        selection = session.selection
        if not selection.policy.compares:
            return Choice(lookup.anchor)
        ways_s = self._ways_s(session, lookup, near, at_router)
        asked_s = session.at_s + lookup.lookup_s
        if len(ways_s) > 1 and asked_s < redirected_s(self._scenario, session.mn, session.at_s):
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
        scenario = self._scenario
        if far.anchor != far.serving and self._given_back(session, far.anchor):
            return None
        if far.anchor != far.serving and session.at_s + lookup.lookup_s < redirected_s(
            scenario, session.mn, session.at_s
        ):
            return None
        ends = {CN: near, MN: far}
        hops_s = [path_s(scenario, *(ends.get(end, Place(end)) for end in trip)) for trip in method.carries]
        return None if None in hops_s else sum(hop_s for hop_s in hops_s if hop_s is not None)


def _memory(session: SessionSpec) -> tuple[str, str, str]:
    """Under what a policy remembers: who opens, to whom, and the policy with its parameters."""
    return session.cn, session.mn, session.selection.key
