"""Where two methods cost the same, solved for: in closed form where the costs are linear, else by bisection (Brent)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from math import exp, log

from dmmlab.experiments.costmodel import delay, signalling, staleness
from dmmlab.experiments.costmodel.setting import Setting

_STEPS = 200  # in which a change of sign is looked for


def server_s(setting: Setting, method: str) -> float:
    """The server's distance from the core up to which ``method`` (p2p or combined) is set up sooner than DDNS.

    Both are linear in it. p2p: s = r + (1 - h)(r + d) + a (stale DDNS - stale p2p); combined: half of what is left of
    r + (1 - h)(r + d) + a stale DDNS - m. Without loss.
    """
    ways, miss = setting.ways, 1 - staleness.cached(setting)
    half_s = ways.resolver_s + miss * (ways.resolver_s + ways.ddns_s) + ways.across_s * staleness.ddns(setting)
    if method == "p2p":
        return half_s - ways.across_s * staleness.p2p(setting)
    return (half_s - ways.mn_s) / 2


def exchanges(setting: Setting, method: str = "p2p") -> float:
    """From how many exchanges on it pays to ask (by ``method``) rather than to use an old address that is known."""
    shorter_s = delay.path_s(setting, "fixed") - delay.path_s(setting, method)
    return delay.lookup_s(setting, method) / shorter_s if shorter_s > 0 else float("inf")


def ttls_s(setting: Setting, low_s: float = 0.0, high_s: float = 3600.0) -> list[float]:
    """The TTLs at which a session is completed by DDNS and by P2P in the same time: none, one, or two, since a longer
    one finds more in the cache and more of it stale.
    """

    def ahead_s(ttl_s: float) -> float:
        there = replace(setting, ttl_s=ttl_s)
        return delay.completed_s(there, "ddns") - delay.completed_s(there, "p2p")

    return _roots(ahead_s, low_s + 1e-3, high_s)


def calls_per_move(
    setting: Setting, low: float = 1e-3, high: float = 1e4, one: str = "ddns", two: str = "p2p"
) -> list[float]:
    """The calls per move at which two methods say the same number of bytes a second."""

    def ahead(calls: float) -> float:
        there = replace(setting, calls_per_move=calls)
        return signalling.per_s(there, one).octets - signalling.per_s(there, two).octets

    return _roots(ahead, low, high)


def _roots(function: Callable[[float], float], low: float, high: float) -> list[float]:
    """Where ``function`` changes its sign between ``low`` and ``high``, both above 0."""
    from scipy.optimize import brentq

    points = [exp(log(low) + (log(high) - log(low)) * step / _STEPS) for step in range(_STEPS + 1)]
    return [
        float(brentq(function, one, other, xtol=1e-9, rtol=1e-12))
        for one, other in pairwise(points)
        if function(one) * function(other) < 0
    ]
