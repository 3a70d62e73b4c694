"""Two sets of numbers, point by point: where they differ, and by how much; in virtual time, to the last byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import FIGURES
from dmmlab.experiments.figures.base import FigureKind, read
from dmmlab.experiments.records.rundir import RunDirectory, read_csv

_KEYS = {  # of a run's tables: what names a row
    "sessions.csv": ("session",),
    "probes.csv": ("session", "seq"),
    "handovers.csv": ("mn", "from_mr", "to_mr", "#"),
}


class CompareError(Exception):
    """The folders cannot be compared; one sentence."""


@dataclass(frozen=True)
class Difference:
    """At ``point``, ``column`` is ``mine`` and should be ``reference``; None for a point that one side lacks."""

    point: str
    column: str
    mine: Any
    reference: Any

    @property
    def size(self) -> float:
        """By how much the two are apart; infinite where one is no number."""
        if isinstance(self.mine, int | float) and isinstance(self.reference, int | float):
            return abs(self.mine - self.reference)
        return float("inf")

    def __str__(self) -> str:
        if self.column == "":
            return f"{self.point}: {'not in the reference' if self.reference is None else 'missing'}"
        if self.size < float("inf"):
            return f"by {self.mine - self.reference:+.6g} in {self.column} at {self.point}"
        return f"{self.column} is {_shown(self.mine)} instead of {_shown(self.reference)} at {self.point}"


def _shown(value: Any) -> str:
    return "empty" if value is None else str(value)


def points(
    mine: Sequence[Mapping[str, Any]],
    reference: Sequence[Mapping[str, Any]],
    key: Sequence[str],
    columns: Iterable[str],
) -> list[Difference]:
    """Rows matched by ``key``, and those of ``columns`` in which they differ; the largest difference first."""
    ours, theirs = ({tuple(row.get(name) for name in key): row for row in rows} for rows in (mine, reference))
    found, columns = [], tuple(columns)
    for at in dict.fromkeys((*theirs, *ours)):
        point = ", ".join(f"{name}={value}" for name, value in zip(key, at, strict=True) if value is not None)
        if at not in ours or at not in theirs:
            found.append(Difference(point, "", *(("there", None) if at in ours else (None, "there"))))
            continue
        found += [
            Difference(point, column, ours[at].get(column), theirs[at].get(column))
            for column in columns
            if ours[at].get(column) != theirs[at].get(column)  # a column may be newer than one of the two
        ]
    return sorted(found, key=lambda difference: -difference.size)


def figure(
    kind: FigureKind, mine: Sequence[Mapping[str, Any]], reference: Sequence[Mapping[str, Any]]
) -> list[Difference]:
    """A figure's rows in virtual time: exact."""
    return points(mine, reference, kind.key, (column for column in kind.columns if column not in kind.key))


def by_intervals(
    kind: FigureKind, mine: Sequence[Mapping[str, Any]], reference: Sequence[Mapping[str, Any]]
) -> list[Difference]:
    """A figure's rows in real time: points whose 95 % intervals are further apart than the figure allows there. A
    figure without intervals has none to compare: its points must be the same ones, and `check` says the rest.
    """
    lows = [column for column in kind.columns if "low" in column.split("_") and not column.startswith("off_")]
    bounds = [(low, low.replace("low", "high")) for low in lows]
    ours, theirs = ({tuple(row.get(name) for name in kind.key): row for row in rows} for rows in (mine, reference))
    found = points(mine, reference, kind.key, ())
    for at in (at for at in ours if at in theirs):
        point = ", ".join(f"{name}={value}" for name, value in zip(kind.key, at, strict=True) if value is not None)
        for low, high in bounds:
            a, b, allowed = ours[at], theirs[at], kind.allowed_in_real_time(theirs[at], low) + 1e-9
            if None in (a.get(low), a.get(high), b.get(low), b.get(high)):
                continue
            if a[low] > b[high] + allowed or a[high] < b[low] - allowed:
                found.append(Difference(point, low, a[low], b[low]))
    return sorted(found, key=lambda difference: -difference.size)


@dataclass(frozen=True)
class Shift:
    """How far a figure's subject is off the reference, over its ``points``: mine minus reference, in its own unit."""

    figure: str
    subject: str
    points: int
    median: float
    lowest: float
    highest: float


def shifts(mine: Path, reference: Path) -> list[Shift]:
    """One for each figure that both folders have."""
    found = []
    for kind in FIGURES.values():
        files = [folder / f"{kind.stem}.csv" for folder in (mine, reference)]
        if not all(file.is_file() and any(kind.subject in row for row in read(file, kind.key)) for file in files):
            continue
        ours, theirs = ({tuple(row.get(name) for name in kind.key): row[kind.subject] for row in read(file)}
                        for file in files)  # fmt: skip
        off = [ours[at] - theirs[at] for at in ours if None not in (ours[at], theirs.get(at))]
        if off:
            found.append(Shift(kind.stem, kind.subject, len(off), stats.median(off), min(off), max(off)))
    return found


# -- folders -------------------------------------------------------------------------------------------------------
def folders(mine: Path, reference: Path, exact: bool = True) -> list[tuple[str, list[Difference]]]:
    """What differs, by file: of two run directories, of two folders of runs, or of two folders of figures.

    Where it cannot be ``exact``, because one of them was made in real time, figures are compared by their intervals,
    and of runs what is no time: outcomes, paths, addresses. Raises CompareError where the two are not of one kind.
    """
    runs = [folder for folder in (mine, reference) if (folder / "run.json").is_file()]
    if len(runs) == 2:
        return list(_runs(mine, reference, exact))
    if runs:
        other = reference if runs == [mine] else mine
        raise CompareError(f"{other}: no run directory, for it has no run.json; {runs[0]} is one")
    ours, theirs = _parts(mine), _parts(reference)
    if not ours or not theirs:
        empty = mine if not ours else reference
        raise CompareError(f"{empty}: neither a run directory, nor a folder of runs, nor one of figures")
    found = []
    for name in sorted(ours | theirs):
        if name not in ours or name not in theirs:
            found.append((name, [Difference(name, "", *(("there", None) if name in ours else (None, "there")))]))
        elif name.endswith(".csv"):
            kind = FIGURES[name.split("-")[0]]
            method = figure if exact else by_intervals
            found.append((name, method(kind, *(read(folder / name, kind.key) for folder in (mine, reference)))))
        else:
            found += [(f"{name}/{file}", these) for file, these in _runs(mine / name, reference / name, exact)]
    return found


def _parts(folder: Path) -> set[str]:
    """Runs right below ``folder``, and the CSVs of figures in it."""
    runs = {path.parent.name for path in folder.glob("*/run.json")}
    return runs | {path.name for path in folder.glob("F*-*.csv") if path.name.split("-")[0] in FIGURES}


def _runs(mine: Path, reference: Path, exact: bool) -> Iterator[tuple[str, list[Difference]]]:
    for name, key in _KEYS.items():
        if not exact and name != "sessions.csv":
            continue
        ours, theirs = (_records(RunDirectory(folder).root / name, key) for folder in (mine, reference))
        columns = dict.fromkeys(column for row in (*ours, *theirs) for column in row if column not in key)
        yield name, points(ours, theirs, key, (name for name in columns if exact or not name.endswith(("_s", "_ms"))))
    if exact:
        yield from _files(RunDirectory(mine), RunDirectory(reference))


def _files(mine: RunDirectory, reference: RunDirectory) -> Iterator[tuple[str, list[Difference]]]:
    """All other records, byte for byte."""
    for name in differing(mine, reference):
        if name not in _KEYS:
            yield name, [Difference("the whole file", "bytes", "other ones", "the reference's")]


def differing(mine: RunDirectory, reference: RunDirectory) -> list[str]:
    """The records that are not the same to the byte, or that only one of two runs has, by their paths in the folder."""
    ours, theirs = mine.records(), reference.records()
    return [
        name
        for name in sorted(ours.keys() | theirs.keys())
        if name not in ours or name not in theirs or ours[name].read_bytes() != theirs[name].read_bytes()
    ]


def _records(file: Path, key: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a table, numbers as numbers; a column ``#`` counts rows where the key alone names several."""
    rows = read_csv(file) if file.is_file() else []
    typed: list[dict[str, Any]] = [{column: _number(cell) for column, cell in row.items()} for row in rows]
    return [{**row, "#": at} for at, row in enumerate(typed)] if "#" in key else typed


def _number(cell: str) -> Any:
    try:
        return float(cell) if cell else None
    except ValueError:
        return cell
