"""Runs of scenarios for whoever measures them: timed, or with their traps counted."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

DMMLAB = [sys.executable, "-m", "dmmlab.experiments.cli.main"]
# A signal that is delivered to a program of the guest: one of its system calls or page faults.
TRAPS = "signal:signal_deliver"


class Cost(NamedTuple):
    """Of one command: wall and processor time (s), and what it printed."""

    wall_s: float
    processor_s: float
    output: str


def timed(argv: list[str]) -> Cost:
    """Runs ``argv``; RuntimeError with its last line if it fails. With it everything that it starts is counted."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ran = subprocess.run(argv, capture_output=True, text=True)
    took_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {(ran.stderr or ran.stdout).strip().splitlines()[-1:]}")
    return Cost(took_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ran.stdout)


def run(scenario: str, **keys: Any) -> Cost:
    """`dmmlab run` of a shipped scenario, with ``keys`` in place of its own, in virtual time; says where time went."""
    return _run([], scenario, keys)


def traps(scenario: str, **keys: Any) -> int:
    """How many traps such a run takes; RuntimeError where they cannot be counted (perf, and root or its permission)."""
    with tempfile.NamedTemporaryFile("r") as counted:
        perf = ["perf", "stat", "-x", ",", "-o", counted.name, "-e", TRAPS, "--"]
        try:
            _run(perf, scenario, keys)
        except FileNotFoundError:
            raise RuntimeError("traps are counted by perf, which is not installed") from None
        values = [line.split(",")[0] for line in counted.read().splitlines() if TRAPS in line]
    if not values or not values[0].isdigit():
        raise RuntimeError("perf may not count signals here: it takes root")
    return int(values[0])


def _run(before: list[str], scenario: str, keys: Mapping[str, Any]) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "scenario.yaml")
        file.write_text(yaml.safe_dump({"extends": scenario, **keys}))
        how = ["--out", f"{folder}/out", "--runtime", "guest", "--clock", "virtual", "--profile"]
        return timed([*before, *DMMLAB, "run", str(file), *how])


def phases(output: str) -> dict[str, float]:
    """Wall time (s) of each phase, from what ``--profile`` prints."""
    _, _, table = output.partition("Where the time went")
    rows = (line.rsplit(maxsplit=1) for line in table.splitlines()[2:] if line.strip())
    return {row[0].strip(): float(row[1]) for row in rows if len(row) == 2 and row[1].replace(".", "").isdigit()}
