"""Between which mobile routers a scenario needs tunnels: the ends of those redirects that go through the core."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator

from dmmlab.experiments.scenario.model import CORE, Scenario

_Cost = tuple[int, int, int]  # nanoseconds, tunnels, hops


def tunnels(scenario: Scenario) -> tuple[tuple[str, str], ...]:
    """Pairs of mobile routers, in their order, each once; none unless ``transit: shortest``.

    For each router that a node has an address from and each that serves it later, the shortest way between them is
    looked for over inter-MR links and tunnels; of two that take as long, that with fewer tunnels.
    """
    if scenario.transit == "links" or not scenario.redirects:
        return ()
    order = {name: number for number, name in enumerate(scenario.mobile_routers)}
    found: set[tuple[str, str]] = set()
    for anchor, all_serving in _redirects(scenario).items():
        came_from = _tree(scenario, anchor)
        for serving in all_serving:
            here = serving
            while here != anchor:
                before, by_tunnel = came_from[here]
                if by_tunnel:
                    one, other = sorted((before, here), key=order.__getitem__)
                    found.add((one, other))
                here = before
    return tuple(sorted(found, key=lambda pair: (order[pair[0]], order[pair[1]])))


def _redirects(scenario: Scenario) -> dict[str, set[str]]:
    """By anchor, the routers that serve one of its addresses in the scenario."""
    pairs: dict[str, set[str]] = defaultdict(set)
    for node in scenario.mobile_nodes:
        anchors: set[str] = set()
        for move in scenario.moves_of(node):
            for anchor in anchors - {move.to}:
                pairs[anchor].add(move.to)
            anchors.add(move.to)
    return pairs


def _tree(scenario: Scenario, start: str) -> dict[str, tuple[str, bool]]:
    """The shortest ways from mobile router ``start``: by each other one, the one before it, and whether by a tunnel."""
    least: dict[str, _Cost] = {start: (0, 0, 0)}
    came_from: dict[str, tuple[str, bool]] = {}
    heap: list[tuple[_Cost, str]] = [((0, 0, 0), start)]
    while heap:
        cost, here = heapq.heappop(heap)
        if cost > least[here]:
            continue
        for there, way_ns, by_tunnel in _steps(scenario, here):
            further = (cost[0] + way_ns, cost[1] + by_tunnel, cost[2] + 1)
            if there not in least or further < least[there]:
                least[there], came_from[there] = further, (here, by_tunnel)
                heapq.heappush(heap, (further, there))
    return came_from


def _steps(scenario: Scenario, here: str) -> Iterator[tuple[str, int, bool]]:
    for link in scenario.inter_mr_links.get(here, ()):
        yield scenario.other_end(link, here), round(link.delay * 1e9), False
    for there in scenario.mobile_routers:
        if there != here:
            yield there, _through_core_ns(scenario, here, there), True


def _through_core_ns(scenario: Scenario, one: str, other: str) -> int:
    pair_s = scenario.pairs.get(frozenset((one, other)))
    if pair_s is not None:
        return round(pair_s * 1e9)
    links = (scenario.link(end, CORE) for end in (one, other))
    return round(sum(link.delay for link in links if link is not None) * 1e9)
