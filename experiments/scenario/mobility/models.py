"""Where a mobile node goes next: the mobility models, each an endless walk over mobile routers.

Camp, Boleng, Davies, "A survey of mobility models for ad hoc network research" (2002), has the first two for places in
a plane; here the places are the mobile routers, and a step is one from a router's radio to another's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple


class Stop(NamedTuple):
    """A mobile router on the way; ``passing``: between where the node comes from and where it wants to go."""

    router: str
    passing: bool = False


@dataclass(frozen=True)
class Map:
    """The routers that a walk may use, in order, and by each those among them that an inter-MR link leads to."""

    routers: tuple[str, ...]
    neighbours: Mapping[str, Sequence[str]]

    def others(self, router: str) -> list[str]:
        """All but ``router``."""
        return [name for name in self.routers if name != router]

    def way(self, start: str, end: str) -> list[str]:
        """The routers from ``start`` to ``end``, over the fewest inter-MR links; those two alone if none lead there."""
        came_from: dict[str, str] = {start: start}
        queue = deque([start])
        while queue and end not in came_from:
            here = queue.popleft()
            for name in self.neighbours[here]:
                if name not in came_from:
                    came_from[name] = here
                    queue.append(name)
        if end not in came_from:
            return [start, end]
        way = [end]
        while way[-1] != start:
            way.append(came_from[way[-1]])
        return way[::-1]


Model = Callable[[Map, str, Random], Iterator[Stop]]


def one_of(names: Sequence[str], chance: Random) -> str:
    """One of them, each as likely; one draw of ``chance``."""
    return names[int(chance.random() * len(names))]


def random_walk(places: Map, start: str, chance: Random) -> Iterator[Stop]:
    """To a neighbour by an inter-MR link, each as likely."""
    here = start
    while True:
        here = one_of(places.neighbours[here], chance)
        yield Stop(here)


def random_waypoint(places: Map, start: str, chance: Random) -> Iterator[Stop]:
    """To any other router, each as likely."""
    here = start
    while True:
        here = one_of(places.others(here), chance)
        yield Stop(here)


def ping_pong(places: Map, start: str, chance: Random) -> Iterator[Stop]:
    """Between the first router and another, which is drawn once: of its neighbours, if it has any."""
    other = one_of(places.neighbours[start] or places.others(start), chance)
    while True:
        yield Stop(other)
        yield Stop(start)


def commute(places: Map, start: str, chance: Random) -> Iterator[Stop]:
    """From home, the first router, to work, which is drawn once, and back, by all routers on the way."""
    way = places.way(start, one_of(places.others(start), chance))
    while True:
        yield from (Stop(router, passing=True) for router in way[1:-1])
        yield Stop(way[-1])
        way = way[::-1]


MODELS: dict[str, Model] = {
    "random-walk": random_walk,
    "random-waypoint": random_waypoint,
    "ping-pong": ping_pong,
    "commute": commute,
}
