"""What is said of many values: median, 95th percentile, and a 95 % confidence interval of each kind of number.

Intervals assume as little as can be: order statistics for a median (no distribution), Wilson's score for a share, a
percentile bootstrap with a fixed seed for anything else. The same values give the same interval, always.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from functools import cache
from statistics import NormalDist
from typing import NamedTuple

_Z = 1.959963984540054  # of the standard normal, two-sided 95 %
_LEVEL = 0.05  # how often an interval misses


class Summary(NamedTuple):
    """Of one sample, in its own unit; ``low`` and ``high`` bound the median with 95 % confidence."""

    n: int
    median: float
    low: float
    high: float
    p95: float


def quantile(values: Sequence[float], share: float) -> float:
    """The ``share`` quantile (0 to 1) with linear interpolation between order statistics (Hyndman and Fan's type 7)."""
    if not values:
        raise ValueError("a quantile of no values")
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


def median(values: Sequence[float]) -> float:
    """The middle value; ValueError if there is none."""
    return quantile(values, 0.5)


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean, summed exactly."""
    return math.fsum(values) / len(values)


@cache
def _median_ranks(n: int) -> tuple[int, int]:
    """Ranks (from 0) of the order statistics that bound a median of n values with at least 95 % confidence.

    P(X(k) < median < X(n-k+1)) = 1 - 2 P(Binomial(n, 1/2) < k) (David and Nagaraja, Order Statistics, 7.1); below six
    values no pair reaches 95 %, and the extremes are all there is.
    """
    tail, rank = 0.0, 0
    for k in range(n // 2):
        tail += math.comb(n, k) / 2**n if n < 1000 else _binomial(n, k)
        if 2 * tail > 0.05:
            break
        rank = k
    return rank, n - 1 - rank


def _binomial(n: int, k: int) -> float:
    log = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2)
    return math.exp(log)


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """An interval that holds the median with at least 95 % confidence, whatever the distribution."""
    ordered = sorted(values)
    low, high = _median_ranks(len(ordered))
    return ordered[low], ordered[high]


def share_interval(successes: int, n: int, level: float = _LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a share: it is right near 0 and 1 too, where the usual one is not.

    It misses with probability ``level``.
    """
    if n == 0:
        return 0.0, 1.0
    z = _normal(level)
    p = successes / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == n else min(1.0, middle + half)
    return low, high


def _normal(level: float) -> float:
    """The two-sided quantile of the standard normal that is exceeded with probability ``level``."""
    return _Z if level == _LEVEL else NormalDist().inv_cdf(1 - level / 2)


def _student(level: float, freedom: int) -> float:
    """The same of Student's t (Abramowitz and Stegun 26.7.5; to a hundredth from ten degrees of freedom on)."""
    z = _normal(level)
    terms = ((z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)
    return math.fsum((z, *(term / freedom**turn for turn, term in enumerate(terms, 1))))


def ratio_interval(groups: Sequence[tuple[float, float]], level: float = _LEVEL) -> tuple[float, float]:
    """An interval of sum(x) / sum(n) over independent replications (x, n), by Student's t of their residuals.

    That is the estimator of regenerative simulation (Crane and Lemoine, 1977): what hangs together within a replication
    may do so. It misses with probability ``level``; where no replication differs from another, it has no width.
    """
    count, total = len(groups), math.fsum(n for _, n in groups)
    ratio = math.fsum(x for x, _ in groups) / total
    if count < 2:
        return 0.0, 1.0
    spread = math.sqrt(math.fsum((x - ratio * n) ** 2 for x, n in groups) * count / (count - 1)) / total
    half = _student(level, count - 1) * spread
    return ratio - half, ratio + half


def bootstrap(
    groups: Sequence[Sequence[float]],
    statistic: Callable[[Sequence[float]], float] = mean,
    rounds: int = 2000,
    seed: int = 20130701,
) -> tuple[float, float]:
    """Percentile bootstrap (95 %) of ``statistic`` over values that come in ``groups``.

    Whole groups are drawn with replacement: values that hang together (sessions between the same two moves, say) must
    not be counted as if each were news. Give every value a group of its own where they do not.
    """
    draw = random.Random(seed)
    found = []
    for _ in range(rounds):
        chosen = draw.choices(groups, k=len(groups))
        pooled = [value for group in chosen for value in group]
        if pooled:
            found.append(statistic(pooled))
    return quantile(found, 0.025), quantile(found, 0.975)


def summary(values: Sequence[float]) -> Summary:
    """Everything that a figure says of one sample."""
    low, high = median_interval(values)
    return Summary(len(values), median(values), low, high, quantile(values, 0.95))
