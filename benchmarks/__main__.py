"""``python -m benchmarks [SUBJECT…]``: measures, shows each figure beside the last one, and says what got worse.

A subject is a module of this folder with ``measure() -> dict`` (figures by name, nested as you like; `history.flat`).
It may have ``ON_REQUEST = True`` (measured only if named), ``SIZES`` (what ``measure`` is given, one after the other)
and ``NOISY`` (parts of names of figures that are shown, but never called worse). Exit status 1 if something got worse
or could not be measured.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from benchmarks import history, tables
from dmmlab.guest.cache import find_kernel
from dmmlab.guest.errors import GuestError
from dmmlab.machine import environment, sources

HERE = Path(__file__).parent
REFERENCE, OWN = HERE / "history.jsonl", sources.ROOT / "results" / "benchmarks.jsonl"
PARTS = ("__main__", "costs", "history", "tables", "paired", "runs")  # of the folder that are no subjects
MACHINE = ("processor", "features", "cores")


def names() -> list[str]:
    """Of all subjects."""
    return sorted(file.stem for file in HERE.glob("*.py") if file.stem not in PARTS)


def subject(name: str) -> ModuleType:
    """The module of this name."""
    return importlib.import_module(f"benchmarks.{name}")


def conditions() -> dict[str, object]:
    """Of an entry, all but the subject and its figures."""
    machine = environment.describe()["machine"]
    assert isinstance(machine, dict)
    try:
        kernel = find_kernel().path.parent.name
    except GuestError:
        kernel = ""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": sources.commit(),
        "kernel": kernel,
        "machine": {name: machine[name] for name in MACHINE},
    }


def measure(name: str, module: ModuleType, own: Path) -> list[str]:
    """Measures one subject, prints and notes it; what is to be said of it, a sentence each."""
    try:
        figures = history.measured(module)
    except (RuntimeError, OSError) as error:
        return [f"{name} was not measured: {error}"]
    entry: history.Entry = {"subject": name, **conditions(), "figures": figures}
    before = history.last(history.read([REFERENCE, own]), name, entry["machine"])
    found = history.changes(figures, before)
    history.append(own, entry)
    bad = history.worse(found, getattr(module, "NOISY", ()))
    since = f"{before['date']}, {(before['commit'] or '')[:12]}" if before else "never, on a machine like this"
    sys.stdout.write(f"\n{name} (measured before: {since})\n{tables.changes(found, bad)}")
    sys.stdout.flush()
    return [change.sentence(name) for change in bad]


def main(argv: Sequence[str] | None = None) -> int:
    """The subjects that are asked for, or all that are not on request."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=", ".join(names()))
    parser.add_argument("--history", type=Path, default=OWN, help="where entries are added [results/benchmarks.jsonl]")
    options = parser.parse_args(argv)
    if unknown := set(options.subjects) - set(names()):
        parser.error(f"{', '.join(sorted(unknown))}: not among {', '.join(names())}")
    modules = {name: subject(name) for name in options.subjects or names()}
    if not options.subjects:
        modules = {name: module for name, module in modules.items() if not getattr(module, "ON_REQUEST", False)}
    said = [sentence for name, module in modules.items() for sentence in measure(name, module, options.history)]
    sys.stdout.write("".join(f"\n{sentence}" for sentence in said or ["nothing got worse"]) + "\n")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
