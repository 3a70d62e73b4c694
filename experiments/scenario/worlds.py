"""Matrices of round trips that nobody measured: hosts in a few regions of a plane, and detours between some of them.

In a plane the way by a third host is never the shorter one. In the Internet it often is, since routing follows
contracts: there the triangle inequality is violated, and there an older address can be the better one. So detours are
added, to as many pairs as it takes for a given share of all triples to be so.
"""

from __future__ import annotations

import hashlib
import math
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_REGIONS, _ACROSS_MS, _WIDTH_MS = 4, 70.0, 12.0  # so many; how far apart, and how wide, as one-way delays
_ACCESS_MS = 3.0  # mean one-way delay of a host's own line
_DETOUR = 0.9  # mean of what a detour adds, as a share of the round trip
_STEPS = 24  # of the bisection
MOST_VIOLATIONS = 0.15


def world(nodes: int, violations: float, seed: int) -> list[list[float]]:
    """Round trips in ms between ``nodes`` hosts, symmetric, to a microsecond; they follow from ``seed``.

    ``violations`` is the share (0 to 0.15) of ordered triples of different hosts (a, b, c) for which the way from a to
    c by b is shorter than the direct one; it is met as closely as so few hosts can.
    """
    chance = Random(int.from_bytes(hashlib.sha256(f"{seed}/world".encode()).digest()[:8], "big"))
    plain = _plane(nodes, chance)
    draws = [[(chance.random(), -_DETOUR * math.log1p(-chance.random())) for _ in range(i)] for i in range(nodes)]
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        share = (low + high) / 2
        if violated(_with_detours(plain, draws, share)) < violations:
            low = share
        else:
            high = share
    candidates = (_with_detours(plain, draws, share) for share in (low, high))
    return min(candidates, key=lambda matrix: abs(violated(matrix) - violations))


def violated(matrix: Sequence[Sequence[float]]) -> float:
    """The share of ordered triples of different rows (a, b, c) with a shorter way from a to c by b; NaN is no way."""
    import numpy as np

    trips: Any = np.asarray(matrix, dtype=float)
    count, whole = 0, 0
    known = np.isfinite(trips)
    np.fill_diagonal(known, val=False)
    for middle in range(len(trips)):
        by_middle = trips[:, middle, None] + trips[None, middle, :]
        there = known & known[:, middle, None] & known[None, middle, :]
        whole += int(there.sum())
        count += int((there & (by_middle < trips)).sum())
    return count / whole if whole else 0.0


def _plane(nodes: int, chance: Random) -> list[list[float]]:
    """Twice the distance and both access lines, in ms."""
    centres = [(chance.uniform(0, _ACROSS_MS), chance.uniform(0, _ACROSS_MS)) for _ in range(_REGIONS)]
    places = []
    for _ in range(nodes):
        x, y = centres[int(chance.random() * _REGIONS)]
        at = (x + chance.uniform(-1, 1) * _WIDTH_MS, y + chance.uniform(-1, 1) * _WIDTH_MS)
        places.append((*at, -_ACCESS_MS * math.log1p(-chance.random())))
    return [
        [2 * (math.dist(one[:2], other[:2]) + one[2] + other[2]) if one is not other else 0.0 for other in places]
        for one in places
    ]


def _with_detours(plain: list[list[float]], draws: list[list[tuple[float, float]]], share: float) -> list[list[float]]:
    """``plain`` with the detours of those pairs whose first draw is below ``share``."""
    matrix = [[0.0] * len(plain) for _ in plain]
    for one, row in enumerate(draws):
        for other, (draw, longer) in enumerate(row):
            trip = round(plain[one][other] * (1 + longer if draw < share else 1), 3)
            matrix[one][other] = matrix[other][one] = trip
    return matrix
