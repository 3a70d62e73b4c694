"""From the positions of a traffic simulation to a trace: SUMO's floating car data (``sumo --fcd-output``).

A node is served by the nearest mobile router, with hysteresis: it leaves for another one when that is nearer than its
own by more than so many metres (as event A3 compares signals, 3GPP TS 36.331 section 5.5.4.4), and not before it has
been at its own for a least stay. Who leaves the simulation stays where he was.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

from dmmlab.experiments.scenario.mobility.expansion import Leg
from dmmlab.machine.errors import Refusal

_MOVERS = ("vehicle", "person", "container")
_COLUMNS = ("mr", "x_m", "y_m")


class TraceError(Refusal):
    """A file cannot be converted; one sentence that names it."""


@dataclass(frozen=True)
class Router:
    """A mobile router and where it stands, metres in the simulation's coordinates."""

    name: str
    x_m: float
    y_m: float

    def distance_m(self, x_m: float, y_m: float) -> float:
        """As the crow flies."""
        return math.hypot(self.x_m - x_m, self.y_m - y_m)


@dataclass(frozen=True)
class Rule:
    """When a node leaves, and what of the simulation counts: from ``from_s``, which is the trace's 0, to ``until_s``;
    the first ``most`` nodes to appear (None: all).
    """

    hysteresis_m: float = 20.0
    least_stay_s: float = 1.0
    gap_s: float = 0.05
    from_s: float = 0.0
    until_s: float = math.inf
    most: int | None = None


@dataclass
class Converted:
    """The movements by time, and what each node's ID was in the simulation."""

    legs: list[Leg] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)


def routers(path: Path) -> list[Router]:
    """Those of a CSV file with the columns ``mr,x_m,y_m``. Raises TraceError."""
    try:
        with path.open(newline="") as file:
            lines = [line for line in csv.reader(file) if line and not line[0].startswith("#")]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{path}: cannot be read: {error}") from None
    if not lines or tuple(cell.strip() for cell in lines[0]) != _COLUMNS:
        raise TraceError(f"{path}: no positions of mobile routers; the columns are {','.join(_COLUMNS)}, under a head")
    found: dict[str, Router] = {}
    for number, line in enumerate(lines[1:], 1):
        try:
            name, x_m, y_m = (cell.strip() for cell in line)
            router = Router(name, _number(x_m), _number(y_m))
        except ValueError:
            raise TraceError(f"{path}: router {number}: {','.join(line)!r} is no name and two numbers") from None
        if name in found:
            raise TraceError(f"{path}: router {number}: {name} is there twice")
        found[name] = router
    if not found:
        raise TraceError(f"{path}: no positions of mobile routers below the head")
    return list(found.values())


def convert(fcd: Path, places: list[Router], rule: Rule) -> Converted:
    """The trace of floating car data. Raises TraceError."""
    converted = Converted()
    nodes: dict[str, tuple[str, Router, float]] = {}  # by the simulation's ID: node, where it is, since when
    last_s = -math.inf
    try:
        with fcd.open("rb") as file:
            for time_s, name, x_m, y_m in _positions(file):
                if time_s < last_s:
                    raise ValueError(f"time goes back from {last_s:g} to {time_s:g} s")
                last_s = time_s
                if not rule.from_s <= time_s <= rule.until_s:
                    continue
                at_s = time_s - rule.from_s
                if name in nodes:
                    node, at, since_s = nodes[name]
                    to = _next(places, at, x_m, y_m, rule.hysteresis_m)
                    if to is at or at_s - since_s < rule.least_stay_s + rule.gap_s:
                        continue
                elif rule.most is not None and len(nodes) >= rule.most:
                    continue
                else:
                    node = f"MN{len(nodes) + 1}"
                    converted.names[node] = name
                    to = min(places, key=lambda router: router.distance_m(x_m, y_m))
                nodes[name] = (node, to, at_s)
                converted.legs.append(Leg(at_s, node, to.name, rule.gap_s))
    except KeyError as error:
        raise TraceError(f"{fcd}: no floating car data of SUMO: somebody or a time step lacks {error}") from None
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise TraceError(f"{fcd}: no floating car data of SUMO: {error}") from None
    if not converted.legs:
        raise TraceError(f"{fcd}: no vehicle or person is anywhere in the time that was asked for")
    return converted


def _next(places: list[Router], at: Router, x_m: float, y_m: float, hysteresis_m: float) -> Router:
    nearest = min(places, key=lambda router: router.distance_m(x_m, y_m))
    return nearest if nearest.distance_m(x_m, y_m) < at.distance_m(x_m, y_m) - hysteresis_m else at


def _positions(file: BinaryIO) -> Iterator[tuple[float, str, float, float]]:
    """Time, ID and place of each that moves, step by step; a step is forgotten when it is over."""
    for _, step in ElementTree.iterparse(file):
        if step.tag == "timestep":
            time_s = _number(step.attrib["time"])
            for mover in step:
                if mover.tag in _MOVERS:
                    yield time_s, mover.attrib["id"], _number(mover.attrib["x"]), _number(mover.attrib["y"])
            step.clear()


def _number(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text!r} is no time, and no place")
    return number
