"""The best score: a round trip, less a bonus for IPv6; and no change for a gain of a per cent."""

from __future__ import annotations

from dmmlab.nodes.policies.hysteresis import Hysteresis


class Scored(Hysteresis):
    """Keeps what it chose for each node until another gains more than the share ``better_by`` of its score."""

    def __init__(self, better_by: str, ipv6: str) -> None:
        super().__init__(better_by)
        self._share, self._bonus = float(better_by), float(ipv6)

    def _first(self, node: str, found: dict[str, float]) -> str:
        scores = {address: trip_s * (1 - self._bonus * (":" in address)) for address, trip_s in found.items()}
        return super()._first(node, scores)

    def _gains(self, best_s: float, used_s: float) -> bool:
        return round(best_s - (1 - self._share) * used_s, 9) < 0
