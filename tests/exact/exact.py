"""Whether a run is the same to the byte wherever and however it is made: what `make exact` and the tests run.

    exact.py run OUT [--masked] [--leak] [SCENARIO...]    runs into OUT/SCENARIO, from the checkout that this file is in
    exact.py compare OUT OUT...                           holds all against the first; exit 1 if a file differs

--masked    as on another machine: libraries and Python see fewer processor features, no byte code, and more memory
--leak      each start of Python takes a nanosecond for each character of the checkout's path: must be found
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from unittest.mock import patch

from dmmlab.experiments.campaigns.compare import differing
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.runner import run as runs
from dmmlab.experiments.scenario.load import load
from dmmlab.guest.launch import execute

HERE = Path(__file__).resolve().parent
SCENARIOS = ("two-mr", *(str(file) for file in sorted(HERE.glob("*.yaml"))))
MASKED = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-AVX,-ERMS,-FSRM,-BMI2",
    "PYTHONPYCACHEPREFIX": "/nowhere",
}
MORE_MEMORY_MB = 1777
LEAK = {"PYTHONPATH": str(HERE / "leak")}


def carry_out(source: str, out: Path, environment: dict[str, str]) -> RunDirectory:
    """One run in virtual time, with ``environment`` added inside the guest; SystemExit if it is not valid."""
    memory_mb = MORE_MEMORY_MB if environment is MASKED else None
    with patch.object(runs, "execute", functools.partial(execute, env=environment)):
        done = runs.run_scenario(load(source), out, "guest", "virtual", runs.Progress(), memory_mb)
    outcome = done.outcome() or {"outcome": "missing", "reason": None}
    if outcome["outcome"] != "ok":
        sys.exit(f"{source}: {outcome['outcome']}: {outcome['reason']}")
    return done


def compare(folders: Sequence[Path]) -> int:
    """Says how many files of each folder's runs differ from those of the same runs in the first, and returns how many.

    A folder without runs is wrong, too.
    """
    first, wrong = folders[0], 0
    for other in folders[1:]:
        count, bad = 0, list[str]()
        for mine in sorted(path.parent for path in other.glob("*/run.json")):
            reference = RunDirectory(first / mine.name)
            count += len(reference.records())
            bad += [f"{mine.name}/{name}" for name in differing(RunDirectory(mine), reference)]
        say(f"{other} against {first}: {count} files compared, {len(bad)} differ")
        for name in bad:
            say(f"  {name}")
        wrong += len(bad) + (count == 0)
    return wrong


def say(text: str) -> None:
    sys.stdout.write(f"exact: {text}\n")
    sys.stdout.flush()


def main(argv: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    running.add_argument("out", type=Path)
    how = running.add_mutually_exclusive_group()
    how.add_argument("--masked", action="store_true")
    how.add_argument("--leak", action="store_true")
    running.add_argument("scenarios", nargs="*", default=SCENARIOS)
    comparing = commands.add_parser("compare")
    comparing.add_argument("folders", type=Path, nargs="+")
    told = parser.parse_args(argv)
    if told.command == "compare":
        return 1 if compare(told.folders) else 0
    environment = MASKED if told.masked else LEAK if told.leak else {}
    for source in told.scenarios:
        done = carry_out(source, told.out / Path(source).stem, environment)
        clock = done.manifest()["exact_clock"]
        say(f"{done.root}: {'no task' if not clock['spins'] else 'A TASK'} has moved time by its work")
        if clock["spins"]:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
