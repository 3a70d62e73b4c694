"""Virtual seconds per wall second while nothing happens.

Of a bare guest that sleeps, and of two-mr's network with all of its daemons, nodes and servers, which renew leases and
registrations. Both by the difference of a short and a long one, so that boot and set-up are no part of it; medians
of `ROUNDS` pairs.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable

from benchmarks import runs, tables

ROUNDS, SHORT_S, LONG_S = 3, 20, 1820
SLEEP_S = 10_000_000
METHODS = ["fixed", "ddns", "p2p", "central", "combined"]


def sleeping_s(virtual_s: int) -> float:
    """Wall seconds of a bare guest that sleeps."""
    return runs.timed([*runs.DMMLAB, "guest", "exec", "--bare", "--", "sleep", str(virtual_s)]).wall_s


def idling_s(virtual_s: int) -> float:
    """Wall seconds of a scenario in which each method is used once, so that all servers are there, and then nothing."""
    sessions = [{"name": "P", "at": "3s", "from": "CN3", "to": "MN1", "method": METHODS}]
    movement = [{"at": "0s", "node": "MN1", "to": "MR1"}]
    cost = runs.run("two-mr", sessions=sessions, movement=movement, duration=f"{virtual_s}s")
    return runs.phases(cost.output)["scenario"]


def pair(wall_s: Callable[[int], float], short_s: int, long_s: int) -> float:
    """Virtual seconds per wall second."""
    differences_s = [wall_s(long_s) - wall_s(short_s) for _ in range(ROUNDS)]
    return (long_s - short_s) / max(statistics.median(differences_s), 1e-3)


def measure() -> dict[str, float]:
    """How many times real time."""
    return {
        "bare_guest_times_real": round(pair(sleeping_s, 0, SLEEP_S)),
        "two_mr_idle_times_real": round(pair(idling_s, SHORT_S, LONG_S), 1),
    }


def main() -> int:
    """Measure and print."""
    sys.stdout.write(tables.listing(measure()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
