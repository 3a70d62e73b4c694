"""The files that ``mobility`` names, read with the scenario, so that a scenario is whole wherever it is carried.

A residence file has a duration in seconds in the first column of each line; a trace the columns ``time_s,node,mr`` and,
if wanted, ``gap_s`` or ``overlap_s``, under a head that names them, ordered by time. Lines of ``#`` may come first.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from dmmlab.experiments.scenario import beside
from dmmlab.experiments.scenario.mobility.expansion import Leg

REQUIRED, OPTIONAL = ("time_s", "node", "mr"), ("gap_s", "overlap_s")


class FileProblem(ValueError):
    """A file cannot be used; one sentence that names it."""


def trace_of(path: Path) -> list[dict[str, Any]]:
    """The rows of the trace in file ``path``. Raises FileProblem."""
    return _from(path, f"trace {path}", trace)


def read(entries: Any, folder: Path) -> Any:
    """``entries`` of a scenario's ``mobility``, with what its files hold in the place of their names.

    Files are looked for in ``folder``. What is no list of mappings is given back as it is, for others to refuse.
    Raises FileProblem.
    """
    if not isinstance(entries, list):
        return entries
    return [_entry(entry, folder, f"entry {turn}") for turn, entry in enumerate(entries, 1)]


def durations_in(folder: Path, name: str, where: str, what: str) -> list[float]:
    """The durations in file ``name`` of ``folder``, seconds; ``what`` each is. Raises FileProblem."""
    return _beside(folder, name, where, lambda lines, place: durations(lines, place, what))


def _entry(entry: Any, folder: Path, where: str) -> Any:
    if not isinstance(entry, dict):
        return entry
    read_in = dict(entry)
    if isinstance(name := entry.get("trace"), str):
        read_in["trace"] = _beside(folder, name, f"{where}: trace {name}", trace)
    residence = entry.get("residence")
    if isinstance(residence, dict) and isinstance(name := residence.get("file"), str):
        read_in["residence"] = {
            **residence,
            "file": _beside(folder, name, f"{where}: residence: file {name}", durations),
        }
    return read_in


def _beside(folder: Path, name: str, where: str, read_lines: Callable[[list[list[str]], str], list[Any]]) -> list[Any]:
    try:
        return _from(beside.find(folder, name), where, read_lines)
    except beside.Elsewhere as problem:
        raise FileProblem(f"{where} {problem}") from None


def _from(path: Path, where: str, read_lines: Callable[[list[list[str]], str], list[Any]]) -> list[Any]:
    try:
        with path.open(newline="") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileProblem(f"{where}: cannot be read: {error}") from None
    return read_lines(lines, where)


def _lines(lines: list[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """With their numbers, those that say something."""
    for number, line in enumerate(lines, 1):
        if line and any(cell.strip() for cell in line) and not line[0].startswith("#"):
            yield number, [cell.strip() for cell in line]


def durations(lines: list[list[str]], where: str, what: str = "residence time") -> list[float]:
    """The residence times of a file, or ``what`` it has, seconds. Raises FileProblem if there is none, or one that is
    none.
    """
    found = []
    for turn, (number, line) in enumerate(_lines(lines)):
        seconds = _number(line[0])
        if seconds is None and turn == 0:
            continue  # a head
        if seconds is None or seconds <= 0:
            raise FileProblem(f"{where}: line {number}: {line[0]!r} is no {what}; give seconds, more than 0")
        found.append(seconds)
    if not found:
        raise FileProblem(f"{where}: has no {what}s; give one a line, in seconds")
    return found


def trace(lines: list[list[str]], where: str) -> list[dict[str, Any]]:
    """The rows of a trace, as the scenario has them. Raises FileProblem if it is none or goes back in time."""
    rows, before_s = [], 0.0
    wanted = iter(_lines(lines))
    _, head = next(wanted, (0, [""]))
    if not set(REQUIRED) <= set(head) <= {*REQUIRED, *OPTIONAL}:
        columns = f"{','.join(REQUIRED)}[,{'][,'.join(OPTIONAL)}]"
        raise FileProblem(f"{where}: its head is {','.join(head)!r}; the columns of a trace are {columns}")
    for number, line in wanted:
        if len(line) != len(head):
            raise FileProblem(f"{where}: line {number}: has {len(line)} columns of {len(head)}")
        row = _row(dict(zip(head, line, strict=True)), f"{where}: line {number}")
        if row["time_s"] < before_s:
            raise FileProblem(
                f"{where}: line {number}: goes back in time, from {before_s:g} s to {row['time_s']:g} s; "
                "order the lines by time_s, from 0 on"
            )
        before_s = row["time_s"]
        rows.append(row)
    if not rows:
        raise FileProblem(f"{where}: has no rows below its head")
    return rows


def trace_text(legs: Iterable[Leg]) -> str:
    """Movements, by time, as the text of a trace."""
    rows = (
        f"{leg.at_s:.12g},{leg.node},{leg.to},"
        + (f"{leg.gap_s:.12g}," if leg.overlap_s is None else f",{leg.overlap_s:.12g}")
        for leg in legs
    )
    return "".join(f"{line}\n" for line in (",".join((*REQUIRED, *OPTIONAL)), *rows))


def _row(cells: dict[str, str], where: str) -> dict[str, Any]:
    row: dict[str, Any] = {"node": cells["node"], "mr": cells["mr"]}
    for name in ("time_s", *OPTIONAL):
        if name != "time_s" and not cells.get(name):
            continue
        seconds = _number(cells[name])
        if seconds is None or (name != "time_s" and seconds < 0):
            raise FileProblem(f"{where}: {name} {cells[name]!r} is no number of seconds")
        row[name] = seconds
    if {"gap_s", "overlap_s"} <= row.keys():
        raise FileProblem(f"{where}: gap_s and overlap_s exclude each other: give one of them")
    return row


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
