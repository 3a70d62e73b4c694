"""Judges what `make vm-test` brought out of the machine: ``verdict.py DIR``; exit status 0 if all holds, else 1.

A run that its gate does not believe (emulated CPUs are slow, and so are some hosts) is shown, not judged: it must only
have said why, and have used the kernel's datapath. The last run must be believed, or nothing would have been judged.
Without KVM that is the instruction-counted one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.records.rundir import RunDirectory, read_csv

ALLOWED_MS = 3.0
AGAIN_S = 120  # for provisioning a second time; emulated, each process that it starts takes a tenth of a second
TOGETHER = 50  # probes in a row at the end of P1, all answered


def main() -> int:
    faults = list(judge(Path(sys.argv[1])))
    for fault in faults:
        say(f"FAULT: {fault}")
    say(f"{len(faults) or 'nothing'} to complain of")
    return 1 if faults else 0


def judge(out: Path) -> Iterator[str]:
    """All that is wrong with what the machine left in ``out``, a sentence each."""
    machine, times = (json.loads((out / name).read_text()) for name in ("up.json", "provisioning.json"))
    say(f"accelerator {machine['accelerator']}, machine up {machine['wall_s']} s")
    say(f"provisioning {times['first_s']} s, again {times['again_s']} s")
    if times["again_s"] > AGAIN_S:
        yield f"provisioning again took {times['again_s']} s"
    if (said := (out / "again.log").read_text().strip()) != "":
        yield f"provisioning again did something: {said.splitlines()[0]}"
    runs = [RunDirectory(out / "native" / "two-mr")]
    if (out / "counted").exists():
        runs += [RunDirectory(out / "counted" / name) for name in ("one-by-one-ipv6", "one-by-one")]
    elif machine["accelerator"] != "kvm":
        yield "there is no instruction-counted run, without which nothing emulated can be judged"
    for run in runs:
        yield from judge_run(run)
    if not believed(runs[-1]):
        yield f"{runs[-1].root} could not be judged: its gate does not believe it"


def believed(run: RunDirectory) -> bool:
    return (run.outcome() or {}).get("outcome") == "ok"


def judge_run(run: RunDirectory) -> Iterator[str]:
    """What is wrong with a run; of one that its gate does not believe, all but the datapath is only shown."""
    outcome = run.outcome() or {"outcome": "missing", "reason": "there is no outcome.json"}
    say(f"{run.root}: the gate's verdict: {outcome['outcome']}" + (f": {outcome['reason'] or ''}").rstrip(": "))
    if outcome["outcome"] not in ("ok", "invalid") or (outcome["outcome"] == "invalid" and not outcome["reason"]):
        yield f"{run.root} is {outcome['outcome']}: {outcome['reason'] or 'no reason is given'}"
        return
    datapath = (run.log / "datapath").read_text().partition(":")[0]
    say(f"datapath {datapath}, kernel {run.manifest()['environment']['kernel']}")
    if datapath != "system@ovs-system":
        yield f"the datapath is {datapath}, not the kernel's"
    for fault in (*methods(run), *survival(run), *delays(run)):
        if believed(run):
            yield fault
        else:
            say(f"not judged: {fault}")


def methods(run: RunDirectory) -> Iterator[str]:
    """Each method found the node before and after the move, in each of its sessions."""
    rows = read_csv(run.sessions)
    for method in METHODS:
        for serving in ("MR1", "MR2"):
            mine = [row for row in rows if row["method"] == method and row["serving"] == serving]
            bad = [row["session"] for row in mine if row["outcome"] not in ("ok", "retried")]
            if bad or not mine:
                yield f"{method} at {serving}: {len(mine)} sessions, without success: {', '.join(bad) or 'all'}"


def survival(run: RunDirectory) -> Iterator[str]:
    """P1 began before the move, on the first address, and is answered to its end."""
    last = [row for row in read_csv(run.probes) if row["session"] == "P1" and row["sent_s"]][-TOGETHER:]
    lost = sum(not row["received_s"] for row in last)
    say(f"P1: {len(last) - lost} of its last {len(last)} probes answered")
    if len(last) < TOGETHER or lost:
        yield f"P1 did not survive the move: {lost} of its last {len(last)} probes lost, {TOGETHER} must be answered"


def delays(run: RunDirectory) -> Iterator[str]:
    """The median of measured minus expected, per method and place, over UDP and TCP."""
    off: dict[tuple[str, str], list[float]] = {}
    for row in read_csv(run.sessions):
        if row["setup_ms"] and row["expected_setup_ms"] and row["outcome"] == "ok":
            key = (row["method"], row["serving"])
            off.setdefault(key, []).append(float(row["setup_ms"]) - float(row["expected_setup_ms"]))
    for (method, serving), values in sorted(off.items()):
        say(f"{method:9} {serving}: set-up {median(values):+7.3f} ms off its closed form (median of {len(values)})")
        if abs(median(values)) > ALLOWED_MS:
            yield f"{method} at {serving}: the median is {median(values):+.3f} ms off; {ALLOWED_MS:g} are allowed"


def say(line: str) -> None:
    sys.stdout.write(f"vm-test: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
