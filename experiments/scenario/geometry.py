"""``geometry``: delays between all nodes at the core from a matrix of round trips, and who stands where in it.

It is worked out once, when a scenario is read; what a run keeps of it are the delays themselves, so that nobody who has
the run needs the matrix.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dmmlab.experiments.scenario import beside
from dmmlab.experiments.scenario.units import format_duration, parse_share
from dmmlab.experiments.scenario.worlds import world

Matrix = list[list[float]]
_SEPARATOR = re.compile(r"[\t,]")


class GeometryError(ValueError):
    """The geometry cannot be had; one sentence that names the file, the place and the remedy."""


class Near(NamedTuple):
    """Nodes that are to stand near each other where places are drawn, and the longest round trip that is near, ms."""

    couples: Sequence[tuple[str, str]] = ()
    most_ms: float = 0.0


_NOBODY = Near()


def expanded(
    geometry: dict[str, Any], names: Sequence[str], seed: int, folder: Path, near: Near = _NOBODY
) -> dict[str, Any]:
    """``geometry`` of a file in ``folder`` with the places and the delays of all pairs of ``names`` worked out.

    Half a round trip is the delay in each direction. With ``place: random`` each node gets a row of its own, drawn
    from ``seed``, of those that have a round trip to all before it: first the couples of ``near``, then the others.
    GeometryError for a matrix that does not say.
    """
    source = str(geometry.get("matrix") or "the generated matrix")
    if geometry.get("generate") is not None:
        made = geometry["generate"]
        matrix = world(made["nodes"], parse_share(made.get("violations", 0)), seed)
    else:
        try:
            matrix = read(beside.find(folder, source), source)
        except beside.Elsewhere as problem:
            raise GeometryError(f"matrix: {source} {problem}") from None
    place = geometry.get("place", "random")
    if place == "random":
        place = _drawn(matrix, names, seed, source, near)
    if not isinstance(place, dict):
        raise GeometryError(f"place: must be random, or a row for each node, such as {{CN1: 17}}; found {place!r}")
    for name, row in place.items():
        if name not in names:
            raise GeometryError(f"place: {name}: no such node at the core; there are {', '.join(names)}")
        if not isinstance(row, int) or not 0 <= row < len(matrix):
            raise GeometryError(f"place: {name}: {source} has rows 0 to {len(matrix) - 1}; found {row!r}")
    delays: list[dict[str, Any]] = []
    placed = [name for name in names if name in place]
    for later, one in enumerate(placed):
        for other in placed[later + 1 :]:
            trip_ms = matrix[place[one]][place[other]]
            if math.isnan(trip_ms):
                raise GeometryError(
                    f"place: {source} has no round trip between rows {place[one]} ({one}) and {place[other]} "
                    f"({other}); give one of them another row"
                )
            delays.append({"between": [one, other], "delay": format_duration(trip_ms / 2e3)})
    return {**geometry, "place": dict(place), "delays": delays}


def read(path: Path, name: str) -> Matrix:
    """The round trips in ms of a square matrix, a line a row, tabs or commas between; NaN where there is none.

    There is none where a field is empty, no number, or negative; the diagonal is 0 whatever stands there.
    """
    try:
        lines = [line for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise GeometryError(f"matrix: {name} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    rows = [[_number(text) for text in _SEPARATOR.split(line)] for line in lines]
    for number, row in enumerate(rows):
        if len(row) != len(rows):
            raise GeometryError(
                f"matrix: {name}: not square: {len(rows)} lines, and line {number + 1} has {len(row)} numbers"
            )
    for number, row in enumerate(rows):
        row[number] = 0.0
    return rows


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) and value >= 0 else math.nan


def _drawn(matrix: Matrix, names: Sequence[str], seed: int, source: str, near: Near) -> dict[str, int]:
    draw = random.Random(hashlib.sha256(f"{seed}/geometry".encode()).digest())
    rows = list(range(len(matrix)))
    draw.shuffle(rows)
    taken = _coupled(matrix, draw, source, near) if near.couples else {}
    rows = [row for row in rows if row not in taken.values()]
    for name in (name for name in names if name not in taken):
        row = next((r for r in rows if all(not math.isnan(matrix[r][other]) for other in taken.values())), None)
        if row is None:
            raise GeometryError(f"place: {source} has no {len(names)} rows that all have a round trip to each other")
        rows.remove(row)
        taken[name] = row
    return taken


def _coupled(matrix: Matrix, draw: random.Random, source: str, near: Near) -> dict[str, int]:
    """Rows for the couples: of all near pairs of rows, each as likely, those with a round trip to all before."""
    count = len(matrix)
    pairs = [(a, b) for a in range(count) for b in range(count) if a != b and matrix[a][b] <= near.most_ms]
    draw.shuffle(pairs)
    taken: dict[str, int] = {}
    for couple in near.couples:
        before = set(taken.values())
        pair = next((p for p in pairs if before.isdisjoint(p) and _known(matrix, p, before)), None)
        if pair is None:
            raise GeometryError(
                f"near: {source} has no {len(near.couples)} pairs of rows within {near.most_ms:g} ms of each other; "
                "give a longer round trip, or fewer mobile routers"
            )
        taken.update(zip(couple, pair, strict=True))
    return taken


def _known(matrix: Matrix, pair: tuple[int, int], others: set[int]) -> bool:
    return not any(math.isnan(matrix[row][other]) for row in pair for other in others)
