"""From ``mobility`` to movement: each node's itinerary, drawn from the scenario's seed and the node's name alone.

A node has a stream of its own for each entry that names it, so that neither another node nor the order of entries, nor
anything else that is random in a run, changes where it goes. Only the uniform variates of Python's generator are used,
which are the same in every version (docs of the module ``random``), and times are rounded to microseconds.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import NamedTuple

from dmmlab.experiments.scenario.mobility.models import MODELS, Map, one_of
from dmmlab.experiments.scenario.mobility.section import Mobility, Residence

MOST_MOVES = 100_000
_GRID_DIGITS = 6  # microseconds


class Leg(NamedTuple):
    """At ``at_s`` ``node`` leaves for mobile router ``to``, where it is ``gap_s`` later.

    With ``overlap_s`` it is there at once by another radio, and the first is gone so much later.
    """

    at_s: float
    node: str
    to: str
    gap_s: float
    overlap_s: float | None = None

    @property
    def over_s(self) -> float:
        """When it has no other link than that to ``to``."""
        return self.at_s + (self.gap_s if self.overlap_s is None else self.overlap_s)


@dataclass(frozen=True)
class Ground:
    """What itineraries are drawn on: the mobile routers in order, by each those that an inter-MR link leads to, how
    long the scenario lasts, and the gap of a movement that says none.
    """

    routers: tuple[str, ...]
    neighbours: Mapping[str, Sequence[str]]
    duration_s: float
    gap_s: float

    def map_of(self, entry: Mobility) -> Map:
        """The part that an entry's nodes keep to."""
        routers = entry.routers or self.routers
        return Map(routers, {name: [n for n in self.neighbours.get(name, ()) if n in routers] for name in routers})


def itineraries(entries: Sequence[Mobility], written: Sequence[Leg], ground: Ground, seed: int) -> list[Leg]:
    """What ``entries`` come to, by time, for nodes that have moved as ``written`` by then.

    Raises ValueError where that is too much for any run.
    """
    found: list[Leg] = []
    by_node: dict[str, list[Leg]] = defaultdict(list)
    for leg in written:
        by_node[leg.node].append(leg)
    turns: dict[str, int] = defaultdict(int)
    for entry in sorted(entries, key=lambda entry: entry.from_):
        for node in entry.moved:
            before = [leg for leg in by_node[node] if leg.at_s <= entry.from_]
            at = max(before, key=lambda leg: leg.at_s).to if before else None
            digest = hashlib.sha256(f"{seed}/mobility/{node}/{turns[node]}".encode()).digest()
            turns[node] += 1
            chance = Random(int.from_bytes(digest[:8], "big"))
            legs = list(islice(_legs(entry, node, at, ground, chance), MOST_MOVES + 1 - len(found)))
            by_node[node] += legs
            found += legs
            if len(found) > MOST_MOVES:
                raise ValueError(f"mobility: comes to more than {MOST_MOVES:,} movements: let nodes stay longer")
    return sorted(found, key=lambda leg: leg.at_s)


def _legs(entry: Mobility, node: str, at: str | None, ground: Ground, chance: Random) -> Iterator[Leg]:
    """Of one node; ``at``: where it is when the entry begins, None if it is nowhere yet."""
    if entry.model is None or entry.residence is None:
        for row in entry.trace or ():
            if row.node == node:
                gap_s = 0.0 if row.overlap_s is not None else ground.gap_s if row.gap_s is None else row.gap_s
                yield Leg(round(row.time_s, _GRID_DIGITS), node, row.mr, gap_s, row.overlap_s)
        return
    places, now_s = ground.map_of(entry), entry.from_
    gap_s = 0.0 if entry.overlap is not None else ground.gap_s if entry.gap is None else entry.gap
    ends_s = ground.duration_s if entry.until is None else min(entry.until, ground.duration_s)
    if at is None:
        at = one_of(places.routers, chance)
        yield Leg(now_s, node, at, ground.gap_s)
    stay_s = _residence_s(entry.residence, chance)
    for stop in MODELS[entry.model](places, at, chance):
        leg = Leg(round(now_s + stay_s, _GRID_DIGITS), node, stop.router, gap_s, entry.overlap)
        if leg.over_s > ends_s:
            return
        yield leg
        now_s = leg.over_s
        stay_s = entry.passing if stop.passing else _residence_s(entry.residence, chance)


def _residence_s(residence: Residence, chance: Random) -> float:
    """One draw, at least a microsecond: how long the node is attached."""
    if residence.constant is not None:
        return residence.constant
    share = chance.random()
    if residence.exponential is not None:
        drawn_s = -residence.exponential * math.log1p(-share)
    else:
        assert residence.file is not None  # one of the three is given
        drawn_s = residence.file[int(share * len(residence.file))]
    return max(drawn_s, 10.0**-_GRID_DIGITS)
