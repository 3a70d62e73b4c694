"""What a figure is: a small declaration of what is run, what is measured, how it is drawn, and what must hold.

::

    scenarios(load) -> [Scenario]      what has to be run (experiments.campaign does)
    measure(runs)   -> [row]           from the records of those runs alone
    check(rows)     -> [sentence]      what does not hold; nothing, if all does
    plot(rows, about) -> Drawing       from the rows alone: what the CSV beside a figure holds is what the eye sees
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dmmlab.experiments.analysis import clock
from dmmlab.experiments.figures import FIGURES, Entry, style
from dmmlab.experiments.records.rundir import RunDirectory, read_csv, write_csv
from dmmlab.experiments.scenario.load import ScenarioError, load, parse
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.machine.errors import Refusal
from dmmlab.machine.files import all_or_none

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, Any]
Load = Callable[[str, dict[str, Any]], Scenario]  # a scenario by name, with top-level keys replaced
EXACT_MS = 0.001  # how far a time may be off its closed form in virtual time, where nothing is left to chance
REAL_MS = clock.LIMITS.path_ms  # and two campaigns in real time apart: on a machine that is believed, any path may be


class FigureError(Refusal):
    """The figure cannot be drawn from these runs; one sentence: what is missing."""


@dataclass(frozen=True)
class About:
    """What a caption says of the runs behind a figure. ``own``: they are those that were made for it."""

    names: tuple[str, ...]
    seeds: tuple[int, ...]
    runtimes: tuple[str, ...]
    families: tuple[str, ...] = ("ipv4",)
    movement: str = ""
    own: bool = True

    @classmethod
    def of(cls, runs: Sequence[RunDirectory], own: bool = True) -> About:
        """What the manifests of ``runs`` say."""
        manifests = [run.manifest() for run in runs]
        scenarios = [parse(manifest["scenario"], manifest["name"]) for manifest in manifests]
        return cls(
            tuple(sorted({str(manifest["name"]) for manifest in manifests})),
            tuple(sorted({int(manifest["seed"]) for manifest in manifests})),
            tuple(sorted({f"{manifest['runtime']}, {manifest['clock']} time" for manifest in manifests})),
            tuple(sorted({scenario.family for scenario in scenarios})),
            _movement(scenarios[0]) if len({scenario.movement for scenario in scenarios}) == 1 else "",
            own,
        )

    def designed(self, words: str) -> str:
        """``words`` about how the figure's own runs were laid out; nothing where it is drawn from others."""
        return f"{words} " if self.own else ""

    @property
    def seeding(self) -> str:
        """``seed 6``, or ``seeds 1 to 4``."""
        return f"seed {self.seeds[0]}" if len(self.seeds) == 1 else f"seeds {_ranges(self.seeds)}"

    def __str__(self) -> str:
        seeds = self.seeding
        runs = "1 run" if len(self.names) == 1 else f"{len(self.names)} runs"
        families = "" if self.families == ("ipv4",) else f"; {' and '.join(_FAMILIES[name] for name in self.families)}"
        return f"{runs}; {seeds}; {'; '.join(self.runtimes)}{families}."


_FAMILIES = {"ipv4": "IPv4", "ipv6": "IPv6"}
_MOST_MOVES = 4  # that a caption names


def _movement(scenario: Scenario) -> str:
    """Where the mobile nodes go, in words: ``MN1 moves to MR2 at 10 s``; empty if they stay where they are."""
    found = []
    for node in scenario.mobile_nodes:
        moves = scenario.moves_of(node)
        later = [f"to {move.to} at {move.at:g} s" for move in moves[1:]]
        if 0 < len(later) <= _MOST_MOVES:
            found.append(f"{node} moves {', '.join(later[:-1])}{' and ' * (len(later) > 1)}{later[-1]}")
        elif later:
            found.append(f"{node} moves {len(later)} times from {moves[1].at:g} s on")
    return "; ".join(found)


def _ranges(numbers: Sequence[int]) -> str:
    whole = list(numbers) == list(range(numbers[0], numbers[-1] + 1))
    return f"{numbers[0]} to {numbers[-1]}" if whole and len(numbers) > 2 else ", ".join(map(str, numbers))


@dataclass(frozen=True)
class Drawing:
    """A figure and its caption."""

    figure: Figure
    caption: str


class Check(Protocol):
    """What does not hold, a sentence each; ``more_ms`` widens bands around delays, for runs in real time."""

    def __call__(self, rows: list[Row], more_ms: float = ..., /) -> list[str]:
        """The sentences for ``rows``."""


@dataclass(frozen=True)
class FigureKind:
    """One figure. ``key`` are the columns that name a point, ``subject`` is what it is about.

    In virtual time its CSV is the same to the byte wherever it is made, and so it is compared with the reference.
    ``real`` says of a row how far apart its intervals may be in real time; without it, those of a time `REAL_MS`, and
    others not at all.
    """

    entry: Entry
    scenarios: Callable[[Load], Sequence[Scenario]]
    columns: Sequence[str]
    key: Sequence[str]
    subject: str
    measure: Callable[[Sequence[RunDirectory]], list[Row]]
    plot: Callable[[list[Row], About], Drawing]
    check: Check
    claim: str  # what `check` checks, in words
    real: Callable[[Mapping[str, Any]], float] | None = None
    shown: Callable[[Sequence[RunDirectory]], Sequence[RunDirectory]] = lambda runs: runs  # of which it has rows

    def __reduce__(self) -> tuple[Callable[[str], FigureKind], tuple[str]]:
        return FIGURES.__getitem__, (self.id,)  # to another process it goes by its name

    @property
    def id(self) -> str:
        """``F2``."""
        return self.entry.id

    @property
    def name(self) -> str:
        """``setup``."""
        return self.entry.name

    @property
    def shows(self) -> str:
        """One line for people."""
        return self.entry.shows

    @property
    def stem(self) -> str:
        """The name of its files without suffix: ``F2-setup``."""
        return f"{self.id}-{self.name}"

    def allowed_in_real_time(self, row: Mapping[str, Any], low: str) -> float:
        """How far apart two campaigns' values in column ``low`` of ``row`` may be in real time, in its unit."""
        return self.real(row) if self.real else _if_time(low, REAL_MS)

    def rows(self, runs: Sequence[RunDirectory], loader: Load = load) -> list[Row]:
        """The figure's points. Raises FigureError if the runs do not have them."""
        return self._measured(self.choose(runs, loader))

    def _measured(self, chosen: Sequence[RunDirectory]) -> list[Row]:
        rows = self.measure(chosen) if chosen else []
        if not rows:
            raise FigureError(f"{self.id}: none of the {len(chosen)} valid runs shows {self.shows}")
        return rows

    def draw(self, runs: Sequence[RunDirectory], out: Path, loader: Load, pdf: bool) -> Path:
        """Writes the figure's files into folder ``out``; returns the PNG's path."""
        own = self._own(loader)
        chosen = _of(own, runs)
        rows, stem = self._measured(chosen), out / self.stem
        about = About.of(self.shown(chosen), own=all(digest_of(run) in own for run in chosen))
        out.mkdir(parents=True, exist_ok=True)
        with style.in_force(), all_or_none(*(stem.with_suffix(each) for each in (".csv", ".png", ".pdf", ".txt"))):
            write_csv(stem.with_suffix(".csv"), self.columns, [_written(row) for row in rows])
            drawing = self.plot(read(stem.with_suffix(".csv")), about)  # what is drawn is in the file
            style.save(drawing.figure, str(stem), pdf)
            stem.with_suffix(".txt").write_text(f"Figure {self.id} ({self.name}). {drawing.caption}\n")
        return stem.with_suffix(".png")

    def _own(self, loader: Load) -> set[str]:
        """The digests of its own scenarios."""
        return {digest(scenario) for scenario in self.scenarios(loader)}

    def choose(self, runs: Sequence[RunDirectory], loader: Load = load) -> list[RunDirectory]:
        """The runs that were made for this figure; all of them, if none was. By name: their order says nothing."""
        return _of(self._own(loader), runs)


def _of(own: Container[str | None], runs: Sequence[RunDirectory]) -> list[RunDirectory]:
    chosen = [run for run in runs if digest_of(run) in own] or runs
    manifests = {run.root: run.manifest() for run in chosen}
    return sorted(chosen, key=lambda run: (manifests[run.root]["name"], manifests[run.root]["seed"], run.root))


def _if_time(column: str, allowed_ms: float) -> float:
    return {"ms": allowed_ms, "s": allowed_ms / 1e3}.get(column.rpartition("_")[2], 0.0)


def digest(scenario: Scenario) -> str:
    """What a run's result follows from, in 16 hex digits: all that the scenario says but its name.

    What it leaves at its default counts for nothing, so that a key which a later version adds changes no digest.
    """
    content = scenario.resolved().model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"name"})
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def digest_of(run: RunDirectory) -> str | None:
    """The digest of the scenario that ``run`` was made of; None if it is no scenario of this version."""
    return _digest_in(run.run_json, run.run_json.stat().st_mtime_ns)


@cache
def _digest_in(run_json: Path, _written_ns: int) -> str | None:
    try:
        return digest(parse(RunDirectory(run_json.parent).manifest()["scenario"], str(run_json)))
    except ScenarioError:
        return None


def finished(folders: Sequence[Path]) -> list[RunDirectory]:
    """The valid runs in ``folders`` and right below them, by path. Unfinished and invalid ones stay out."""
    found = sorted(
        {path.parent for folder in folders for path in (*folder.glob("run.json"), *folder.glob("*/run.json"))}
    )
    runs = [RunDirectory(path) for path in found]
    return [run for run in runs if (run.outcome() or {}).get("outcome") == "ok"]


def write(kind: FigureKind, runs: Sequence[RunDirectory], out: Path, loader: Load = load, *, pdf: bool = True) -> Path:
    """Draws ``kind`` from ``runs`` into folder ``out``: PNG, CSV, caption, and a PDF unless there is to be none.

    Returns the PNG's path. Raises FigureError if the runs do not show it.
    """
    return kind.draw(runs, out, loader, pdf)


def read(csv: Path, needs: Iterable[str] = ()) -> list[Row]:
    """The rows of a figure's CSV, numbers as numbers and empty cells as None.

    Raises RunDirectoryError where it is none, or lacks a column that it ``needs``.
    """
    return [{column: _value(cell) for column, cell in row.items()} for row in read_csv(csv, needs)]


def _written(row: Row) -> dict[str, object]:
    return {column: "" if value is None else _text(value) for column, value in row.items()}


def _text(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def _value(cell: str) -> object:
    if cell == "":
        return None
    if cell in ("true", "false"):
        return cell == "true"
    try:
        return float(cell) if "." in cell or "e" in cell else int(cell)
    except ValueError:
        return cell


def band(points: Sequence[dict[str, Any]], low: str, high: str, expected: str, allowed: float, what: str) -> list[str]:
    """Which rows' confidence interval of (measured - expected) leaves ``allowed`` either way, in the columns' unit.

    A row without an expectation is not judged.
    """
    found = []
    for row in points:
        if row[expected] is None or row[low] is None:
            continue
        off = (row[low] - row[expected], row[high] - row[expected])
        if off[0] < -allowed or off[1] > allowed:
            point = ", ".join(f"{key}={row[key]}" for key in what.split())
            found.append(f"{point}: off the closed form by {off[0]:+.4g} to {off[1]:+.4g}, {allowed:g} allowed")
    return found


def intervals(rows: Sequence[Row], low: str, high: str, grain: float) -> list[tuple[float, float]]:
    """The confidence intervals of ``rows``, to be drawn; none if nothing varies by more than ``grain``."""
    found = [(row[low], row[high]) for row in rows]
    return found if any(above - below > grain for below, above in found) else []
