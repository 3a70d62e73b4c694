"""Where the closed forms of two methods cross as a distance grows: solved for, since each is linear in any delay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

_FLAT = 1e-9  # slopes and places that are the same
_BENT_MS = 1e-5  # how far a point may be off a line, written with six digits

Line = Sequence[tuple[float, float]]  # a closed form at several distances: distance and delay, ms


class Crossing(NamedTuple):
    """At which distance two methods take the same time, and the one that is faster before it, ms."""

    at_ms: float
    delay_ms: float
    before: str
    after: str


def solve(forms: Mapping[str, Line]) -> list[Crossing]:
    """Every crossing of two of ``forms``, by their names, within the distances that they have in common; by distance.

    Raises ValueError where a form is no straight line.
    """
    lines = {name: (points, *_straight(name, points)) for name, points in forms.items() if len(set(points)) > 1}
    found = []
    for (one, (ours, start, slope)), (other, (theirs, start2, slope2)) in combinations(lines.items(), 2):
        if abs(slope - slope2) < _FLAT:
            continue
        at_ms = (start2 - start) / (slope - slope2)
        low_ms = max(min(x for x, _ in points) for points in (ours, theirs))
        high_ms = min(max(x for x, _ in points) for points in (ours, theirs))
        if low_ms - _FLAT <= at_ms <= high_ms + _FLAT:
            order = (one, other) if slope > slope2 else (other, one)
            found.append(Crossing(at_ms, start + slope * at_ms, *order))
    return sorted(found)


def _straight(name: str, points: Line) -> tuple[float, float]:
    """Where the line through the outermost points starts (at 0), and its slope."""
    (x1, y1), (x2, y2) = min(points), max(points)
    slope = (y2 - y1) / (x2 - x1)
    start = y1 - slope * x1
    if any(abs(start + slope * x - y) > _BENT_MS for x, y in points):
        raise ValueError(f"the closed form of {name} is no straight line")
    return start, slope
