"""How often an answer is an old one: ages of answers beside the time since a node's last move.

A node that is looked at when it suits the looker has moved within the last ``a`` seconds with probability

    constant residence T       min(1, a / T)
    exponential, mean T        1 - exp(-a / T)

(renewal theory: the age of a stay has the density (1 - F(x)) / T). It never comes back to an address within a TTL.
"""

from __future__ import annotations

from math import exp

from dmmlab.experiments.costmodel.setting import Setting

_WHOLE_SECONDS_S = 0.5  # a resolver that counts in whole seconds keeps a record so much longer, in the mean (RFC 2181)


def moved_within(setting: Setting, age_s: float) -> float:
    """The probability that the node moved within the last ``age_s``."""
    mean_s = setting.residence_s
    if age_s <= 0:
        return 0.0
    return min(1.0, age_s / mean_s) if setting.residence == "constant" else 1 - exp(-age_s / mean_s)


def _moved_in_all_s(setting: Setting, until_s: float) -> float:
    """The integral of `moved_within` from 0 to ``until_s``, seconds."""
    mean_s = setting.residence_s
    if until_s <= 0:
        return 0.0
    if setting.residence == "exponential":
        return until_s - mean_s * (1 - exp(-until_s / mean_s))
    return until_s**2 / (2 * mean_s) if until_s < mean_s else until_s - mean_s / 2


def kept_s(setting: Setting) -> float:
    """How long the resolver uses a record, in the mean."""
    return setting.ttl_s + _WHOLE_SECONDS_S


def cached(setting: Setting) -> float:
    """The share of lookups that the resolver answers from its cache: all but the first of each record's life."""
    asked = setting.calls_per_s * kept_s(setting)
    return asked / (1 + asked)


def unheard_s(setting: Setting, server_s: float) -> float:
    """From a node's new link until a server ``server_s`` from the core knows it by its new address."""
    return setting.ways.settling_s + setting.ways.mn_s + server_s


def ddns(setting: Setting) -> float:
    """Of a cache's answers, each is as old as its record's life has lasted; one in 1 + calls x TTL is fetched anew.

    What is fetched is as old as the update takes to reach the server, less the way of the question.
    """
    ways, life_s = setting.ways, kept_s(setting)
    late_s = max(0.0, unheard_s(setting, ways.ddns_s) - ways.resolver_s - ways.ddns_s)
    fetched = moved_within(setting, max(0.0, late_s - ways.cn_s - ways.resolver_s))
    hits_s = _moved_in_all_s(setting, life_s + late_s) - _moved_in_all_s(setting, late_s)
    hits = hits_s / life_s if life_s else 0.0
    return cached(setting) * hits + (1 - cached(setting)) * fetched


def p2p(setting: Setting) -> float:
    """The server's answer is as old as the registration takes to reach it, less the way of the question."""
    ways = setting.ways
    return moved_within(setting, unheard_s(setting, ways.server_s) - ways.cn_s - ways.server_s)


def share(setting: Setting, method: str) -> float:
    """The share of sessions that ``method`` gives an address which the node had left for another when they began.

    Who knows one address (``fixed``) has an old one from the first move on; whom the node itself answers (``combined``,
    ``central``) has none.
    """
    return {"fixed": 1.0, "ddns": ddns(setting), "p2p": p2p(setting), "central": 0.0, "combined": 0.0}[method]
