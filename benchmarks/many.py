"""Many mobile nodes: what a run costs as its network grows, whole and for each move, each probe and each node.

Mobile nodes walk at random on a ring of mobile routers: each stays for an exponentially distributed time and then moves
to one of the two neighbours. A correspondent for every fifty of them sends each a probe once a second, by method
`fixed`, to the address that it had first, so that most probes arrive by a redirect. All that is random follows from a
seed.

``many.py NODES/ROUTERS...`` runs such a scenario of each size, in the virtual-time guest, one after the other, and
prints a table; ``--scenario`` writes the first one to a file instead, for `dmmlab run`.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import resource
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.runner.run import Progress, run_scenario
from dmmlab.experiments.scenario.load import parse
from dmmlab.experiments.scenario.model import Scenario

DURATION_S = 30
RESIDENCE_S = 5.0  # of a mobile node at a mobile router: the mean, and the least
LEAST_RESIDENCE_S = 0.5
NODES_PER_CORRESPONDENT = 50
SIZES = ((20, 5), (200, 20))
ON_REQUEST = True
SET_UP, PLAYED = (
    ("Open vSwitch", "network", "controller, DHCP, captures", "agents"),
    ("scenario", "stopping", "records"),
)
RESULT = Path(__file__).with_suffix(".txt")
_LOOK_S = 2.0  # between two looks at the guest's memory, each of which takes some 50 ms with 200 nodes
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def scenario(nodes: int, routers: int, seed: int = 1) -> Scenario:
    """``nodes`` mobile nodes that walk at random on a ring of ``routers`` (at least 3) mobile routers."""
    chance = random.Random(seed)
    places = [f"MR{number + 1}" for number in range(routers)]
    walkers = [f"MN{number + 1}" for number in range(nodes)]
    correspondents = [f"CN{number + 1}" for number in range(-(-nodes // NODES_PER_CORRESPONDENT))]
    ring = [{"between": [place, places[(at + 1) % routers]], "delay": "4ms"} for at, place in enumerate(places)]
    movement, sessions = [], []
    for number, walker in enumerate(walkers):
        at_s, place = 0.0, number % routers
        while at_s < DURATION_S - 1:
            movement.append({"at": f"{at_s}s", "node": walker, "to": places[place], "gap": "50ms"})
            at_s = round(at_s + max(LEAST_RESIDENCE_S, chance.expovariate(1 / RESIDENCE_S)), 3)
            place = (place + chance.choice((-1, 1))) % routers
        probes = {"interval": "1s", "duration": f"{DURATION_S - 3}s", "at": f"{1 + chance.random():.3f}s"}
        caller = correspondents[number // NODES_PER_CORRESPONDENT]
        sessions.append({"name": f"P{number + 1}", "from": caller, "to": walker, "method": "fixed", **probes})
    return parse(
        {
            "name": f"many-{nodes}-{routers}",
            "mobile_routers": places,
            "links": [
                *({"between": ["radio", walker], "delay": "2ms"} for walker in walkers),
                *({"between": [place, "CORE"], "delay": "5ms"} for place in places),
                *({"between": [caller, "CORE"], "delay": "10ms"} for caller in correspondents),
                {"between": ["CONTROLLER", "switches"], "delay": "1ms"},
                *ring,
            ],
            "movement": movement,
            "sessions": sessions,
            "duration": f"{DURATION_S}s",
            "seed": seed,
        },
        "many",
    )


def measure(nodes: int, routers: int, seed: int = 1, out: Path | None = None) -> dict[str, Any]:
    """One run of such a scenario in a process of its own: what it cost, and whether it worked.

    ``out`` keeps the run's folder. Of the keys, ``phases_s`` is wall time by phase, ``guest_mb`` the guest's memory at
    its largest with all that the host keeps for it, ``host_mb`` that of the process which makes the records.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (nodes, routers, seed, out))


def _measure(nodes: int, routers: int, seed: int, out: Path | None) -> dict[str, Any]:
    progress, wanted = _Accounts(), scenario(nodes, routers, seed)
    with contextlib.ExitStack() as stack:
        folder = out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        peak = stack.enter_context(guest_memory())
        began = time.monotonic()
        run = run_scenario(wanted, folder, "guest", "virtual", progress)
        wall_s = time.monotonic() - began
        outcome, recording = run.outcome() or {}, Recording(run)
        sent = recording.probe_rows if run.probes.is_file() else []
        answered = sum(row.rtt_ms is not None for row in sent)
        handovers = recording.handovers if run.handovers.is_file() else []
    spent_s = progress.spent_s
    moves, played_s = len(wanted.moves), sum(spent_s.get(phase, 0.0) for phase in PLAYED)
    played_cpu_s = sum(progress.processor_s.get(phase, 0.0) for phase in PLAYED)
    return {
        "nodes": nodes,
        "routers": routers,
        "outcome": outcome.get("outcome", "failed"),
        "reason": outcome.get("reason"),
        "wall_s": wall_s,
        "phases_s": dict(spent_s),
        "processor_s": dict(progress.processor_s),
        "guest_mb": max(peak),
        "host_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "moves": moves,
        "addressed": sum(row.address_s is not None for row in handovers),
        "probes": len(sent),
        "answered": answered,
        "set_up_per_node_s": sum(spent_s.get(phase, 0.0) for phase in SET_UP) / nodes,
        "per_move_ms": played_s / moves * 1e3,
        "per_probe_ms": played_s / max(1, len(sent)) * 1e3,
        "set_up_per_node_cpu_s": sum(progress.processor_s.get(phase, 0.0) for phase in SET_UP) / nodes,
        "per_move_cpu_ms": played_cpu_s / moves * 1e3,
        "per_probe_cpu_ms": played_cpu_s / max(1, len(sent)) * 1e3,
    }


@dataclass
class _Accounts(Progress):
    """Keeps, besides, the processor time that this process and its guest spend in each phase: what else the machine
    does matters less to it than to wall time.
    """

    processor_s: dict[str, float] = field(default_factory=dict)
    _spent_s: float = 0.0

    def enter(self, phase: str) -> None:
        spent_s = time.process_time() + max(_guest_s(), _ended_s())
        if self._phase:
            so_far_s = self.processor_s.get(self._phase, 0.0)
            self.processor_s[self._phase] = so_far_s + max(0.0, spent_s - self._spent_s)
        self._spent_s = spent_s
        super().enter(phase)


def _ended_s() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def _guest_s() -> float:
    """Of the guest that runs: its kernel, with the processes that it has seen end, and those that are there."""
    kernels, ticks = _kernels(), 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, fields = int(path.parent.name), path.read_text().rpartition(")")[2].split()
            if int(fields[3]) in kernels:
                ticks += sum(map(int, fields[11 : 15 if pid in kernels else 13]))
    return ticks * _TICK_S


@contextlib.contextmanager
def guest_memory() -> Iterator[list[float]]:
    """What the guest that this process starts in the block uses, MB: a list to which looks at it are added.

    Its memory file, and what the processes of the host that stand for its own have of their own besides.
    """
    looks, ended = [0.0], threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_S):
            looks.append(_used_mb())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield looks
    finally:
        ended.set()
        thread.join()


def _used_mb() -> float:
    """A process that ends while it is looked at counts for nothing."""
    kernels, used = _kernels(), 0.0
    for kernel in kernels:
        with contextlib.suppress(OSError, ValueError):
            files = [path.stat() for path in Path(f"/proc/{kernel}/fd").iterdir()]
            used += max(file.st_blocks for file in files if stat.S_ISREG(file.st_mode) and not file.st_nlink) * 512
    for path in Path("/proc").glob("[0-9]*/statm"):
        with contextlib.suppress(OSError, ProcessLookupError):
            if kernels and os.getsid(int(path.parent.name)) in kernels:
                _, resident, shared, *_ = map(int, path.read_text().split())
                used += (resident - shared) * resource.getpagesize()
    return used / 1e6


def _kernels() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _is_kernel_of(path, os.getpid())]


def _is_kernel_of(process: Path, parent: int) -> bool:
    """The kernel leads a session of its own, with all that it starts."""
    with contextlib.suppress(OSError):
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        return int(fields[1]) == parent and int(fields[3]) == int(process.name)
    return False


def table(found: list[dict[str, Any]]) -> str:
    """One column a run."""
    phases = dict.fromkeys(phase for each in found for phase in each["phases_s"])
    lines: list[tuple[str, list[str]]] = [
        ("mobile nodes / routers", [f"{each['nodes']} / {each['routers']}" for each in found]),
        ("outcome", [str(each["outcome"]) for each in found]),
        ("wall, s", [f"{each['wall_s']:.1f}" for each in found]),
        *((f"  {phase}", [f"{each['phases_s'].get(phase, 0.0):.2f}" for each in found]) for phase in phases),
        ("memory of the guest, MB", [f"{each['guest_mb']:,.0f}" for each in found]),
        ("memory of the records, MB", [f"{each['host_mb']:,.0f}" for each in found]),
        ("moves", [f"{each['moves']:,}" for each in found]),
        ("probes, answered", [f"{each['probes']:,}, {each['answered']:,}" for each in found]),
        ("set-up per node, ms", [f"{each['set_up_per_node_s'] * 1e3:.0f}" for each in found]),
        ("  processor time", [f"{each['set_up_per_node_cpu_s'] * 1e3:.0f}" for each in found]),
        ("wall per move, ms", [f"{each['per_move_ms']:.1f}" for each in found]),
        ("  processor time", [f"{each['per_move_cpu_ms']:.1f}" for each in found]),
        ("wall per probe, ms", [f"{each['per_probe_ms']:.2f}" for each in found]),
        ("  processor time", [f"{each['per_probe_cpu_ms']:.2f}" for each in found]),
    ]
    return "".join(f"{name:30}" + "".join(f"{cell:>16}" for cell in cells) + "\n" for name, cells in lines)


def main() -> int:
    """Measures the sizes that are asked for, and prints the table; 1 if a run did not work."""
    parser = argparse.ArgumentParser(description="Many mobile nodes that walk at random")
    parser.add_argument("sizes", nargs="*", metavar="NODES/ROUTERS", default=[f"{n}/{r}" for n, r in SIZES])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="keep the runs' folders in this one")
    parser.add_argument("--scenario", type=Path, help="write the scenario of the first size to this file, and end")
    parser.add_argument("--save", action="store_true", help=f"write the table to {RESULT.name}, too")
    options = parser.parse_args()
    sizes = [(int(nodes), int(routers)) for nodes, routers in (size.split("/") for size in options.sizes)]
    if options.scenario:
        first = scenario(*sizes[0], options.seed).model_dump(mode="json", by_alias=True, exclude_none=True)
        options.scenario.write_text(yaml.safe_dump(first, sort_keys=False))
        return 0
    found = []
    for nodes, routers in sizes:
        folder = options.out / f"{nodes}-{routers}" if options.out else None
        found.append(measure(nodes, routers, options.seed, folder))
        sys.stderr.write(f"{nodes} on {routers}: {found[-1]['outcome']}, {found[-1]['wall_s']:.1f} s\n")
    text = table(found)
    sys.stdout.write(text)
    if options.save:
        RESULT.write_text(text)
    return 0 if all(each["outcome"] == "ok" for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
