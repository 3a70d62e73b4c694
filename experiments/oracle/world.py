"""A scenario as the methods' closed forms ask it (`dmmlab.experiments.methods.base.World`)."""

from __future__ import annotations

from dmmlab.experiments.oracle import delays, moves
from dmmlab.experiments.oracle.caches import Resolver
from dmmlab.experiments.scenario.model import Scenario


class ScenarioWorld:
    """Delays, positions and caches of one scenario; its sessions are to ask in the order of time."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.resolver = Resolver(scenario)
        self.cn_cache: str = scenario.ddns.cn_cache
        self.lazy: bool = scenario.registration.delay_s > 0
        self.server_s: float = scenario.costs.register_s
        self.remembered: dict[tuple[str, ...], tuple[float, str]] = {}

    def hosts_s(self, one: str, other: str) -> float:
        """One way between two hosts on the core, seconds."""
        return delays.hosts_s(self._scenario, one, other)

    def way_s(self, one: str, other: str, at_s: float) -> float | None:
        """One way between two ends by what each uses for what is new at ``at_s``, seconds; None where one cannot."""
        ends = [moves.place(self._scenario, name, at_s) for name in (one, other)]
        return None if None in ends else delays.path_s(self._scenario, *(end for end in ends if end is not None))

    def to_node_s(self, host: str, node: str, anchor: str, serving: str) -> float | None:
        """One way from ``host`` to ``node`` by its address of ``anchor``, at ``serving``; None if there is none."""
        return delays.host_to_mn_s(self._scenario, host, node, anchor, serving)

    def serving(self, node: str, at_s: float) -> str | None:
        """Where ``node`` is attached at ``at_s``; None in a gap."""
        return moves.serving(self._scenario, node, at_s)

    def newest(self, node: str, at_s: float) -> str | None:
        """The router of the address that ``node`` uses for what is new; None where it cannot, or older ones do not work
        yet.
        """
        place = moves.place(self._scenario, node, at_s)
        if place is None or (
            place.anchor != self.first(node) and moves.redirected_s(self._scenario, node, at_s) > at_s
        ):
            return None
        return place.anchor

    def first(self, node: str) -> str:
        """Where ``node`` attaches first; a host, nowhere."""
        return next((move.to for move in self._scenario.moves_of(node)), "")

    def known(self, node: str, host: str, at_s: float) -> str | None:
        """The router of the newest address of ``node`` that ``host`` has been told of by ``at_s``."""
        return moves.latest(moves.known_at_s(self._scenario, node, host), at_s)
