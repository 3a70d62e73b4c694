"""The run directory: the one place that knows its files' names, and how they are written.

=====================  ==========================================================================================
``run.json``           what is run: resolved scenario, versions, kernel, runtime, clock; written first
``log/``               each process's own log, and its events (``*.events.jsonl``)
``capture/``           one pcap a host, nanosecond stamps
``events.jsonl``       all events in one causal timeline, seconds since the scenario's start
``*.csv``              the records (columns and units: results/README.md)
``outcome.json``       ok, failed or invalid, and why; written last: where it is, the run is finished
=====================  ==========================================================================================
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from dmmlab.experiments.records import events
from dmmlab.experiments.records.errors import RunDirectoryError
from dmmlab.experiments.records.events import Event
from dmmlab.machine.files import write_whole

Outcome = Literal["ok", "failed", "invalid"]

FORMAT = 1  # of run.json and the tables
_HEAD = {"name": str, "seed": int, "runtime": str, "clock": str, "environment": dict, "scenario": dict}
_FORMULA = frozenset("=+-@\t")
_NUMBER = re.compile(r"[-+]?[0-9.]*(e[-+]?[0-9]+)?")
Manifest = dict[str, Any]
CONVERTERS: dict[int, Callable[[Manifest], Manifest]] = {}  # from a format of run.json to the one after it


def radio_capture(node: str, radio: int) -> str:
    """The name of the capture of a mobile node's ``radio`` (from 0): the node's own for the first."""
    return node if radio == 0 else f"{node}.{radio + 1}"


class RunDirectory:
    """The files of one run below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # Of a run with faults (`dmmlab.experiments.runner.left_over`).
    bindings = property(lambda self: self.log / "SERVER.bindings.json")
    zone = property(lambda self: self.log / "DDNS.zone")
    census = property(lambda self: self.log / "census.json")
    run_json = property(lambda self: self.root / "run.json")
    outcome_json = property(lambda self: self.root / "outcome.json")
    events = property(lambda self: self.root / "events.jsonl")
    sessions = property(lambda self: self.root / "sessions.csv")
    probes = property(lambda self: self.root / "probes.csv")
    handovers = property(lambda self: self.root / "handovers.csv")
    signalling = property(lambda self: self.root / "signalling.csv")
    programs = property(lambda self: self.root / "programs.csv")
    program_moves = property(lambda self: self.root / "program_moves.csv")
    log = property(lambda self: self.root / "log")
    capture = property(lambda self: self.root / "capture")
    figures = property(lambda self: self.root / "figures")

    def events_of(self, source: str) -> Path:
        """Where the process ``source`` notes its events."""
        return Path(self.log / f"{source}.events.jsonl")

    def pcap(self, host: str) -> Path:
        """The capture of ``host``."""
        return Path(self.capture / f"{host}.pcap")

    def create(self, manifest: Mapping[str, Any]) -> None:
        """Makes the folder and writes ``run.json``; what an earlier run of the same name left there is removed.

        Raises RunDirectoryError where it is a link or has links in it, or files that are there under a run's names and
        are no run's: a stranger's scenario may bear the name of any folder that one has.
        """
        if self.root.is_symlink():
            raise RunDirectoryError(f"{self.root}: a link: a run would take away what it leads to; remove it")
        self.root.mkdir(parents=True, exist_ok=True)
        self._check_own()
        there = [*self.log.glob("*"), *self.capture.glob("*"), *(table for table in self._tables() if table.exists())]
        if found := [each for each in there if each.is_dir() or not self.run_json.exists()]:
            raise RunDirectoryError(f"{found[0]}: is no run's: move it, or choose another folder with --out")
        self.outcome_json.unlink(missing_ok=True)  # first: a folder with an outcome is a finished run
        for folder in (self.log, self.capture):
            folder.mkdir(exist_ok=True)
            for old in folder.iterdir():
                old.unlink()
        for old in self._tables():
            old.unlink(missing_ok=True)
        write_json(self.run_json, manifest)

    def _check_own(self) -> None:
        """Nothing in the folder leads out of it, or has no end: it may come from a stranger."""
        for folder in (self.root, self.log, self.capture, self.figures):
            for entry in folder.iterdir() if folder.is_dir() else ():
                if not stat.S_ISREG(mode := entry.lstat().st_mode) and not stat.S_ISDIR(mode):
                    raise RunDirectoryError(f"{entry}: a link, or no file, which no run writes: remove it")

    def _tables(self) -> tuple[Path, ...]:
        often = (self.events, self.sessions, self.probes, self.handovers, self.signalling)
        return (*often, self.programs, self.program_moves)

    def amend(self, **more: object) -> None:
        """Adds to ``run.json`` what is known only afterwards."""
        write_json(self.run_json, {**self.manifest(), **more})

    def manifest(self) -> Manifest:
        """``run.json``, an older one as if it had been written today.

        Raises RunDirectoryError where there is none, or one that lacks a key or is of a format that this version does
        not know, or the folder has links in it.
        """
        if not self.run_json.is_file():
            raise RunDirectoryError(f"{self.root}: not a run directory: it has no run.json")
        self._check_own()
        found = _converted(_object(self.run_json), self.run_json)
        for key, kind in _HEAD.items():
            if key not in found:
                raise RunDirectoryError.damaged(self.run_json, f"it lacks {key!r}")
            if not isinstance(found[key], kind) or isinstance(found[key], bool):
                raise RunDirectoryError.damaged(self.run_json, f"{key}: {str(found[key])[:80]!r}")
        return found

    def finish(self, outcome: Outcome, reason: str | None = None, **more: object) -> None:
        """Writes ``outcome.json``, the last file of a run; ``more`` are further keys of it."""
        write_json(self.outcome_json, {"outcome": outcome, "reason": reason, **more})

    def outcome(self) -> dict[str, Any] | None:
        """``outcome.json``, or None while the run has not finished. Raises RunDirectoryError where it is none."""
        if not self.outcome_json.is_file():
            return None
        found = _object(self.outcome_json)
        for key, allowed in (("outcome", get_args(Outcome)), ("reason", None)):
            if key not in found:
                raise RunDirectoryError.damaged(self.outcome_json, f"it lacks {key!r}")
            value = found[key]
            if value not in allowed if allowed else not isinstance(value, str | None):
                raise RunDirectoryError.damaged(self.outcome_json, f"{key}: {str(value)[:80]!r}")
        return found

    def finished(self) -> bool:
        """Whether it came to its end, and so has all its files: a failed one may have any."""
        return bool((self.outcome() or {"outcome": "failed"})["outcome"] != "failed")

    def has(self, file: Path) -> bool:
        """Whether ``file``, which every run has that came to its end, is there.

        Raises RunDirectoryError where it is not and this one did.
        """
        if not (there := file.is_file()) and self.finished():
            raise RunDirectoryError.damaged(file, "the run came to its end, and the file is not there")
        return there

    def records(self) -> dict[str, Path]:
        """Every file of the run that follows from its scenario alone, by its path in the folder: captures, logs, events
        and tables. What tells of the machine (``run.json``, ``outcome.json``) and pictures are not among them.
        """
        tables = (table for table in self._tables() if table.is_file())
        found = [*self.capture.glob("*"), *self.log.glob("*"), *tables]
        return {str(path.relative_to(self.root)): path for path in sorted(found)}

    def imprint(self) -> str:
        """SHA-256 (hex) of all records: two runs that have the same one are the same to the byte."""
        content = hashlib.sha256()
        for name, path in self.records().items():
            content.update(f"{name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
        return content.hexdigest()

    def timeline(self) -> list[Event]:
        """The lines of ``events.jsonl``; none if the run has no such file because it failed, or has not ended.

        Raises RunDirectoryError where it is not what a run writes.
        """
        return events.read(self.events, "time_s") if self.has(self.events) else []


def _object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises RunDirectoryError."""
    try:
        found = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise RunDirectoryError.damaged(path, str(error)) from None
    if not isinstance(found, dict):
        raise RunDirectoryError.damaged(path, "no JSON object")
    return found


def _converted(manifest: Manifest, file: Path) -> Manifest:
    version = manifest.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise RunDirectoryError(
            f"{file}: format {version} was written by a newer dmmlab, and this one reads up to {FORMAT}: "
            "update dmmlab, or run the scenario again"
        )
    while version != FORMAT:
        if not isinstance(version, int) or version not in CONVERTERS:
            raise RunDirectoryError(
                f"{file}: format {version!r} is none that dmmlab ever wrote: run the scenario again"
            )
        manifest, version = CONVERTERS[version](manifest), version + 1
    return {**manifest, "format": FORMAT}


def write_json(path: Path, value: object) -> None:
    """All of it or nothing: the file appears under its name when it is complete."""
    write_whole(path, json.dumps(value, indent=1) + "\n")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """A column that a row lacks is empty; a key that no column has is an error."""
    try:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="", extrasaction="raise", lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: _plain(value) for name, value in row.items()} for row in rows)
    except OSError as error:  # a full disk has no name
        raise OSError(error.errno, error.strerror, str(path)) from None


def _plain(value: object) -> object:
    """A text that a spreadsheet would take for a formula, as text: with an apostrophe before it."""
    if not isinstance(value, str):
        return value
    value = value.replace("\r", " ")  # which csv does not quote, and other readers take for the end of the row
    return f"'{value}" if value[:1] in _FORMULA and not _NUMBER.fullmatch(value) else value


def read_csv(path: Path, needs: Iterable[str] = ()) -> list[dict[str, str]]:
    """The rows of a CSV as text, by column.

    Raises OSError if there is no such file, RunDirectoryError if it is none, was cut, or lacks a column that it
    ``needs``.
    """
    text = _text(path)
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        head = next(lines, [])
        if not head or len(set(head)) < len(head):
            raise RunDirectoryError.damaged(path, "its first line does not name the columns, each once")
        if lacking := [name for name in needs if name not in head]:
            raise RunDirectoryError.damaged(path, f"it lacks the column {lacking[0]!r}")
        found = []
        for cells in lines:
            if cells and len(cells) != len(head):
                raise RunDirectoryError.damaged(path, f"line {lines.line_num} has {len(cells)} cells of {len(head)}")
            if cells:
                found.append(dict(zip(head, cells, strict=True)))
    except csv.Error as error:
        raise RunDirectoryError.damaged(path, f"line {lines.line_num}: {error}") from None
    if not text.endswith(("\n", "\r")):
        raise RunDirectoryError.damaged(path, f"it ends within line {lines.line_num}")
    return found


def _text(path: Path) -> str:
    try:
        with path.open(newline="") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise RunDirectoryError.damaged(path, str(error)) from None
