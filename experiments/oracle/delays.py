"""One-way delays along configured links, seconds: between hosts, mobile routers, and to mobile nodes."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

from dmmlab.experiments.oracle.memo import once
from dmmlab.experiments.scenario.model import CORE, Scenario

_SAME_S = 1e-9  # by which two sums of delays may differ and be the same


@dataclass(frozen=True)
class Place:
    """An end of a path: a host, or a mobile node by its address of ``anchor`` while ``serving`` serves it."""

    name: str
    anchor: str = ""
    serving: str = ""

    @property
    def mobile(self) -> bool:
        """Whether it is a mobile node."""
        return bool(self.anchor)


def link_s(scenario: Scenario, one: str, other: str) -> float:
    """One-way delay of the link between two ends; 0 if there is none."""
    link = scenario.link(one, other)
    return 0.0 if link is None else link.delay


def radio_s(scenario: Scenario, node: str, router: str) -> float:
    """One-way delay of the radio link between mobile node ``node`` and mobile router ``router``."""
    link = scenario.radio(node, router)
    return 0.0 if link is None else link.delay


def to_core_s(scenario: Scenario, node: str) -> float:
    """One-way delay between the core and host or mobile router ``node``."""
    link = scenario.link(node, CORE)
    return 0.0 if link is None else link.delay


def inter_mr_s(scenario: Scenario, one: str, other: str) -> float | None:
    """One-way delay of the shortest way over inter-MR links; None if there is none."""
    return _inter_mrs_s(scenario, one).get(other)


@once
def _inter_mrs_s(scenario: Scenario, one: str) -> dict[str, float]:
    """By each mobile router to which there is a way over inter-MR links, how far it is from ``one`` (Dijkstra)."""
    least_s, heap = dict[str, float](), [(0.0, one)]
    while heap:
        delay_s, router = heapq.heappop(heap)
        if router not in least_s:
            least_s[router] = delay_s
            for link in scenario.inter_mr_links.get(router, ()):
                heapq.heappush(heap, (delay_s + link.delay, scenario.other_end(link, router)))
    return least_s


def redirect_s(scenario: Scenario, anchor: str, serving: str) -> float | None:
    """One-way delay of a redirect between two mobile routers: over inter-MR links, or, with ``transit: shortest``, by
    whatever is shortest, tunnels through the core included, which take as long as that does. None if there is no way.
    """
    if scenario.transit == "links":
        return inter_mr_s(scenario, anchor, serving)
    return _redirects_s(scenario, anchor)[serving]


@once
def _redirects_s(scenario: Scenario, anchor: str) -> dict[str, float]:
    """By each mobile router, how far it is from ``anchor``; all have a link to the core."""
    least_s, done = {anchor: 0.0}, set[str]()
    while len(done) < len(scenario.mobile_routers):
        here = min((router for router in least_s if router not in done), key=least_s.__getitem__)
        done.add(here)
        steps = [(scenario.other_end(link, here), link.delay) for link in scenario.inter_mr_links.get(here, ())]
        steps += [(other, hosts_s(scenario, here, other)) for other in scenario.mobile_routers if other not in done]
        for there, way_s in steps:
            least_s[there] = min(least_s.get(there, math.inf), least_s[here] + way_s)
    return least_s


def host_to_mn_s(scenario: Scenario, host: str, node: str, anchor: str, at_router: str) -> float | None:
    """One-way delay from ``host`` to ``node`` by its address of ``anchor``, while ``at_router`` serves it.

    By the redirect where the two differ: None if there is no redirect or no inter-MR way.
    """
    return path_s(scenario, Place(host), Place(node, anchor, at_router))


def path_s(scenario: Scenario, one: Place, other: Place) -> float | None:
    """One-way delay between two ends; None if one of them needs a redirect and there is none, or no inter-MR way.

    Each mobile end is reached through its anchor; two with the same anchor are on one link there, and meet no core.
    """
    hops_s: list[float] = []
    if not one.mobile or one.anchor != other.anchor:
        hops_s.append(hosts_s(scenario, *(end.anchor or end.name for end in (one, other))))
    for end in (one, other):
        if end.mobile:
            redirected = scenario.redirects or end.anchor == end.serving
            across_s = redirect_s(scenario, end.anchor, end.serving) if redirected else None
            if across_s is None:
                return None
            hops_s += [across_s, radio_s(scenario, end.name, end.serving)]
    return sum(hops_s)


@once
def hosts_s(scenario: Scenario, one: str, other: str) -> float:
    """One-way delay between two hosts or mobile routers by the core: the pair's own, or both their ways."""
    pair_s = scenario.pairs.get(frozenset((one, other)))
    return to_core_s(scenario, one) + to_core_s(scenario, other) if pair_s is None else pair_s


def older_is_shorter(scenario: Scenario, host: str, node: str) -> bool:
    """Whether the way from ``host`` by the router that ``node`` is at first is shorter than the direct one to its
    second: whether the three violate the triangle inequality, if redirects take the direct way between the routers.
    """
    old, new = (move.to for move in scenario.moves_of(node)[:2])
    by_old_s = hosts_s(scenario, host, old) + (redirect_s(scenario, old, new) or 0.0)
    return by_old_s < hosts_s(scenario, host, new) - _SAME_S
