"""How long TCP may be silent over a move, by its retransmission timer alone (RFC 6298)."""

from __future__ import annotations

from dmmlab.experiments.oracle.delays import Place, path_s, to_core_s
from dmmlab.experiments.oracle.moves import redirected_s
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sections.movement import Movement

LEAST_RTO_S = 1.0  # RFC 6298 (2.4)
LINUX_LEAST_S = 0.2  # what Linux adds to the smoothed round trip instead, at least (TCP_RTO_MIN)
_MOST_DOUBLINGS = 10


def rto_s(round_trip_s: float, linux: bool = False) -> float:
    """The timer on a path whose round trip does not vary (RFC 6298 (2.3): RTTVAR goes to 0)."""
    return round_trip_s + LINUX_LEAST_S if linux else max(LEAST_RTO_S, round_trip_s)


def longest_silence_s(
    scenario: Scenario, host: str, before: Movement, move: Movement, linux: bool = False
) -> float | None:
    """How long a stream from ``host`` to a node's address of ``before`` can be silent at the node, over its ``move``;
    None where it never goes on.

    The last byte arrives as the link goes, and its acknowledgement sets the timer anew (RFC 6298 (5.3)). The timer runs
    out, the first segment is sent again, the timer doubles (5.5), until one finds the redirect in force at the anchor.
    What a sender learns earlier, by acknowledgements of what it sent later (RFC 2018) or a probe (RFC 8985), only
    shortens this.
    """
    node, anchor = move.node, before.to
    old_s = path_s(scenario, Place(host), Place(node, anchor, anchor))
    new_s = path_s(scenario, Place(host), Place(node, anchor, move.to))
    if old_s is None or new_s is None:
        return None
    there_s = redirected_s(scenario, node, move.at)
    to_anchor_s = to_core_s(scenario, host) + to_core_s(scenario, anchor)
    timer_s = rto_s(2 * old_s, linux)
    for turn in range(1, _MOST_DOUBLINGS):
        sent_s = move.at + old_s + timer_s * ((1 << turn) - 1)
        if sent_s + to_anchor_s >= there_s:
            return sent_s + new_s - move.at
    return None
