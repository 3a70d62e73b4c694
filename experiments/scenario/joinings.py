"""How mobile routers are joined by inter-MR links, and the outline of a scenario with so many of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

Pairs = list[tuple[str, str]]


def line(names: Sequence[str]) -> Pairs:
    """Each with the next."""
    return list(pairwise(names))


def ring(names: Sequence[str]) -> Pairs:
    """A line whose ends are joined, too (of two: a line)."""
    return [*line(names), (names[-1], names[0])] if len(names) > 2 else line(names)


def star(names: Sequence[str]) -> Pairs:
    """The first with each other one."""
    return [(names[0], name) for name in names[1:]]


def mesh(names: Sequence[str]) -> Pairs:
    """Each with each."""
    return list(combinations(names, 2))


def none(_names: Sequence[str]) -> Pairs:
    """Nobody with anybody: redirects go through the core, by tunnels."""
    return []


JOININGS: dict[str, Callable[[Sequence[str]], Pairs]] = {each.__name__: each for each in (line, ring, star, mesh, none)}


@dataclass(frozen=True)
class Outline:
    """A scenario that runs as it is and wants to be changed; delays as a scenario has them.

    ``trace`` is a file with the movement; ``begin_s`` says from when on a node is somewhere in it.
    """

    name: str
    join: str
    routers: Sequence[str]
    nodes: Sequence[str]
    core: str = "5ms"
    between: str = "4ms"
    radio: str = "2ms"
    duration_s: int = 60
    family: str = "ipv4"
    trace: str | None = None
    begin_s: Mapping[str, float] = field(default_factory=dict)

    def text(self) -> str:
        """The scenario file."""
        links = [f"[radio, {node}], delay: {self.radio}" for node in self.nodes]
        links += [f"[{router}, CORE], delay: {self.core}" for router in self.routers]
        links += [f"[{one}, {other}], delay: {self.between}" for one, other in JOININGS[self.join](self.routers)]
        links += ["[CN1, CORE], delay: 10ms", "[RESOLVER, CORE], delay: 1ms", "[DDNS, CORE], delay: 15ms"]
        links += ["[SERVER, CORE], delay: 15ms", "[CONTROLLER, switches], delay: 1ms"]
        model = "random-waypoint" if self.join == "none" else "random-walk"
        nodes = f"nodes: [{', '.join(self.nodes)}]"
        itinerary = (
            f"trace: {self.trace}" if self.trace else f"{nodes}, model: {model}, residence: {{exponential: 10s}}"
        )
        sessions = [*self._sessions()]
        lines = [
            f"# {len(self.routers)} mobile routers ({self.join}), {len(self.nodes)} mobile nodes.",
            f"name: {self.name}",
            *([f"family: {self.family}"] if self.family != "ipv4" else []),
            f"mobile_routers: [{', '.join(self.routers)}]",
            "links:",
            *(f"  - {{between: {link}}}" for link in links),
            "transit: shortest",
            "mobility:",
            f"  - {{{itinerary}}}",
            "sessions:",
            *(f"  - {{{session}}}" for session in sessions),
            f"duration: {self.duration_s}s",
        ]
        return "".join(f"{each}\n" for each in lines)

    def _sessions(self) -> Iterator[str]:
        """To each node that is there early enough, on its first address, from a second after it is on."""
        for number, node in enumerate(self.nodes, 1):
            at_s = math.floor(self.begin_s.get(node, 0.0)) + 1
            if at_s < self.duration_s - 1:
                lasts = f"interval: 1s, duration: {self.duration_s - 1 - at_s}s"
                yield f"name: P{number}, at: {at_s}s, from: CN1, to: {node}, method: fixed, {lasts}"
