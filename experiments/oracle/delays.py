"""One-way delays along configured links, seconds: between hosts, mobile routers, and to mobile nodes."""

from __future__ import annotations

import heapq

from dmmlab.experiments.scenario.model import CORE, RADIO, Scenario


def link_s(scenario: Scenario, one: str, other: str) -> float:
    """One-way delay of the link between two ends; 0 if there is none."""
    link = scenario.link(one, other)
    return 0.0 if link is None else link.delay


def to_core_s(scenario: Scenario, node: str) -> float:
    """One-way delay between the core and host or mobile router ``node``."""
    link = scenario.link(node, CORE)
    return 0.0 if link is None else link.delay


def inter_mr_s(scenario: Scenario, one: str, other: str) -> float | None:
    """One-way delay of the shortest way over inter-MR links (Dijkstra); None if there is none."""
    reached, heap = set[str](), [(0.0, one)]
    while heap:
        delay, router = heapq.heappop(heap)
        if router == other:
            return delay
        if router in reached:
            continue
        reached.add(router)
        for link in scenario.inter_mr_links.get(router, ()):
            heapq.heappush(heap, (delay + link.delay, scenario.other_end(link, router)))
    return None


def host_to_mn_s(scenario: Scenario, host: str, node: str, anchor: str, at_router: str) -> float | None:
    """One-way delay from ``host`` to ``node`` by its address of ``anchor``, while ``at_router`` serves it.

    By the redirect where the two differ: None if there is no redirect or no inter-MR way.
    """
    radio = scenario.link(RADIO, node)
    across = inter_mr_s(scenario, anchor, at_router) if anchor == at_router or scenario.redirect else None
    if across is None or radio is None:
        return None
    return to_core_s(scenario, host) + to_core_s(scenario, anchor) + across + radio.delay


def hosts_s(scenario: Scenario, one: str, other: str) -> float:
    """One-way delay between two hosts on the core."""
    return to_core_s(scenario, one) + to_core_s(scenario, other)
