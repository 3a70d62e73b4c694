"""A city: cars of SUMO on a grid of streets, among mobile routers that no link joins, for ten minutes in virtual time.

SUMO drives the cars (streets and trips from a seed, the same in each run of one version of it), `dmmlab trace sumo`
makes their movement, `dmmlab new` the scenario: a probe a second to each car's first address. Besides, three times
each, 90 s apart, a correspondent looks it up by p2p and by ddns. Every session is accounted for, and each time that has
a closed form is held against it.

It needs the package eclipse-sumo (``pip install dmmlab[sumo]``). What is made and what is recorded stays in ``--out``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from benchmarks.runs import DMMLAB
from dmmlab.experiments.analysis.distance import Distances
from dmmlab.experiments.figures.base import EXACT_MS
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.runner.run import Progress, run_scenario
from dmmlab.experiments.scenario.load import load

CARS, ROUTERS_A_SIDE, DURATION_S, SEED = 100, 4, 600, 1
STREETS, BLOCK_M = 11, 200  # each way; between two of them
LEAVE_WITHIN_S = 60  # the cars, one after the other
STOPS = 3  # between a car's first street and its last
FIRST_LOOK_S, APART_S, LOOKS, EVERY_S = 70, 2, 3, 90  # at the first car; at the next; at each; between two
ON_REQUEST = True
RESULT = Path(__file__).with_suffix(".txt")


def drive(folder: Path, cars: int, seconds: int, seed: int) -> None:
    """Into ``folder``: ``fcd.xml``, where each car is in each second; ``positions.csv``, where mobile routers are."""
    import sumo

    programs, tools = Path(sumo.SUMO_HOME, "bin"), Path(sumo.SUMO_HOME, "tools")
    streets = ["--grid", f"--grid.number={STREETS}", f"--grid.length={BLOCK_M}", "--output-file", "net.xml"]
    period_s = LEAVE_WITHIN_S / cars
    trips = ["-n", "net.xml", "-o", "trips.xml", "-r", "routes.rou.xml", "-e", str(LEAVE_WITHIN_S)]
    trips += ["-p", f"{period_s:.12g}", "--intermediate", str(STOPS), "--seed", str(seed)]
    ways = ["-n", "net.xml", "-r", "trips.xml", "-e", str(seconds), "--seed", str(seed), "--fcd-output", "fcd.xml"]
    for argv in (
        [str(programs / "netgenerate"), *streets],
        [sys.executable, str(tools / "randomTrips.py"), *trips],
        [str(programs / "sumo"), *ways],
    ):
        environment = {**os.environ, "SUMO_HOME": sumo.SUMO_HOME}
        subprocess.run(argv, check=True, capture_output=True, cwd=folder, env=environment)
    side_m = (STREETS - 1) * BLOCK_M / ROUTERS_A_SIDE
    stands = [(column, row) for row in range(ROUTERS_A_SIDE) for column in range(ROUTERS_A_SIDE)]
    lines = [f"MR{n},{(x + 0.5) * side_m:g},{(y + 0.5) * side_m:g}" for n, (x, y) in enumerate(stands, 1)]
    (folder / "positions.csv").write_text("".join(f"{line}\n" for line in ("mr,x_m,y_m", *lines)))


def city(folder: Path, seconds: int) -> Path:
    """The scenario file for what `drive` has put into ``folder``."""
    _printed("trace", "sumo", folder / "fcd.xml", "--routers", folder / "positions.csv", "--out", folder / "moves.csv")
    words = ("--trace", folder / "moves.csv", "--join", "none", "--duration", seconds)
    outline = yaml.safe_load(_printed("new", "city", *words))
    cars = [link["between"][1] for link in outline["links"] if link["between"][0] == "radio"]
    for number, car in enumerate(cars):
        look = {"name": f"N{number + 1}", "at": f"{FIRST_LOOK_S + APART_S * (number + 1)}s", "from": "CN1", "to": car}
        outline["sessions"].append({**look, "method": ["p2p", "ddns"], "repeat": LOOKS, "every": f"{EVERY_S}s"})
    file = folder / "city.yaml"
    file.write_text(yaml.safe_dump(outline, sort_keys=False, default_flow_style=None, width=120))
    return file


def _printed(*words: object) -> str:
    """What a command of dmmlab prints."""
    return subprocess.run([*DMMLAB, *map(str, words)], check=True, capture_output=True, text=True).stdout


def measure(out: Path | None = None, cars: int = CARS, seconds: int = DURATION_S, seed: int = SEED) -> dict[str, Any]:
    """One such run: what came of it; ``far`` are the times that are off their closed forms."""
    with contextlib.ExitStack() as stack:
        folder = out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        drive(folder, cars, seconds, seed)
        wanted, progress = load(city(folder, seconds)), Progress()
        began = time.monotonic()
        run = run_scenario(wanted, folder / "run", "guest", "virtual", progress)
        wall_s = time.monotonic() - began
        outcome, recording = run.outcome() or {}, Recording(run)
        worked = outcome.get("outcome") == "ok"
        found = Distances.of([recording] if worked else [])
        fates = Counter(session.row.outcome for session in recording.sessions) if worked else {}
    first_attachments = len(wanted.mobile_nodes)
    return {
        "outcome": outcome.get("outcome", "failed"),
        "wall_s": wall_s,
        "phases_s": dict(progress.spent_s),
        "nodes": first_attachments,
        "routers": len(wanted.mobile_routers),
        "moves": len(wanted.moves) - first_attachments,
        "fates": dict(fates),
        "distances": str(found),
        "far": [str(one) for one in found.beyond(EXACT_MS)],
    }


def table(found: dict[str, Any]) -> str:
    """A line each."""
    lines = {
        "outcome": found["outcome"],
        "cars, mobile routers": f"{found['nodes']}, {found['routers']}",
        "moves": f"{found['moves']:,}",
        "sessions": ", ".join(f"{many:,} {fate}" for fate, many in sorted(found["fates"].items())),
        "closed forms": found["distances"],
        "off by more than 1 µs": f"{len(found['far'])}",
        "wall time": f"{found['wall_s']:.0f} s",
        **{f"  {phase}": f"{spent_s:.1f} s" for phase, spent_s in found["phases_s"].items()},
    }
    return "".join(f"{name:30}{value}\n" for name, value in lines.items()) + "".join(f"{one}\n" for one in found["far"])


def main() -> int:
    """Runs the city and prints what came of it; 1 if a run did not work, or a time is off its closed form."""
    parser = argparse.ArgumentParser(description="Cars of SUMO among mobile routers")
    parser.add_argument("--cars", type=int, default=CARS)
    parser.add_argument("--seconds", type=int, default=DURATION_S)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, help="keep what is made and recorded in this folder")
    parser.add_argument("--save", action="store_true", help=f"write the table to {RESULT.name}, too")
    options = parser.parse_args()
    found = measure(options.out, options.cars, options.seconds, options.seed)
    text = table(found)
    sys.stdout.write(text)
    if options.save:
        RESULT.write_text(text)
    return 0 if found["outcome"] == "ok" and not found["far"] else 1


if __name__ == "__main__":
    sys.exit(main())
