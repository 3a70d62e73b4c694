"""What a relay behind a link of finite rate adds to a round trip: a queue of packets that all take the same time to
send.

The link delays each packet and then sends it, in both directions, one after the other. A probe is sent on it four
times:
to the server and on to the mobile node, and the same way back. What leaves a queue is a sending time apart, so there is
no waiting on the way from the server; on the way to it probes and their answers wait.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

SENDINGS = 4


def waiting_s(load: float, sending_s: float) -> float | None:
    """The mean wait of a packet that comes at random (M/D/1; Pollaczek 1930, Khinchine 1932): rho s / (2 (1 - rho)).

    None where more comes than can be sent.
    """
    return load * sending_s / (2 * (1 - load)) if load < 1 else None


def growth(load: float) -> float:
    """By how much the round trip grows each second where more comes than can be sent, s/s.

    With r = load / 2 of probes, a queue that grows by g a second lets r / (1 + g) of them through, and as many answers
    come to it: g = r + r / (1 + g) - 1, so 1 + g is the root of x^2 - r x - r. A probe waits, and its answer waits so
    much
    longer as the queue has grown meanwhile: g + g (1 + g).
    """
    half = load / 2
    grown = (half + math.sqrt(half * half + 4 * half)) / 2
    return (grown - 1) * (1 + grown)


def round_trips_s(sent_s: Sequence[float], before_s: float, beyond_s: float, sending_s: float) -> list[float]:
    """The round trip of each probe that leaves at ``sent_s``, by the queues as they fill and empty (Lindley 1952).

    ``before_s``: one way from the correspondent to the server, ``beyond_s``: from there to the mobile node.
    """
    coming = [(at_s + before_s, 0, number) for number, at_s in enumerate(sent_s)]
    heapq.heapify(coming)
    free_s, found = [0.0, 0.0], [0.0] * len(sent_s)  # when the link is free, to the server and from it
    until_next_s = (0.0, 2 * beyond_s, 0.0)  # the server takes no time; its link's delay, paid once a way, is in these
    while coming:
        at_s, turn, number = heapq.heappop(coming)
        left_s = free_s[turn % 2] = max(at_s, free_s[turn % 2]) + sending_s
        if turn + 1 < SENDINGS:
            heapq.heappush(coming, (left_s + until_next_s[turn], turn + 1, number))
        else:
            found[number] = left_s + before_s - sent_s[number]
    return found
