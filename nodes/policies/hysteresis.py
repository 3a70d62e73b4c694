"""The lowest round trip, and no change for a small gain."""

from __future__ import annotations

from dmmlab.nodes.policies.lowest_rtt import LowestRtt


class Hysteresis(LowestRtt):
    """Keeps what it chose for each node until another gains more than ``better_by`` seconds."""

    def __init__(self, better_by: str) -> None:
        self._better_by_s = float(better_by)
        self._used: dict[str, str] = {}

    def _first(self, node: str, found: dict[str, float]) -> str:
        best, used = super()._first(node, found), self._used.get(node)
        if used not in found or self._gains(found[best], found[used]):
            used = best
        self._used[node] = used
        return used

    def _gains(self, best_s: float, used_s: float) -> bool:
        """Whether to change; differences of the loop's times are good to a nanosecond."""
        return round(used_s - best_s, 9) > self._better_by_s
