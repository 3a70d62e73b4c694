"""A campaign in short: the runs behind `FIGURES`, two at a time, drawn and compared. `whole_campaign` is all of it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence

from benchmarks import runs, tables
from dmmlab.experiments.campaigns import campaign
from dmmlab.experiments.figures import FIGURES

SHORT = ("F1", "F3", "F14")


def figures_of(ids: Sequence[str]) -> dict[str, float]:
    """Wall and processor seconds of `dmmlab reproduce` into an empty folder, and how far that is from real."""
    virtual_s = sum(planned.scenario.duration for planned in campaign.plan([FIGURES[name] for name in ids]))
    with tempfile.TemporaryDirectory() as folder:
        cost = runs.timed([*runs.DMMLAB, "reproduce", *ids, "--out", folder])
    return {
        "wall_s": round(cost.wall_s, 1),
        "processor_s": round(cost.processor_s, 1),
        "campaign_times_real": round(virtual_s / cost.wall_s, 2),
    }


def measure() -> dict[str, float]:
    """Of the short campaign."""
    return figures_of(SHORT)


def main() -> int:
    """Measure and print."""
    sys.stdout.write(tables.listing(measure()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
