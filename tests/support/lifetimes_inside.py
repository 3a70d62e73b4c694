"""Run in a guest: plays the scenario of a run directory, and reads the switches' tables while it is played.

``lifetimes_inside.py RUNDIR SECONDS…``: the rules at each of these times are left in RUNDIR/log/SECONDS.rules.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.runner import carry_out
from dmmlab.experiments.runner.executor import Executor
from dmmlab.nodes import clock

RUN, TIMES = RunDirectory(Path(sys.argv[1])), sys.argv[2:]


def rules(switch: str) -> list[str]:
    """What the switch has, without what counts."""
    argv = ["ovs-ofctl", "--protocols=OpenFlow13", "--no-stats", "dump-flows", switch]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(f"{switch} {line.strip()}" for line in lines if "cookie=" in line)


class Watched(Executor):
    """Reads the tables beside."""

    def play(self, start_ns: int, progress: Callable[[float], None]) -> None:
        threading.Thread(target=self._watch, args=(start_ns,), daemon=True).start()
        super().play(start_ns, progress)

    def _watch(self, start_ns: int) -> None:
        for at in TIMES:
            clock.wait_until(start_ns + round(float(at) * 1e9))
            found = [line for switch in ("s1", "s2") for line in rules(switch)]
            (RUN.log / f"{at}.rules").write_text("\n".join(found))


carry_out.Executor = Watched  # type: ignore[attr-defined]
carry_out.carry_out(RUN)
