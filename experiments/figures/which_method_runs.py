"""What is run for F19: settings drawn from the model's ranges, played with real packets, and what each came to.

A node goes from its first router, to which it does not come back, round others that are all as far from each other,
and stays at each for an exponential time. At random times somebody calls it, by every method at the same instant; not
around a move, when there is no address to be found (F8, F15).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from math import ceil
from random import Random
from typing import Any, NamedTuple

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.costmodel.sensitivity import QUESTIONS, drawn, winner
from dmmlab.experiments.costmodel.setting import Distances, Setting
from dmmlab.experiments.figures.base import Load
from dmmlab.experiments.figures.sweep import Item, build, numbered, poisson, seconds, session_entry
from dmmlab.experiments.methods import METHODS, NAMES
from dmmlab.experiments.methods.base import DDNS, RESOLVER, SERVER
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rows import SignallingRow
from dmmlab.experiments.scenario.model import CONTROLLER, CORE, RADIO, SWITCHES, Scenario

_POINTS, _FEWER, _SEED = 12, 2, 1919
_CALLS = 120  # wanted of a run, and what it has at least
_LEAST = 40
_NODES, _LONGEST_S, _ROUTERS = 8, 600.0, 9
_FIRST_S = 1.0  # when nodes leave their first router
_BEFORE_S, _AFTER_S = 0.7, 0.3  # of a move: nobody calls


class Play(NamedTuple):
    """How a setting is played: how many nodes, how long, from when on calls and bytes count (caches are warm then)."""

    nodes: int
    duration_s: float
    counts_from_s: float

    @classmethod
    def of(cls, setting: Setting) -> Play:
        """Long enough for four stays and `_CALLS` calls, if that is not too long."""
        longest_s = max(4 * setting.residence_s, _CALLS / setting.calls_per_s / _NODES)
        duration_s = float(ceil(min(_LONGEST_S, longest_s)))
        nodes = min(_NODES, ceil(_CALLS / (setting.calls_per_s * duration_s)))
        return cls(nodes, duration_s, min(setting.ttl_s, duration_s / 3) + _FIRST_S)

    def calls(self, setting: Setting) -> float:
        """How many count, about."""
        return self.nodes * (self.duration_s - self.counts_from_s) * setting.calls_per_s


def points() -> dict[str, Setting]:
    """By the name of its run: ten as they are drawn, and two, which are rare, in which DDNS says the least."""
    settings = drawn(_SEED, _POINTS - _FEWER, _can_be_played)
    settings += drawn(_SEED + 1, _FEWER, lambda at: _can_be_played(at) and winner(at, "bytes") == "ddns")
    whole = [replace(setting, ttl_s=float(max(1, round(setting.ttl_s)))) for setting in settings]
    return {f"f19-point-{turn}": setting for turn, setting in enumerate(whole, 1)}


def _can_be_played(setting: Setting) -> bool:
    """A node is back at a router after eight moves: no record lives as long as that."""
    return Play.of(setting).calls(setting) >= _LEAST and setting.ttl_s < 5 * setting.residence_s


def scenarios(load: Load) -> list[Scenario]:
    """One a point."""
    return [_played(load, name, setting) for name, setting in points().items()]


def _played(load: Load, name: str, setting: Setting) -> Scenario:
    play, routers = Play.of(setting), numbered("MR", _ROUTERS)
    walkers, callers = numbered("MN", play.nodes), numbered("CN", min(3, setting.correspondents))
    chance = Random(f"{_SEED}/{name}")
    movement: list[tuple[float, str, str]] = []
    sessions: list[Item] = []
    for turn, node in enumerate(walkers):
        moves_s = _moves_s(chance, setting, play)
        movement += [(at_s, node, routers[1 + number % (_ROUTERS - 1)]) for number, at_s in enumerate(moves_s)]
        times = poisson(chance.randrange(1 << 30), 1 / setting.calls_per_s, _FIRST_S + 1, play.duration_s - 3)
        quiet = [at_s for at_s in times if all(not -_BEFORE_S < at_s - move_s < _AFTER_S for move_s in moves_s)]
        sessions += [
            session_entry(f"N{turn}C{number}", at_s, node, chance.choice(callers), method=list(METHODS))
            for number, at_s in enumerate(quiet)
        ]
    first = [{"at": "0s", "node": node, "to": routers[0]} for node in walkers]
    gap = {"gap": seconds(setting.gap_s)}
    return build(
        load, name, mobile_routers=routers, links=_links(load, setting, walkers, callers, routers),
        movement=first + [{"at": seconds(at_s), "node": node, "to": to, **gap} for at_s, node, to in sorted(movement)],
        sessions=sessions, ddns={"ttl": seconds(setting.ttl_s)},
        registration={"lifetime": seconds(round(setting.lifetime_s, 3))}, duration=seconds(play.duration_s), seed=_SEED,
    )  # fmt: skip


def _moves_s(chance: Random, setting: Setting, play: Play) -> list[float]:
    found = [_FIRST_S]
    while (at_s := found[-1] + max(0.5, chance.expovariate(1 / setting.residence_s))) < play.duration_s - 5:
        found.append(round(at_s, 3))
    return found


def _links(
    load: Load, setting: Setting, walkers: Sequence[str], callers: Sequence[str], routers: Sequence[str]
) -> list[Item]:
    ways, base = setting.ways, load("two-mr", {})
    control, lossy = base.link(CONTROLLER, SWITCHES), {"loss": f"{100 * setting.loss:.3f}%"}
    near: list[tuple[tuple[str, str], float, dict[str, str]]] = [
        *(((name, CORE), ways.cn_s, {}) for name in callers),
        *(((name, CORE), ways.router_s, {}) for name in routers),
        *((pair, ways.across_s, {}) for pair in combinations(routers, 2)),
        *(((RADIO, name), ways.radio_s, {}) for name in walkers),
        ((RESOLVER, CORE), ways.resolver_s, lossy),
        ((DDNS, CORE), ways.ddns_s, lossy),
        ((SERVER, CORE), ways.server_s, lossy),
        ((CONTROLLER, SWITCHES), control.delay if control else ways.control_s, {}),
    ]
    return [{"between": [*ends], "delay": seconds(round(way_s, 6)), **more} for ends, way_s, more in near]


class Mean(NamedTuple):
    """A mean, and its 95 % confidence interval where it is one of draws."""

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        """Of calls, each a draw of its own (bootstrap)."""
        return cls(stats.mean(values), *stats.bootstrap([[value] for value in values], rounds=500))

    def plus(self, more: float) -> Mean:
        """That much later."""
        return Mean(self.value + more, (self.low or 0.0) + more, (self.high or 0.0) + more)


class Come(NamedTuple):
    """What a run came to: the setting as it was played (calls and moves are counted, not assumed), how many calls
    count, and by question and method the measured cost in the question's unit.
    """

    setting: Setting
    calls: int
    measured: dict[str, dict[str, Mean]]


def come(run: Recording) -> Come:
    """Means over the sessions that count, and bytes a second and node from then on."""
    setting = points()[run.scenario.name]
    play = Play.of(setting)
    nodes, seconds_in_all = len(run.scenario.mobile_nodes), run.scenario.duration - play.counts_from_s
    counted = [s for s in run.sessions if s.spec.at_s >= play.counts_from_s and s.worked and s.row.serving]
    moves = sum(move.at >= play.counts_from_s for move in run.scenario.movement)
    calls = sum(session.spec.method == NAMES[0] for session in counted)
    been = [_been(run.scenario, s.spec.mn, s.spec.at_s) - 1 for s in counted]
    as_played = replace(
        setting,
        ways=_ways(run.scenario, setting.ways),
        residence_s=nodes * seconds_in_all / max(1, moves),
        calls_per_move=calls / max(1, moves),
        old_addresses=round(stats.mean([float(count) for count in been])),
    )
    setups: dict[str, list[float]] = defaultdict(list)
    trips: dict[str, list[float]] = defaultdict(list)
    for session in counted:
        setups[session.spec.method].append(session.row.setup_ms or 0.0)
        if session.row.outcome == "ok":  # else its first round trip has the wait in it
            trips[session.spec.method].append(session.row.connect_ms or 0.0)
    spent = {name: (setting.exchanges - 1) * stats.mean(trips[name]) for name in NAMES}
    exact = {name: Mean(value) for name, value in _bytes_per_s(run, setting, nodes, play.counts_from_s).items()}
    set_up = {name: Mean.of(setups[name]) for name in NAMES}
    of = {
        "set-up": {name: set_up[name] for name in QUESTIONS["set-up"].methods},
        "bytes": exact,
        "completed": {name: set_up[name].plus(spent[name]) for name in QUESTIONS["completed"].methods},
    }
    return Come(as_played, calls, of)


def _been(scenario: Scenario, node: str, at_s: float) -> int:
    return len({move.to for move in scenario.moves_of(node) if move.at <= at_s})


def _ways(scenario: Scenario, drawn_ways: Distances) -> Distances:
    """As they were played: to the microsecond."""
    rounded: dict[str, Any] = {name: round(value, 6) for name, value in vars(drawn_ways).items()}
    control = scenario.link(CONTROLLER, SWITCHES)
    return replace(drawn_ways, **rounded | ({"control_s": control.delay} if control else {}))


def _bytes_per_s(run: Recording, setting: Setting, nodes: int, from_s: float) -> dict[str, float]:
    """Of each method: what keeps its servers informed, its correspondents' registrations, and its sessions.

    There are fewer correspondents in a run than in its setting; what they repeat counts for all.
    """
    seconds_in_all = run.scenario.duration - from_s
    method_of = {session.spec.name: session.spec.method for session in run.sessions}
    own: dict[str, float] = defaultdict(float)
    informed: dict[str, float] = defaultdict(float)
    callers = set(run.scenario.correspondents)
    for row in (row for row in run.signalling if (row.time_s or 0.0) >= from_s):
        if row.cause in method_of:
            own[method_of[row.cause]] += row.bytes
        elif row.protocol == "dns-update":
            informed["dns-update"] += row.bytes / nodes
        elif _registers(row) and {row.source, row.destination} & callers:
            informed["registration"] += row.bytes * setting.correspondents / len(callers)
        elif _registers(row):
            informed["registration"] += row.bytes / nodes
    return {
        name: (own[name] / nodes + sum(informed[protocol] for protocol in METHODS[name].signalling.updates))
        / seconds_in_all
        for name in QUESTIONS["bytes"].methods
    }


def _registers(row: SignallingRow) -> bool:
    return row.protocol == "registration" and row.message.startswith("REGISTER")
