"""Traps (system calls and page faults of the guest's programs) per probe, per session of each method, per move.

Each is the difference of two runs on two-mr's network: one with a few, one with many more of it and all else the same.
Counted by perf as the signals that the guest's programs are sent; they are the same each time but for a thousandth.
"""

from __future__ import annotations

import sys
from typing import Any

from benchmarks import runs, tables

METHODS = ("fixed", "ddns", "p2p", "central", "combined")
FEW, MORE = 5, 50
PROBES, MORE_PROBES = 100, 1000  # 20 ms apart
MOVES = 20


def scenario(sessions: dict[str, int], probes: int, moves: int) -> dict[str, Any]:
    """Its keys: sessions by method, probes of one session, and moves, one after the other."""
    each = [
        {"name": method, "at": "3s", "from": "CN3", "to": "MN1", "method": method, "repeat": n, "every": "200ms"}
        for method, n in sessions.items()
    ]
    stream = {"name": "S", "at": "3s", "from": "CN1", "to": "MN1", "method": "fixed", "interval": "20ms"}
    places = ("MR2", "MR1")
    hops = [{"at": f"{30 + n}s", "node": "MN1", "to": places[n % 2], "gap": "50ms"} for n in range(moves)]
    return {
        "sessions": [*each, {**stream, "duration": f"{probes * 0.02:g}s"}],
        "movement": [{"at": "0s", "node": "MN1", "to": "MR1"}, *hops],
        "duration": "55s",
    }


def measure() -> dict[str, float]:
    """Traps: of a whole run of two-mr, and for one more of each."""
    few = dict.fromkeys(METHODS, FEW)
    base = runs.traps("two-mr", **scenario(few, PROBES, 0))

    def more(keys: dict[str, Any], by: int) -> float:
        return round((runs.traps("two-mr", **keys) - base) / by, 1)

    return {
        "two_mr_traps": runs.traps("two-mr"),
        "probe_traps": more(scenario(few, PROBES + MORE_PROBES, 0), MORE_PROBES),
        "move_traps": more(scenario(few, PROBES, MOVES), MOVES),
        **{
            f"session_{method}_traps": more(scenario({**few, method: FEW + MORE}, PROBES, 0), MORE)
            for method in METHODS
        },
    }


def main() -> int:
    """Measure and print."""
    sys.stdout.write(tables.listing(measure()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
