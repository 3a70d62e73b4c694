"""Draws faults for a scenario from a seed: swarm testing, each run with some kinds only (Groce et al., ISSTA 2012)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from random import Random
from typing import Any

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.scenario.faults import targets
from dmmlab.experiments.scenario.load import ScenarioError, parse
from dmmlab.experiments.scenario.model import RADIO, SWITCHES, Scenario

PROBE = "Z"  # names of the sessions at the end begin so
RECOVERS_S = 40.0  # after the last fault everything is as it was (docs/faults.md)
_MOST_FAULTS, _SHORTEST_S, _LONGEST_S = 6, 0.02, 8.0
_TRIES = 50  # to find a fault that does not overlap another of the same thing
_PROBES_S = 6.0

Item = dict[str, Any]


def written(scenario: Scenario) -> Item:
    """``scenario`` as a file has it, with all its movements written and nothing that is at its default."""
    return scenario.resolved().model_dump(mode="json", by_alias=True, exclude_defaults=True)


def drawn(base: Scenario, seed: int) -> Scenario:
    """``base`` with faults before its end, drawn from ``seed``, and after it a session by every method."""
    chance = Random(hashlib.sha256(f"explore/{seed}".encode()).digest())
    data = with_probes(base)
    data["name"], data["seed"] = f"{base.name[:24]}-{seed}", seed
    kinds = [kind for kind in _KINDS.values() if chance.random() < 0.5] or [chance.choice([*_KINDS.values()])]
    faults: list[Item] = []
    wanted = chance.randint(1, _MOST_FAULTS)
    for _ in range(_TRIES):
        if len(faults) == wanted:
            break
        long_s = round(math.exp(chance.uniform(math.log(_SHORTEST_S), math.log(_LONGEST_S))), 3)
        at_s = round(chance.uniform(0.1, max(0.2, base.duration - long_s)), 3)
        fault = {"at": _ms(at_s), "for": _ms(long_s), **chance.choice(kinds)(chance, base)}
        try:
            parse({**data, "faults": [*faults, fault]}, "drawn")
        except ScenarioError:
            continue
        faults.append(fault)
    faults.sort(key=lambda fault: float(fault["at"][:-2]))
    return parse({**data, "faults": faults}, f"seed {seed}")


def with_probes(base: Scenario) -> Item:
    """``base`` as a file has it, longer by the time to recover, with a session by each method at the end."""
    data = written(base)
    at_s = base.duration + RECOVERS_S
    opener = base.correspondents[0] if base.correspondents else ""
    methods = [name for name, method in METHODS.items() if set(method.needs) <= set(base.hosts)]
    probes = [
        {"name": f"{PROBE}{number}", "at": _ms(at_s + 0.1 * number), "from": opener, "to": node}
        | {"method": methods, "transport": ["udp", "tcp"]}
        for number, node in enumerate(base.mobile_nodes)
        if opener
    ]
    data["sessions"] = [*data.get("sessions", []), *probes]
    data["duration"] = _ms(at_s + _PROBES_S + 0.1 * len(probes))
    return data


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1e3)}ms"


def _crash(chance: Random, base: Scenario) -> Item:
    return {"crash": chance.choice(targets(base))}


def _pause(chance: Random, base: Scenario) -> Item:
    return {"pause": chance.choice(targets(base))}


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


_KINDS: dict[str, Callable[[Random, Scenario], Item]] = {
    "crash": _crash,
    "pause": _pause,
    "partition": _partition,
    "impair": _impair,
    "dns": _dns,
    "disk": _disk,
    "air": _lost_air,
    "control": _control,
}
