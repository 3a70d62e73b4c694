"""Reproducing the figures: run what stands behind them, draw them, check them, hold them beside the reference.

``results/reference/`` has, of every figure, its CSV, PNG, PDF and caption, and ``manifest.json``: which scenarios, by
digest, which versions, which commit, and what came out of each run, by the SHA-256 of all its records. A figure holds
if its own check finds nothing and its CSV is the same to the byte; whether its runs are, too, is said.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from dmmlab.experiments.campaigns import campaign, compare
from dmmlab.experiments.campaigns.campaign import Planned, Result, Step
from dmmlab.experiments.campaigns.places import HERE, Place
from dmmlab.experiments.campaigns.program import program
from dmmlab.experiments.figures import FIGURES, parallel
from dmmlab.experiments.figures.base import REAL_MS, FigureError, FigureKind, Load, read, write
from dmmlab.experiments.records.rundir import RunDirectory, write_json
from dmmlab.experiments.runner.run import Clock, Runtime
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.model import Family, Scenario
from dmmlab.machine import environment
from dmmlab.machine.errors import Refusal

REFERENCE = Path(__file__).resolve().parent.parent.parent / "results" / "reference"
MANIFEST = "manifest.json"


class ReproduceError(Refusal):
    """What was asked for cannot be reproduced; one sentence."""


@dataclass(frozen=True)
class Verdict:
    """Whether a figure holds, and what is wrong with it if it does not; ``points`` were compared.

    ``same`` of its runs are the same to the byte as the reference's, ``other`` are not: in virtual time, and where the
    reference knows.
    """

    kind: FigureKind
    failed: tuple[str, ...]  # by its own check
    differs: tuple[str, ...]  # from the reference
    points: int
    png: Path | None
    same: tuple[str, ...] = ()
    other: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether its check finds nothing and its points are the reference's."""
        return not self.failed and not self.differs

    def __str__(self) -> str:
        name = f"{self.kind.id} {self.kind.name}"
        if self.holds:
            return f"{name}: holds ({self.points} points{self._runs()})"
        if self.failed:
            return f"{name}: does not hold: {self.failed[0]}{_and_more(self.failed)}"
        return f"{name}: differs {self.differs[0]}{_and_more(self.differs)}"

    def _runs(self) -> str:
        if self.other:
            return f"; other bytes in {len(self.other)} of {len(self.same) + len(self.other)} runs: {self.other[0]}"
        return f"; {len(self.same)} runs the same to the byte" if self.same else ""


def _and_more(found: Sequence[str]) -> str:
    return f" (and at {len(found) - 1} more)" if len(found) > 1 else ""


def choose(ids: Sequence[str] = ()) -> list[FigureKind]:
    """The figures of these ids, or all; ReproduceError names one that is unknown."""
    unknown = [name for name in ids if name not in FIGURES]
    if unknown:
        raise ReproduceError(f"unknown figure {unknown[0]}; known are {', '.join(FIGURES)}")
    return [kind for kind in FIGURES.values() if not ids or kind.id in ids]


def loader(instead: Mapping[str, Path] | None = None, family: Family | None = None) -> Load:
    """`scenario.load`, with the files ``instead`` in place of the shipped scenarios of those names; in ``family``, if
    that is given and nothing else is said.
    """
    return partial(_loaded, {name: str(path) for name, path in (instead or {}).items()}, family)


def _loaded(replaced: Mapping[str, str], family: Family | None, name: str, overrides: dict[str, Any]) -> Scenario:
    named = {"name": name} if name in replaced else {}
    every = {"family": family} if family else {}
    return load(replaced.get(name, name), {**named, **every, **overrides})


def reproduce(  # noqa: PLR0913, PLR0917  (each is asked for by itself)
    ids: Sequence[str],
    out: Path,
    runtime: Runtime,
    clock: Clock,
    place: Place = HERE,
    tell: Callable[[Step], None] = lambda _step: None,
    instead: Mapping[str, Path] | None = None,
    reference: Path | None = REFERENCE,
    family: Family | None = None,
) -> tuple[list[Verdict], Result]:
    """Has ``place`` carry out the campaign of the figures ``ids`` (all, if empty), and judges what it draws of it.

    Without a ``reference``, a figure's own check is all that is asked of it.
    """
    kinds, scenarios = choose(ids), loader(instead, family)
    planned = campaign.plan(kinds, scenarios)
    result = campaign.carry_out(planned, out / "runs", runtime, clock, place, tell)
    desk = [partial(judge, kind, result, out / "figures", clock, scenarios, reference) for kind in kinds]
    return parallel.made(desk), result


def judge(
    kind: FigureKind,
    result: Result,
    out: Path,
    clock: Clock,
    scenarios: Load = load,
    reference: Path | None = REFERENCE,
) -> Verdict:
    """Draws ``kind`` from the valid runs of a campaign into ``out``, checks it, and compares it with ``reference``."""
    try:
        png = write(kind, _own(kind, result, scenarios), out, scenarios)
    except FigureError as error:
        return Verdict(kind, (str(error),), (), 0, None)
    rows = read(png.with_suffix(".csv"))
    failed = list(kind.check(rows, 0.0 if clock == "virtual" else REAL_MS))
    failed += [f"run {name} is not valid: {why}" for name, why in result.invalid if _made_for(kind, name, scenarios)]
    if reference is None:
        return Verdict(kind, tuple(failed), (), len(rows), png)
    theirs = reference / f"{kind.stem}.csv"
    if not theirs.is_file():
        return Verdict(kind, tuple(failed), ("from nothing: the reference has no such figure",), len(rows), png)
    method = compare.figure if clock == "virtual" else compare.by_intervals
    differs = [str(difference) for difference in method(kind, rows, read(theirs))]
    if clock == "virtual" and not differs and png.with_suffix(".csv").read_bytes() != theirs.read_bytes():
        differs = ["in the bytes of its CSV"]
    known = _imprints(reference) if clock == "virtual" else {}
    runs = {run.root.name: run for run in _own(kind, result, scenarios) if run.root.name in known}
    same = {name: run.imprint() == known[name] for name, run in runs.items()}
    return Verdict(
        kind,
        tuple(failed),
        tuple(differs),
        len(rows),
        png,
        tuple(name for name, is_same in same.items() if is_same),
        tuple(name for name, is_same in same.items() if not is_same),
    )


def _imprints(reference: Path) -> dict[str, str]:
    """What came out of each run of the reference, by the run's folder; nothing where it does not say."""
    try:
        runs = reference_manifest(reference)["runs"]
    except ReproduceError:
        return {}
    return {run["folder"]: run["records_sha256"] for run in runs if "records_sha256" in run}


def why_not(result: Result, reference: Path = REFERENCE) -> list[str]:
    """What this machine's runs do not share with the reference's, a clause each: why its bytes may be other ones."""
    if not result.runs:
        return []
    return environment.differences(
        result.runs[0].manifest().get("environment", {}), reference_manifest(reference).get("environment") or {}
    )


def _own(kind: FigureKind, result: Result, scenarios: Load) -> list[RunDirectory]:
    """The runs that were made for ``kind``: another figure's, which might do, would not be what the reference shows."""
    wanted = {job.folder for job in campaign.plan([kind], scenarios)}
    return [run for run in result.runs if run.root.name in wanted]


def _made_for(kind: FigureKind, folder: str, scenarios: Load) -> bool:
    return any(job.folder == folder for job in campaign.plan([kind], scenarios))


def write_reference(
    kinds: Sequence[FigureKind], planned: Sequence[Planned], result: Result, out: Path
) -> list[Verdict]:
    """Makes ``out`` the reference: figures, CSVs, captions, and the manifest of what they were drawn from."""
    verdicts = [judge(kind, result, out, "virtual", reference=out) for kind in kinds]
    first = result.runs[0].manifest() if result.runs else {}
    write_json(
        out / MANIFEST,
        {
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "program": program(),
            "runtime": first.get("runtime"),
            "clock": first.get("clock"),
            "environment": first.get("environment"),
            "virtual_s": result.virtual_s,
            "wall_s": round(result.wall_s, 1),
            "figures": {verdict.kind.id: _figure_entry(verdict) for verdict in verdicts},
            "runs": [_run_entry(job, result) for job in planned],
            "invalid": [list(pair) for pair in result.invalid],
        },
    )
    return verdicts


def _figure_entry(verdict: Verdict) -> dict[str, Any]:
    kind = verdict.kind
    entry = {"name": kind.name, "points": verdict.points, "claim": kind.claim, "holds": not verdict.failed}
    return entry | {"why_not": list(verdict.failed)}


def _run_entry(job: Planned, result: Result) -> dict[str, Any]:
    scenario = job.scenario
    entry = {"name": scenario.name, "digest": job.digest, "seed": scenario.seed, "duration_s": scenario.duration}
    entry |= {"figures": list(job.figures), "folder": job.folder}
    made = next((run for run in result.runs if run.root.name == job.folder), None)
    return entry | ({"records_sha256": made.imprint()} if made else {})


def reference_manifest(reference: Path = REFERENCE) -> dict[str, Any]:
    """What the reference was made of; ReproduceError where there is none."""
    file = reference / MANIFEST
    if not file.is_file():
        raise ReproduceError(f"{reference}: not a reference: it has no {MANIFEST}")
    return dict(json.loads(file.read_text()))
