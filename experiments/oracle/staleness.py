"""How often a new session is given an address that its node has left, by the theory of renewals.

A node leaves its router at the instants of a renewal process: X between two of them, T in the mean, in equilibrium
(Cox, Renewal Theory, 1962, chapter 2). The chance that it leaves at least once within w is then E[min(X, w)] / T. An
answer is stale if the node has left between the instant up to which it is told and the question. So, of a server that
is told at once, w is how long that takes; of a cache that lives L from the question that fetches an answer on, and is
asked at random, at rate r, there are 1 + r L questions in a copy's life, of which the first is asked at age 0:

    share = (P(0) + r * integral of P(a) over 0..L) / (1 + r L),    P(a) = E[min(X, a + d)] / T

with d how much later the news of a move is than a question would be. Where no question could find a copy stale, that is
the integral's mean times r L / (1 + r L). All times in seconds. A node that has come back counts as one that is away:
let there be more routers than moves in a copy's life.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Protocol

from dmmlab.experiments.methods.base import DDNS, RESOLVER, SERVER
from dmmlab.experiments.oracle.delays import hosts_s
from dmmlab.experiments.oracle.moves import known_at_s
from dmmlab.experiments.scenario.model import Scenario

_NORMAL = NormalDist()
_PARTS = 200  # of a second, over which a copy's life is averaged


class Stay(Protocol):
    """X, the time between two leavings."""

    @property
    def mean_s(self) -> float:
        """E[X]."""

    def least_s(self, within_s: float) -> float:
        """E[min(X, w)]."""

    def area_s2(self, within_s: float) -> float:
        """The integral of E[min(X, w)] over w from 0."""


@dataclass(frozen=True)
class Constant:
    """X is always the same."""

    mean_s: float

    def least_s(self, within_s: float) -> float:
        """min(T, w)."""
        return min(self.mean_s, within_s)

    def area_s2(self, within_s: float) -> float:
        """A triangle, and beyond T a rectangle beside it."""
        up_s = min(self.mean_s, within_s)
        return up_s * up_s / 2 + self.mean_s * (within_s - up_s)


@dataclass(frozen=True)
class Exponential:
    """X is ``shortest_s`` and an exponential time more."""

    mean_s: float
    shortest_s: float

    def least_s(self, within_s: float) -> float:
        """Within the shortest time, all of w."""
        more_s, rest_s = within_s - self.shortest_s, self.mean_s - self.shortest_s
        return within_s if more_s <= 0 else self.shortest_s - rest_s * math.expm1(-more_s / rest_s)

    def area_s2(self, within_s: float) -> float:
        """The same, integrated."""
        more_s, rest_s = within_s - self.shortest_s, self.mean_s - self.shortest_s
        if more_s <= 0:
            return within_s**2 / 2
        late = self.mean_s * more_s + rest_s**2 * math.expm1(-more_s / rest_s)
        return self.shortest_s**2 / 2 + late


@dataclass(frozen=True)
class Lognormal:
    """X is ``shortest_s`` and a time more whose logarithm is normal, with standard deviation ``sigma``."""

    mean_s: float
    shortest_s: float
    sigma: float

    def _part(self, power: int, below_s: float) -> float:
        """E[Y^power; Y <= below] of the time more, Y."""
        mu = math.log(self.mean_s - self.shortest_s) - self.sigma**2 / 2
        scale = math.exp(power * mu + (power * self.sigma) ** 2 / 2)
        return scale * _NORMAL.cdf((math.log(below_s) - mu - power * self.sigma**2) / self.sigma)

    def least_s(self, within_s: float) -> float:
        """E[Y; Y <= v] + v P(Y > v), beside the shortest time."""
        more_s = within_s - self.shortest_s
        if more_s <= 0:
            return within_s
        return self.shortest_s + self._part(1, more_s) + more_s * (1 - self._part(0, more_s))

    def area_s2(self, within_s: float) -> float:
        """v E[Y; Y <= v] - E[Y^2; Y <= v] / 2 + v^2 / 2 P(Y > v), beside the shortest time."""
        more_s = within_s - self.shortest_s
        if more_s <= 0:
            return within_s**2 / 2
        own = more_s * self._part(1, more_s) - self._part(2, more_s) / 2 + more_s**2 / 2 * (1 - self._part(0, more_s))
        return self.shortest_s**2 / 2 + self.shortest_s * more_s + own


def life_s(scenario: Scenario, asked_s: float) -> float:
    """How long after it was asked at ``asked_s`` the resolver answers from the copy that it fetched then.

    A question on its way counts from its sending. The resolver counts in whole seconds and uses a record in the
    second in which its TTL ends (RFC 2181 section 8; `caches`).
    """
    asker = _asker(scenario)
    came_s = asked_s + hosts_s(scenario, asker, RESOLVER) + 2 * hosts_s(scenario, RESOLVER, DDNS)
    until_s = math.floor(came_s) + round(scenario.ddns.ttl) + 1
    return until_s - hosts_s(scenario, asker, RESOLVER) - asked_s


def by_cache(scenario: Scenario, node: str, stay: Stay, rate_hz: float) -> float:
    """The share of stale answers in the life of a copy, over copies fetched at any part of a second."""
    asker = _asker(scenario)
    read_s = hosts_s(scenario, asker, RESOLVER) + hosts_s(scenario, RESOLVER, DDNS)
    later_s = _news_s(scenario, node, DDNS) - read_s
    lives_s = [life_s(scenario, (part + 0.5) / _PARTS) for part in range(_PARTS)]
    first = _left(stay, later_s)
    before_s2 = stay.area_s2(max(0.0, later_s))
    asked_stale = fmean(stay.area_s2(life + later_s) - before_s2 for life in lives_s) * rate_hz / stay.mean_s
    return (first + asked_stale) / (1 + rate_hz * fmean(lives_s))


def by_server(scenario: Scenario, node: str, stay: Stay) -> float:
    """The share of stale answers of the registration server, which every question reads anew."""
    return _left(stay, _news_s(scenario, node, SERVER) - hosts_s(scenario, _asker(scenario), SERVER))


def _left(stay: Stay, within_s: float) -> float:
    return stay.least_s(max(0.0, within_s)) / stay.mean_s


def _asker(scenario: Scenario) -> str:
    """The correspondent that asks: they are equally far from everything."""
    return next(host for host in reversed(scenario.hosts) if host not in (RESOLVER, DDNS, SERVER))


def _news_s(scenario: Scenario, node: str, host: str) -> float:
    """How long after ``node`` left its router ``host`` knows of the next one, in the mean over its moves."""
    later = scenario.moves_of(node)[1:]
    return fmean(
        at_s - max(move.at for move in later if move.to == to and move.at <= at_s)
        for at_s, to in known_at_s(scenario, node, host)
        if any(move.to == to and move.at <= at_s for move in later)
    )
