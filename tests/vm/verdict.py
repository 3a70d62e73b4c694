"""Judges what `make vm-test` brought out of the machine: ``verdict.py DIR``; exit status 0 if all holds, else 1.

A run may be invalid (emulated CPUs are slow): then its gate must have said why, and its delays are shown but not held
against it. Everything else must hold either way.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from dmmlab.experiments.rundir import RunDirectory, read_csv
from dmmlab.experiments.scenario import METHODS

ALLOWED_MS = 3.0
AGAIN_S = 120  # for provisioning a second time; emulated, each process that it starts takes a tenth of a second
TOGETHER = 50  # probes in a row at the end of P1, all answered


def main() -> int:
    out = Path(sys.argv[1])
    machine, times = (json.loads((out / name).read_text()) for name in ("up.json", "provisioning.json"))
    say(f"accelerator {machine['accelerator']}, machine up {machine['wall_s']} s")
    say(f"provisioning {times['first_s']} s, again {times['again_s']} s")
    faults = [] if times["again_s"] <= AGAIN_S else [f"provisioning again took {times['again_s']} s"]
    if (said := (out / "again.log").read_text().strip()) != "":
        faults.append(f"provisioning again did something: {said.splitlines()[0]}")
    faults += judge(RunDirectory(out / "native" / "two-mr"), ALLOWED_MS)
    if (out / "counted").exists():
        faults += judge(RunDirectory(out / "counted" / "one-by-one"), ALLOWED_MS)
    for fault in faults:
        say(f"FAULT: {fault}")
    say(f"{'nothing' if not faults else len(faults)} to complain of")
    return 1 if faults else 0


def judge(run: RunDirectory, allowed_ms: float) -> list[str]:
    """What is wrong with a run; if its gate believes it, medians off by more than ``allowed_ms`` are, too."""
    outcome = run.outcome() or {"outcome": "missing", "reason": "there is no outcome.json"}
    say(f"{run.root}: the gate's verdict: {outcome['outcome']}" + (f": {outcome['reason'] or ''}").rstrip(": "))
    if outcome["outcome"] not in ("ok", "invalid") or (outcome["outcome"] == "invalid" and not outcome["reason"]):
        return [f"the run is {outcome['outcome']}: {outcome['reason']}"]
    datapath = (run.log / "datapath").read_text().partition(":")[0]
    say(f"datapath {datapath}, kernel {run.manifest()['environment']['kernel']}")
    wrong = [] if datapath == "system@ovs-system" else [f"the datapath is {datapath}, not the kernel's"]
    believed = outcome["outcome"] == "ok"
    return [
        *wrong,
        *methods(run, believed),
        *survival(run, believed),
        *delays(run, allowed_ms if believed else math.inf),
    ]


def methods(run: RunDirectory, believed: bool) -> Iterator[str]:
    """Each method found the node before and after the move; in a run that is believed, each of its sessions."""
    rows = read_csv(run.sessions)
    for method in METHODS:
        for serving in ("MR1", "MR2"):
            mine = [row for row in rows if row["method"] == method and row["serving"] == serving]
            bad = [row["session"] for row in mine if row["outcome"] not in ("ok", "retried")]
            if not mine or (bad if believed else len(bad) == len(mine)):
                yield f"{method} at {serving}: {len(mine)} sessions, without success: {', '.join(bad) or 'all'}"


def survival(run: RunDirectory, believed: bool) -> Iterator[str]:
    """P1 began before the move, on the first address, and is answered to its end; or nearly, if not believed."""
    last = [row for row in read_csv(run.probes) if row["session"] == "P1" and row["sent_s"]][-TOGETHER:]
    lost = sum(not row["received_s"] for row in last)
    say(f"P1: {TOGETHER - lost} of its last {TOGETHER} probes answered")
    if len(last) < TOGETHER or lost > (0 if believed else TOGETHER // 10):
        yield f"P1 did not survive the move: {lost} of its last {len(last)} probes lost"


def delays(run: RunDirectory, allowed_ms: float) -> Iterator[str]:
    """The median of measured minus expected, per method and place, over UDP and TCP."""
    off: dict[tuple[str, str], list[float]] = {}
    for row in read_csv(run.sessions):
        if row["setup_ms"] and row["expected_setup_ms"] and row["outcome"] == "ok":
            key = (row["method"], row["serving"])
            off.setdefault(key, []).append(float(row["setup_ms"]) - float(row["expected_setup_ms"]))
    for (method, serving), values in sorted(off.items()):
        say(f"{method:9} {serving}: set-up {median(values):+7.3f} ms off its closed form (median of {len(values)})")
        if abs(median(values)) > allowed_ms:
            yield f"{method} at {serving}: the median is {median(values):+.3f} ms off; {allowed_ms:g} are allowed"


def say(line: str) -> None:
    sys.stdout.write(f"vm-test: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
