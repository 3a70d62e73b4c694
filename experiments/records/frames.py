"""A run, or a folder of runs, as pandas frames: what `dmmlab.experiments.load` gives.

Columns and units are those of the CSV files (results/README.md), with a column ``run`` in front: the folder's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dmmlab.experiments.records import rows
from dmmlab.experiments.records.errors import RunDirectoryError
from dmmlab.experiments.records.rows import (
    HandoverRow,
    ProbeRow,
    ProgramMoveRow,
    ProgramRow,
    SessionRow,
    SignallingRow,
    kinds,
    may_be_empty,
)
from dmmlab.experiments.records.rundir import RunDirectory

_OF_PROGRAMS = (ProgramRow, ProgramMoveRow)  # not every run has such tables
_TYPES = {str: "string", float: "float64", int: "int64"}  # pandas' names of what a column holds


@dataclass(frozen=True)
class Frames:
    """``runs`` has one row a run (name, seed, runtime, clock, outcome, reason, virtual and wall seconds)."""

    runs: pd.DataFrame
    sessions: pd.DataFrame
    probes: pd.DataFrame
    handovers: pd.DataFrame
    signalling: pd.DataFrame
    programs: pd.DataFrame
    program_moves: pd.DataFrame
    events: pd.DataFrame


def load(folder: str | Path, invalid: bool = False) -> Frames:
    """The runs in ``folder``, or the run that it is; invalid and failed runs only if ``invalid`` is set.

    Raises RunDirectoryError where there is no run.
    """
    root = Path(folder)
    found = [root] if (root / "run.json").is_file() else sorted(path.parent for path in root.glob("*/run.json"))
    runs = [RunDirectory(path) for path in found]
    if not runs:
        raise RunDirectoryError(f"{root}: neither a run directory nor a folder of them")
    known = [_about(run) for run in runs]
    chosen = [run for run, about in zip(runs, known, strict=True) if invalid or about["outcome"] == "ok"]
    return Frames(
        runs=pd.DataFrame(known),
        sessions=_table(chosen, SessionRow),
        probes=_table(chosen, ProbeRow),
        handovers=_table(chosen, HandoverRow),
        signalling=_table(chosen, SignallingRow),
        programs=_table(chosen, ProgramRow),
        program_moves=_table(chosen, ProgramMoveRow),
        events=_events(chosen),
    )


def _about(run: RunDirectory) -> dict[str, Any]:
    manifest, outcome = run.manifest(), run.outcome() or {"outcome": "unfinished", "reason": None}
    row = {"run": run.root.resolve().name, **{key: manifest[key] for key in ("name", "seed", "runtime", "clock")}}
    return row | {"outcome": outcome["outcome"], "reason": outcome["reason"], "wall_s": outcome.get("wall_s")}


def _table(runs: list[RunDirectory], table: type[Any]) -> pd.DataFrame:
    """One table of all ``runs``, empty cells being NaN; text columns stay text, also where every cell is empty."""
    types = {column: _TYPES[kind] for column, kind in kinds(table).items()}
    types |= dict.fromkeys(may_be_empty(table), "Int64")  # whole numbers that may be missing
    frames = []
    for run in runs:
        file = run.root / table.FILE
        if run.has(file) if table not in _OF_PROGRAMS else file.is_file():
            rows.read(file, table)  # says in a sentence what is wrong with it
            frame = pd.read_csv(file, dtype=types)
            frame.insert(0, "run", run.root.resolve().name)
            frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["run", *types])


def _events(runs: list[RunDirectory]) -> pd.DataFrame:
    """``time_s``, ``source``, ``event``, and all other fields of an event as one mapping in ``fields``."""
    rows = []
    for run in runs:
        for event in run.timeline():
            head = {key: event.pop(key) for key in ("time_s", "source", "event")}
            rows.append({"run": run.root.resolve().name, **head, "fields": event})
    return pd.DataFrame(rows, columns=["run", "time_s", "source", "event", "fields"])
