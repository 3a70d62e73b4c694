"""The inter-MR path: which switches, and which of their ports, lie between a binding's anchor and its serving MR."""

import heapq
import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from dmmlab.controllers.plan import Plan

Ports = Mapping[int, Mapping[str, int]]
"""Per datapath id: port number by port name, as the switches report them."""


@dataclass(frozen=True)
class Hop:
    """One switch on a path and its two ports on it: inwards to the anchor, outwards to the mobile node."""

    dpid: int
    inward: int
    outward: int


@dataclass(frozen=True)
class Path:
    """Hops from the anchor (first) to the serving switch (last); one-way inter-MR delay in seconds."""

    hops: tuple[Hop, ...]
    delay_s: float

    @property
    def anchor(self) -> Hop:
        """The hop whose inward port is the anchor router's."""
        return self.hops[0]

    @property
    def serving(self) -> Hop:
        """The hop whose outward port is the mobile node's."""
        return self.hops[-1]


def shortest(plan: Plan, ports: Ports, anchor: int, serving: int, outward: int) -> Path | None:
    """The path of least delay from the anchor's router port to port ``outward`` of the serving switch.

    Ties go to fewer hops, then to lower datapath ids, so that every run takes the same. None if the ports that are
    up do not connect the two.
    """
    router_port = ports.get(anchor, {}).get(plan.switch(anchor).router_port_name)
    links = _links(plan, ports)
    queue: list[tuple[float, int, tuple[int, ...]]] = [(0.0, 1, (anchor,))]
    done: set[int] = set()
    while queue and router_port is not None:
        delay_s, _, trail = heapq.heappop(queue)
        here = trail[-1]
        if here == serving:
            return Path(_hops(trail, links, router_port, outward), delay_s)
        if here in done:
            continue
        done.add(here)
        for (source, peer), (_, cost_s) in links.items():
            if source == here and peer not in done:
                heapq.heappush(queue, (delay_s + cost_s, len(trail) + 1, (*trail, peer)))
    return None


def _links(plan: Plan, ports: Ports) -> dict[tuple[int, int], tuple[int, float]]:
    """(dpid, peer) -> (port number, delay) of the links whose both ends are up; the faster of parallel ones."""
    ends: dict[tuple[int, int], tuple[int, float]] = {}
    for switch in plan.switches:
        for link in switch.inter_mr:
            number = ports.get(switch.dpid, {}).get(link.port_name)
            pair = (switch.dpid, link.peer_dpid)
            if number is not None and (pair not in ends or link.delay_s < ends[pair][1]):
                ends[pair] = (number, link.delay_s)
    return {pair: end for pair, end in ends.items() if pair[::-1] in ends}


def _hops(
    trail: tuple[int, ...], links: Mapping[tuple[int, int], tuple[int, float]], router_port: int, outward: int
) -> tuple[Hop, ...]:
    pairs = list(itertools.pairwise(trail))
    outwards = [links[here, following][0] for here, following in pairs] + [outward]
    inwards = [router_port] + [links[following, here][0] for here, following in pairs]
    return tuple(Hop(*each) for each in zip(trail, inwards, outwards, strict=True))
