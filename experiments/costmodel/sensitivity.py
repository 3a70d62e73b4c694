"""Which method wins, and what decides it: Sobol's indices over stated ranges, by SALib.

For each question the model's output is whether one method wins (1 or 0). A *first-order* index is the share of that
output's variance which a parameter explains by itself, a *total* one its share with all its interactions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from math import exp, log
from random import Random
from typing import Any, NamedTuple

from dmmlab.experiments.costmodel import delay, signalling
from dmmlab.experiments.costmodel.setting import Setting
from dmmlab.experiments.methods import NAMES

SEED = 19
_SAMPLES = 2048  # times parameters + 2: settings looked at
_RARE = 0.01  # a method that wins less often than this decides nothing
_WAYS = ("cn_s", "router_s", "resolver_s", "ddns_s", "server_s", "across_s")


class Range(NamedTuple):
    """Where a parameter lies: as likely in each part that is as long in proportion (from 0, that is as
    long).
    """

    low: float
    high: float
    words: str

    def at(self, share: float) -> float:
        """The value with ``share`` of the range below it."""
        if self.low == 0:
            return share * self.high
        return exp(log(self.low) + share * (log(self.high) - log(self.low)))


RANGES: Mapping[str, Range] = {
    "cn_s": Range(0.002, 0.080, "correspondent to core"),
    "router_s": Range(0.001, 0.040, "mobile router to core"),
    "resolver_s": Range(0.0005, 0.010, "resolver to core"),
    "ddns_s": Range(0.002, 0.100, "DDNS server to core"),
    "server_s": Range(0.002, 0.100, "registration server to core"),
    "across_s": Range(0.001, 0.050, "redirect, router to router"),
    "residence_s": Range(10, 300, "time at a router"),
    "calls_per_move": Range(0.5, 50, "calls per move"),
    "ttl_s": Range(1, 120, "TTL"),
    "lifetime_s": Range(60, 3600, "registration's lifetime"),
    "correspondents": Range(1, 8, "correspondents"),
    "exchanges": Range(1, 100, "exchanges a session"),
    "loss": Range(0, 0.05, "loss at the servers"),
}


class Question(NamedTuple):
    """What is asked of the methods: the cost of one in a setting, in words, and who is compared."""

    words: str
    unit: str
    cost: Callable[[Setting, str], float]
    methods: Sequence[str]


ASKING = tuple(name for name in NAMES if name != "fixed")
QUESTIONS: Mapping[str, Question] = {
    "set-up": Question("set up first", "ms", lambda at, name: 1e3 * delay.setup_s(at, name), ASKING),
    "bytes": Question("fewest bytes", "bytes/s", lambda at, name: signalling.per_s(at, name).octets, ASKING),
    "completed": Question("completed first", "ms", lambda at, name: 1e3 * delay.completed_s(at, name), NAMES),
}


def setting_at(shares: Sequence[float]) -> Setting:
    """The setting at these shares of all `RANGES`, in their order; stays are exponential."""
    values: dict[str, Any] = {
        name: found.at(share) for (name, found), share in zip(RANGES.items(), shares, strict=True)
    }
    values["correspondents"], values["exchanges"] = (round(values[name]) for name in ("correspondents", "exchanges"))
    base = Setting(residence="exponential")
    ways = replace(base.ways, **{name: values.pop(name) for name in _WAYS})
    return replace(base, ways=ways, **values)


def drawn(seed: int, count: int, fits: Callable[[Setting], bool]) -> list[Setting]:
    """The first ``count`` settings drawn at random that ``fits``."""
    chance, found = Random(seed), list[Setting]()
    while len(found) < count:
        setting = setting_at([chance.random() for _ in RANGES])
        if fits(setting):
            found.append(setting)
    return found


def winner(setting: Setting, question: str) -> str:
    """The method that costs the least; of equal ones the first."""
    asked = QUESTIONS[question]
    return min(asked.methods, key=lambda name: asked.cost(setting, name))


class Index(NamedTuple):
    """Of one parameter for whether ``winner`` wins: Sobol's indices with the half width of their 95 % intervals.

    ``share`` is how often that method wins over all ranges.
    """

    question: str
    winner: str
    share: float
    parameter: str
    first: float
    first_conf: float
    total: float
    total_conf: float


@cache
def indices(samples: int = _SAMPLES, seed: int = SEED) -> tuple[Index, ...]:
    """Of each question, for each method that wins often enough, and not always. ``samples``: a power of two."""
    from SALib.analyze import sobol as analysis
    from SALib.sample import sobol as sampling

    problem = {"num_vars": len(RANGES), "names": list(RANGES), "bounds": [[0.0, 1.0]] * len(RANGES)}
    settings = [setting_at(row) for row in sampling.sample(problem, samples, calc_second_order=False, seed=seed)]
    found: list[Index] = []
    for question in QUESTIONS:
        won = [winner(setting, question) for setting in settings]
        for name in QUESTIONS[question].methods:
            share = won.count(name) / len(won)
            if not _RARE <= share <= 1 - _RARE:
                continue
            output = _array([float(method == name) for method in won])
            made = analysis.analyze(problem, output, calc_second_order=False, seed=seed)
            columns = zip(RANGES, *(made[key] for key in ("S1", "S1_conf", "ST", "ST_conf")), strict=True)
            found += [Index(question, name, share, key, *map(float, values)) for key, *values in columns]
    return tuple(found)


def _array(values: Sequence[float]) -> Any:
    import numpy as np

    return np.asarray(values)
