"""Draws faults for a scenario from a seed: swarm testing, with some kinds only (Groce et al., ISSTA 2012)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from random import Random
from typing import Any

from dmmlab.experiments.explorer.rounds import QUICK_S, Rounds, probes, slower
from dmmlab.experiments.methods.base import SERVICES
from dmmlab.experiments.scenario.faults import Fault, problems, targets
from dmmlab.experiments.scenario.load import parse
from dmmlab.experiments.scenario.model import CONTROLLER, RADIO, SWITCHES, Scenario

_MOST_FAULTS, _SHORTEST_S = 6, 0.02
_TRIES = 50  # to find a fault that does not overlap another of the same thing
_SLOWEST = 240  # two-mr in two hours
_STEP_S = 0.1, 20.0  # of the clock; put back it makes what is cached live as much longer
_NEAR_S = 0.001, 2.0  # after something that happens anyway

Item = dict[str, Any]


def written(scenario: Scenario) -> Item:
    """``scenario`` as a file has it, with all its movements written and nothing that is at its default."""
    return scenario.resolved().model_dump(mode="json", by_alias=True, exclude_defaults=True)


def drawn(base: Scenario, seed: int, rounds: int = 1, own_clock: bool = True) -> Scenario:
    """``base`` with faults before its end, drawn from ``seed``, and after it a session by every method.

    With more ``rounds`` than one it is played so often, each time with other faults, with some of its sessions, and
    perhaps slower. Without an ``own_clock``, as the guest has, no clock steps.
    """
    chance, base = Random(hashlib.sha256(f"explore/{seed}".encode()).digest()), base.resolved()
    whole = Rounds(base)
    for _ in range(rounds):
        one, pace = base, 1
        if rounds > 1:
            some = tuple(session for session in base.sessions if chance.random() < 0.6)
            pace = 1 if chance.random() < 0.5 else round(_evenly(chance, 2, _SLOWEST))
            one = slower(base.model_copy(update={"sessions": some}), pace)
        whole.add(one.model_copy(update={"faults": _faults(chance, one, pace, own_clock)}))
    scenario = whole.scenario(f"{base.name[:24]}-{seed}", seed)
    return parse(written(scenario), f"seed {seed}")


def _faults(chance: Random, one: Scenario, pace: int, own_clock: bool) -> tuple[Fault, ...]:
    """For a round ``one`` at ``pace``."""
    possible = [kind for kind in _KINDS.values() if own_clock or kind is not _clock]
    kinds = [kind for kind in possible if chance.random() < 0.5] or [chance.choice(possible)]
    one = one.model_copy(update={"sessions": (*one.sessions, *probes(one))})
    faults: list[Fault] = []
    wanted = chance.randint(1, _MOST_FAULTS)
    for _ in range(_TRIES):
        if len(faults) == wanted:
            break
        long_s = round(_evenly(chance, _SHORTEST_S, QUICK_S * pace), 3)
        at_s = _begins_s(chance, one, long_s)
        fault = Fault.model_validate(
            {"at": _ms(max(0.1, at_s)), "for": _ms(long_s), **chance.choice(kinds)(chance, one)}
        )
        if not any(problems(one.model_copy(update={"faults": (*faults, fault)}))):
            faults.append(fault)
    return tuple(sorted(faults, key=lambda fault: fault.at))


def _begins_s(chance: Random, one: Scenario, long_s: float) -> float:
    """When a fault of ``long_s`` begins: at any time, or so that it begins, ends or lasts just after something that
    happens anyway, a move as often as a session.
    """
    moves, sessions = [move.at for move in one.moves if move.at], [session.at for session in one.sessions]
    happens = chance.choice([each for each in (moves, sessions) if each] or [[0.0]])
    if chance.random() < 0.3:
        return chance.uniform(0.1, max(0.2, one.duration - long_s))
    after_s = chance.choice(happens) + _evenly(chance, *_NEAR_S)
    return after_s - chance.choice((0.0, long_s, chance.uniform(0, long_s)))


def _evenly(chance: Random, least: float, most: float) -> float:
    """Each order of magnitude is as likely."""
    return math.exp(chance.uniform(math.log(least), math.log(most)))


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1e3)}ms"


def _party(chance: Random, base: Scenario) -> str:
    """Whose processes: a mobile node's as often as a server's, however many there are of each."""
    roles = (SERVICES, (CONTROLLER, SWITCHES), base.mobile_routers, base.mobile_nodes, base.correspondents)
    there = [[name for name in targets(base) if name in role] for role in roles]
    return chance.choice(chance.choice([names for names in there if names]))


def _crash(chance: Random, base: Scenario) -> Item:
    return {"crash": _party(chance, base)}


def _pause(chance: Random, base: Scenario) -> Item:
    return {"pause": _party(chance, base)}


def _link(chance: Random, base: Scenario) -> list[str]:
    return list(chance.choice([link.between for link in base.links if link.at is None]))


def _partition(chance: Random, base: Scenario) -> Item:
    return {"partition": _link(chance, base), "way": chance.choice(["out", "in", "both"])}


def _impair(chance: Random, base: Scenario) -> Item:
    how: Item = {"between": _link(chance, base), "way": chance.choice(["out", "in", "both"])}
    kinds = chance.sample(["loss", "duplicate", "reorder", "corrupt", "delay"], chance.randint(1, 3))
    for kind in kinds:
        how[kind] = f"{chance.randint(1, 60)}ms" if kind == "delay" else f"{chance.randint(1, 50)}%"
    if "loss" in how and chance.random() < 0.5:
        how["burst"] = chance.randint(2, 6)
    return {"impair": how}


def _dns(chance: Random, _base: Scenario) -> Item:
    return {"dns": chance.choice(["servfail", "truncated", "silent"])}


def _disk(_chance: Random, _base: Scenario) -> Item:
    return {"disk-full": "SERVER"}


def _lost_air(chance: Random, base: Scenario) -> Item:
    node = chance.choice(base.mobile_nodes)
    return {"partition": [RADIO, node], "way": chance.choice(["out", "in", "both"])}


def _control(chance: Random, _base: Scenario) -> Item:
    return chance.choice([{"partition": ["CONTROLLER", SWITCHES]}, {"crash": "CONTROLLER"}, {"crash": SWITCHES}])


def _clock(chance: Random, _base: Scenario) -> Item:
    return {"clock-step": _ms(_evenly(chance, *_STEP_S))}


_KINDS: dict[str, Callable[[Random, Scenario], Item]] = {
    "crash": _crash,
    "pause": _pause,
    "partition": _partition,
    "impair": _impair,
    "dns": _dns,
    "disk": _disk,
    "air": _lost_air,
    "control": _control,
    "clock": _clock,
}
