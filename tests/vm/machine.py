"""Says what machine made the runs below a folder, and in what it differs from this one: ``machine.py DIR CPU``.

The same goes into ``DIR/machine.json``. Exit status 1 if a version is another one: the runs could not be compared.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dmmlab.experiments.records.rundir import RunDirectory, write_json
from dmmlab.guest.cache import find_kernel, origin
from dmmlab.machine import environment

OTHERS = ("machine.",)  # what is meant to be different


def main() -> int:
    out, cpu = Path(sys.argv[1]), sys.argv[2]
    runs = [RunDirectory(path.parent) for path in sorted(out.glob("*/run.json"))]
    there = runs[0].manifest()["environment"]
    kernel = find_kernel()
    differs = environment.differences(environment.describe(kernel.version, origin(kernel)), there)
    described = {
        "cpu": cpu,
        **there["machine"],
        "wall_s": json.loads((out / "virtual.json").read_text())["wall_s"],
        "runs_wall_s": {run.root.name: (run.outcome() or {}).get("wall_s") for run in runs},
        "differs": differs,
    }
    write_json(out / "machine.json", described)
    say(f"{cpu} ({described['processor']}), Linux {described['host_kernel']}, all in {described['wall_s']} s")
    for name, wall_s in described["runs_wall_s"].items():
        say(f"{name}: {wall_s} s")
    for clause in differs:
        say(f"differs: {clause}")
    return 1 if any(not clause.startswith(OTHERS) for clause in differs) else 0


def say(line: str) -> None:
    sys.stdout.write(f"vm-exact: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
