"""One run of two-mr, the whole command: wall and processor time, and what one wall second carries of its 30 s.

The median of `ROUNDS` runs.
"""

from __future__ import annotations

import statistics
import sys

from benchmarks import runs, tables

ROUNDS, VIRTUAL_S = 5, 30.0


def measure() -> dict[str, float]:
    """Wall and processor seconds of the command, wall seconds of the scenario itself, and how far that is from real."""
    costs = [runs.run("two-mr") for _ in range(ROUNDS)]
    wall_s = statistics.median(cost.wall_s for cost in costs)
    scenario_s = statistics.median(runs.phases(cost.output)["scenario"] for cost in costs)
    return {
        "wall_s": round(wall_s, 2),
        "processor_s": round(statistics.median(cost.processor_s for cost in costs), 2),
        "scenario_phase_s": round(scenario_s, 2),
        "command_times_real": round(VIRTUAL_S / wall_s, 2),
        "scenario_phase_times_real": round(VIRTUAL_S / scenario_s, 2),
    }


def main() -> int:
    """Measure and print."""
    sys.stdout.write(tables.listing(measure()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
