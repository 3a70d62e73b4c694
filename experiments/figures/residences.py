"""How long a node stays at a router, drawn from a seed: always as long, exponential, heavy-tailed; in equilibrium.

The heavy tail is log-normal. Its sigma is that of the logarithms of the times between two changes of the serving cell
in a 5G network, as cars measured them (INFOCOM23-5GMeas, MIT licence: 536 times, median 4.8 s, mean 15 s, longest 198
s).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random
from statistics import NormalDist

KINDS = ("constant", "exponential", "lognormal")
SHORTEST_S = 0.3  # but for the constant: long enough to be configured and to say so
SIGMA = 1.5
_NORMAL = NormalDist()


def leavings(kind: str, mean_s: float, chance: Random, from_s: float, until_s: float) -> Iterator[float]:
    """When the node leaves, between ``from_s`` and ``until_s``; to the millisecond. At ``from_s`` it has been where it
    is for as long as anybody who looks at any time finds it to have been.
    """
    at_s = from_s + _remaining_s(kind, mean_s, chance)
    while at_s < until_s:
        yield round(at_s, 3)
        at_s += _stay_s(kind, mean_s, chance.random())


def _stay_s(kind: str, mean_s: float, share: float) -> float:
    if kind == "constant":
        return mean_s
    more_s = mean_s - SHORTEST_S
    if kind == "exponential":
        return SHORTEST_S - more_s * math.log1p(-share)
    return SHORTEST_S + more_s * math.exp(SIGMA * _normal(share) - SIGMA**2 / 2)


def _remaining_s(kind: str, mean_s: float, chance: Random) -> float:
    """What is left of a stay that somebody comes upon: any part of one, the longer the likelier."""
    return _biased_s(kind, mean_s, chance) * chance.random()


def _biased_s(kind: str, mean_s: float, chance: Random) -> float:
    """A stay that is drawn in proportion to its length: of the shortest part, any; of the rest, the biased one."""
    if kind == "constant":
        return mean_s
    more_s, share = mean_s - SHORTEST_S, chance.random()
    if chance.random() < SHORTEST_S / mean_s:
        return _stay_s(kind, mean_s, share)
    if kind == "exponential":  # a gamma variate of shape 2: the sum of two exponentials
        return SHORTEST_S - more_s * (math.log1p(-share) + math.log1p(-chance.random()))
    return SHORTEST_S + more_s * math.exp(SIGMA * _normal(share) + SIGMA**2 / 2)


def _normal(share: float) -> float:
    return _NORMAL.inv_cdf(min(max(share, 1e-12), 1 - 1e-12))
