"""The closed form of each session's set-up, of a whole scenario.

Nothing here knows how anything is measured, or how the network is built: link delays, movements and TTLs in, seconds
out. ``setup = lookup + connect`` (docs/methods.md), sums of round trips along configured one-way delays. Processing
takes no time, and where an answer depends on who was faster in the middle of a move, there is no closed form: None.
"""

from __future__ import annotations

from dataclasses import dataclass

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import CN, MN, Lookup, Method, RoundTrip
from dmmlab.experiments.oracle.delays import host_to_mn_s, hosts_s
from dmmlab.experiments.oracle.moves import redirected_s, serving, unsettled
from dmmlab.experiments.oracle.world import ScenarioWorld
from dmmlab.experiments.policies import POLICIES
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of


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
        self._expected: dict[int, Expectation | None] = {}
        self._answers: dict[int, str] = {}
        for session in sorted(sessions_of(scenario), key=lambda spec: (spec.at_s, spec.number)):
            self._expected[session.number] = self._expect(session)

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
        at_router = serving(scenario, session.mn, session.at_s)
        if lookup is None or at_router is None or unsettled(scenario, session.mn, session.at_s):
            return None
        lookup = POLICIES[session.select].closed_form(lookup, self._ways_s(session, at_router))
        one_way_s = self._carried_s(method, session, lookup, at_router)
        if one_way_s is None:
            return None
        connect_s = 2 * one_way_s * (1 if session.transport == "udp" else 2)
        over_s = session.at_s + lookup.lookup_s + connect_s
        if any(session.at_s < move.at <= over_s for move in scenario.moves_of(session.mn)):
            return None
        return Expectation(lookup.lookup_s, connect_s, lookup.anchor)

    def _ways_s(self, session: SessionSpec, at_router: str) -> dict[str, float]:
        """One-way delays by each address that the node has by then, by its router.

        The node keeps every address that it ever had and names them all to the server.
        """
        ways_s = {}
        for move in self._scenario.moves_of(session.mn):
            way_s = host_to_mn_s(self._scenario, session.cn, session.mn, move.to, at_router)
            if move.at <= session.at_s and way_s is not None:
                ways_s[move.to] = way_s
        return ways_s

    def _carried_s(self, method: Method, session: SessionSpec, lookup: Lookup, at_router: str) -> float | None:
        """One way of the user plane; None without one, or while the redirect that it needs is not in force yet."""
        scenario, anchor = self._scenario, at_router if method.relayed else lookup.anchor
        late = session.at_s + lookup.lookup_s < redirected_s(scenario, session.mn, session.at_s)
        if anchor != at_router and late:
            return None
        hops_s = [self._hop_s(trip, session, anchor, at_router) for trip in method.carries]
        return None if None in hops_s else sum(hop_s for hop_s in hops_s if hop_s is not None)

    def _hop_s(self, trip: RoundTrip, session: SessionSpec, anchor: str, at_router: str) -> float | None:
        near, far = (session.cn if end == CN else end for end in trip)
        if far == MN:
            return host_to_mn_s(self._scenario, near, session.mn, anchor, at_router)
        return hosts_s(self._scenario, near, far)
