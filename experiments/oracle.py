"""The closed forms: what a session set-up and a round trip must take, from the scenario alone.

Nothing here knows how anything is measured, or how the network is built: link delays and positions in, seconds out.
``setup = lookup + connect`` (docs/methods.md): RTTs along configured one-way delays.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from dmmlab.experiments.scenario import CORE, DDNS, RADIO, RESOLVER, SERVER, Method, Scenario, Transport


@dataclass(frozen=True)
class Expectation:
    """Seconds; None where the session cannot be set up at all (no redirect to a stale address, no radio link)."""

    lookup_s: float
    connect_s: float | None

    @property
    def setup_s(self) -> float | None:
        return None if self.connect_s is None else self.lookup_s + self.connect_s


def serving(scenario: Scenario, node: str, at_s: float) -> str | None:
    """The mobile router that ``node`` is attached to at ``at_s``; None before its first attachment and in a gap."""
    router: str | None = None
    for turn, move in enumerate(scenario.moves_of(node)):
        if at_s < move.at:
            break
        router = move.to if turn == 0 or at_s >= move.at + move.gap else None
    return router


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
        for link in scenario.links:
            if router in link.between and set(link.between) <= set(scenario.mobile_routers):
                far = link.between[0] if link.between[1] == router else link.between[1]
                heapq.heappush(heap, (delay + link.delay, far))
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


def expect(
    scenario: Scenario, method: Method, transport: Transport, cn: str, node: str, at_s: float, address_of: str
) -> Expectation:
    """What a session from ``cn`` to ``node`` at ``at_s`` must take; ``address_of`` is the anchor of the address used.

    For `ddns` the resolver has nothing cached and the CN neither; see `expect_lookup_cached` for the other cases.
    """
    at_router = serving(scenario, node, at_s)
    if at_router is None:
        return Expectation(0.0, None)
    to_mn = host_to_mn_s(scenario, cn, node, address_of, at_router)
    cn_server = hosts_s(scenario, cn, SERVER)
    server_mn = host_to_mn_s(scenario, SERVER, node, at_router, at_router) or 0.0
    lookups: dict[Method, Callable[[], float]] = {
        "fixed": lambda: 0.0,
        "ddns": lambda: 2 * (hosts_s(scenario, cn, RESOLVER) + hosts_s(scenario, RESOLVER, DDNS)),
        "p2p": lambda: 2 * cn_server,
        "central": lambda: 2 * (cn_server + server_mn),
        "combined": lambda: 2 * (cn_server + server_mn),
    }
    one_way = cn_server + server_mn if method == "central" else to_mn
    round_trips = 1 if transport == "udp" else 2
    connect_s = None if one_way is None else 2 * one_way * round_trips
    return Expectation(lookups[method](), connect_s)
