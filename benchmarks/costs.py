"""Processing times, as ``costs:`` of a scenario takes them, from a run in real time.

``python -m benchmarks.costs RUN --out FOLDER``: RUN is the folder of a run with ``--clock real`` (better natively),
FOLDER takes a CSV of durations each, and what is printed goes into a scenario beside them:

* ``node: dhcp``: from a node's attachment to its DHCP discover;
* ``controller: packet_in``: from that discover to the controller's first flow-mod, less the configured way there: what
  the switch takes to copy a frame is in it, since nothing else in a scenario has that.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dmmlab.experiments.oracle.delays import link_s, radio_s
from dmmlab.experiments.records.rundir import RunDirectory, read_csv
from dmmlab.experiments.scenario.load import parse
from dmmlab.experiments.scenario.model import CONTROLLER, SWITCHES, Scenario

_LONG_S = 1.0  # more than anything takes


class Message(NamedTuple):
    """A row of ``signalling.csv``."""

    time_s: float
    protocol: str
    source: str
    destination: str
    message: str


def messages(run: RunDirectory) -> list[Message]:
    """What was said, in order."""
    rows = read_csv(run.signalling)
    return [Message(float(r["time_s"]), r["protocol"], r["source"], r["destination"], r["message"]) for r in rows]


def durations(run: RunDirectory) -> dict[str, list[float]]:
    """By the key under which they stand in ``costs``, seconds."""
    scenario = parse(run.manifest()["scenario"], str(run.run_json))
    said, moves = messages(run), read_csv(run.handovers)
    discovers = [one for one in said if one.message == "discover"]
    attached = [(float(row["attach_s"]), row["mn"]) for row in moves]
    asked = [_next(discovers, at_s, source=node) for at_s, node in attached]
    return {
        "node: dhcp": [one.time_s - at_s for one, (at_s, _) in zip(asked, attached, strict=True) if one is not None],
        "controller: packet_in": list(_reactions(scenario, said, asked)),
    }


def _reactions(scenario: Scenario, said: list[Message], asked: list[Message | None]) -> Iterator[float]:
    copied = [one for one in said if one.message == "packet-in"]
    orders = [one for one in said if one.message.startswith("flow-mod")]
    for discover in asked:
        came = None if discover is None else _next(copied, discover.time_s)
        ordered = None if came is None else _next(orders, came.time_s)
        if discover is None or came is None or ordered is None:
            continue
        router = next(name for name in scenario.mobile_routers if came.source == f"s{name.removeprefix('MR')}")
        way_s = radio_s(scenario, discover.source, router) + link_s(scenario, CONTROLLER, SWITCHES)
        yield ordered.time_s - discover.time_s - way_s


def _next(among: list[Message], at_s: float, source: str = "") -> Message | None:
    """The first that comes after ``at_s``, and soon."""
    wanted = (one for one in among if at_s <= one.time_s < at_s + _LONG_S and source in ("", one.source))
    return next(wanted, None)


def main(argv: list[str] | None = None) -> int:
    """Writes the files and prints the block."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costs", description=__doc__)
    parser.add_argument("run", type=Path, help="the folder of a run in real time")
    parser.add_argument("--out", type=Path, default=Path(), help="where the CSVs go [here]")
    options = parser.parse_args(argv)
    run = RunDirectory(options.run)
    if run.manifest()["clock"] != "real":
        sys.stderr.write(f"{options.run}: in virtual time nothing takes time; give a run with --clock real\n")
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    out = sys.stdout.write
    out("costs:\n")
    for key, found in durations(run).items():
        whose, what = key.split(": ")
        file = options.out / f"{whose}-{what}.csv"
        with file.open("w", newline="") as opened:
            csv.writer(opened).writerows([["seconds"], *([f"{max(seconds, 1e-9):.9f}"] for seconds in found)])
        words = f"{len(found)}, median {statistics.median(found) * 1e3:.3f} ms"
        out(f"  {whose}: {{{what}: {{file: {file.name}}}}}  # {words}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
