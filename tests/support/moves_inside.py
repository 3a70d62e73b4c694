"""Run in a guest: one mobile node makes many moves, and what the network holds is written down after some of them.

``moves_inside.py MOVES...`` prints, as a last line of JSON, by number of moves: flow entries and ports of switches,
processes, network namespaces, memory of the processes and of the kernel (kB), and files that the runner has open.
"""

from __future__ import annotations

import collections
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from dmmlab.experiments.records.rundir import FORMAT, RunDirectory
from dmmlab.experiments.runner import carry_out
from dmmlab.experiments.runner.executor import Executor
from dmmlab.experiments.runner.left_over import namespaces, programs
from dmmlab.experiments.scenario.identities import identities
from dmmlab.experiments.scenario.load import parse
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.timeline import Detach

RESIDENCE_S = 2.0
ROUTERS = ["MR1", "MR2", "MR3"]
SERVERS = {"CN1": "10ms", "RESOLVER": "1ms", "DDNS": "15ms", "SERVER": "15ms"}


def scenario(moves: int) -> Scenario:
    """MN1 goes from one router to the next, over and over; only two are joined. Sessions on old addresses go on."""
    duration_s = round(moves * (RESIDENCE_S + 0.05)) + 10
    return parse(
        {
            "name": "moves",
            "mobile_routers": ROUTERS,
            "links": [
                {"between": ["radio", "MN1"], "delay": "2ms"},
                {"between": ["MR1", "MR2"], "delay": "4ms"},
                {"between": ["CONTROLLER", "switches"], "delay": "1ms"},
                *({"between": [name, "CORE"], "delay": "5ms"} for name in ROUTERS),
                *({"between": [name, "CORE"], "delay": delay} for name, delay in SERVERS.items()),
            ],
            "transit": "shortest",
            "movement": [
                {"at": f"{turn * (RESIDENCE_S + 0.05):.2f}s", "node": "MN1", "to": ROUTERS[turn % len(ROUTERS)]}
                for turn in range(moves + 1)
            ],
            "sessions": [
                {
                    **{"name": "P", "at": "1s", "from": "CN1", "to": "MN1", "method": ["fixed", "p2p", "ddns"]},
                    **{"interval": "1s", "duration": f"{duration_s - 3}s"},
                }
            ],
            "duration": f"{duration_s}s",
        },
        "moves",
    )


class Watched(Executor):
    """Looks at the end of each stay in `wanted`, when all that the move has led to is over."""

    wanted: ClassVar[tuple[int, ...]] = ()
    found: ClassVar[dict[int, dict[str, Any]]] = {}
    _moves = -1

    def _carry_out(self, event: Any) -> None:
        if isinstance(event, Detach):
            self._moves += 1
            if self._moves in self.wanted:
                self.found[self._moves] = state()
        super()._carry_out(event)


def state() -> dict[str, Any]:
    rules = {}
    for number in range(1, len(ROUTERS) + 1):
        dump = ["ovs-ofctl", "--protocols=OpenFlow13", "dump-flows", f"s{number}"]
        rules[f"s{number}"] = (
            len(subprocess.run(dump, capture_output=True, text=True, check=True).stdout.splitlines()) - 1
        )
    ports = subprocess.run(["ovs-vsctl", "list-ports", "s1"], capture_output=True, text=True, check=True).stdout.split()
    processes: collections.Counter[str] = collections.Counter()
    resident_kb: collections.Counter[str] = collections.Counter()
    for status in programs():
        processes[status["Name"]] += 1
        resident_kb[status["Name"]] += int(status["RssAnon"].split()[0])
    memory = dict(re.findall(r"^(\w+):\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.M))
    return {
        "rules": rules,
        "ports of s1": len([port for port in ports if port != "MN1-radio"]),
        "processes": dict(sorted(processes.items())),
        "namespaces": len(namespaces()),
        "anonymous_kb": dict(sorted(resident_kb.items())),
        "slab_kb": int(memory["Slab"]),
        "files": len(list(Path("/proc/self/fd").iterdir())),
    }


def main() -> None:
    Watched.wanted = tuple(map(int, sys.argv[1:]))
    of = scenario(max(Watched.wanted) + 1)
    run = RunDirectory(Path(tempfile.mkdtemp()) / "run")
    run.create(
        {
            **{"format": FORMAT, "name": of.name, "seed": of.seed, "runtime": "guest", "clock": "virtual"},
            **{"datapath": "system", "environment": {}, "identities": identities(of)},
            "scenario": of.resolved().model_dump(mode="json", by_alias=True),
        }
    )
    vars(carry_out).update(Executor=Watched, say=lambda **_fields: None)
    carry_out.carry_out(run)
    sys.stdout.write(json.dumps(Watched.found))


if __name__ == "__main__":
    main()
