"""What is run for F13: nodes that walk through worlds of random hosts, which differ in how much of them is no plane.

Whoever has a matrix of real round trips puts it in the place of these (docs/which-address.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from dmmlab.experiments.figures.base import Load
from dmmlab.experiments.figures.sweep import Item, build, numbered, seconds, session_entry
from dmmlab.experiments.methods import p2p
from dmmlab.experiments.methods.base import SERVER
from dmmlab.experiments.policies import anchor, cached, hysteresis, latest, lowest_rtt, race, scored, staggered
from dmmlab.experiments.scenario.model import CONTROLLER, CORE, RADIO, SWITCHES, Scenario


class Walks(NamedTuple):
    """How many nodes move how often."""

    nodes: int
    moves: int


_VIOLATIONS = {0.0: 13, 0.03: 14, 0.06: 15, 0.12: 16}  # shares of all triples (0.06: PlanetLab's), and their seeds
_SWEPT = 0.06  # the world in which policies are compared
_DRAWS = (1, 2, 3)  # of hosts, from a matrix that is somebody's own
NEAR_MS = 20.0  # the round trip between two routers that are near each other
_ROUTERS, _CORRESPONDENTS = 12, 10
_MANY = Walks(nodes=32, moves=1)  # for the triples
_FEW = Walks(nodes=8, moves=2)  # for the policies
_LONG = Walks(nodes=4, moves=8)  # for the sweep
_TURN_S = 1.0  # between two sessions of one correspondent with one node: longer than any takes
_SETTLE_S = 1.0  # after an attachment
_SWEEP_MS = (0, 1, 2, 5, 10, 20, 50)
_CHOSEN = (latest, anchor, cached, lowest_rtt, hysteresis, scored, race, staggered)
NAMES = tuple(module.POLICY.name for module in _CHOSEN)
LATEST, ANCHOR, LOWEST, RACE, HYSTERESIS = (
    module.POLICY.name for module in (latest, anchor, lowest_rtt, race, hysteresis)
)


class Setting(NamedTuple):
    """Where the hosts stand: a scenario's ``geometry``, and the seed; ``coupled`` routers are near each other, two by
    two, and nodes move between these two.
    """

    geometry: Item
    seed: int
    coupled: bool = False


def scenarios(load: Load) -> list[Scenario]:
    """Triples in a world for each share of violations; in one of them all policies, and hysteresis of any size.

    Where the scenario in the place of ``two-mr`` has a matrix of its own (`dmmlab reproduce F13 --instead`), worlds are
    draws of hosts from that one, and there are triples of routers that are near each other besides.
    """
    triples: list[Item] = [{"select": name} for name in (LATEST, ANCHOR)]
    policies: list[Item] = [{"select": name} for name in NAMES]
    sweep: list[Item] = [{"select": {HYSTERESIS: {"better_by": f"{better}ms"}}} for better in _SWEEP_MS]
    own = load("two-mr", {}).geometry
    if own is None or own.matrix is None:
        worlds = {f"f13-violations-{share * 100:g}": _generated(share) for share in _VIOLATIONS}
        swept = _generated(_SWEPT)
    else:
        whole, near = {"matrix": own.matrix}, {"matrix": own.matrix, "near": f"{NEAR_MS:g}ms"}
        worlds = {f"f13-own-{seed}": Setting(whole, seed) for seed in _DRAWS}
        worlds |= {f"f13-own-near-{seed}": Setting(near, seed, coupled=True) for seed in _DRAWS}
        swept = Setting(whole, _DRAWS[0])
    return [
        *(_played(load, name, world, _MANY, triples) for name, world in worlds.items()),
        _played(load, "f13-policies", swept, _FEW, policies),
        _played(load, "f13-hysteresis", swept, _LONG, sweep),
    ]


def _generated(share: float) -> Setting:
    hosts = _ROUTERS + _CORRESPONDENTS + 1
    return Setting({"generate": {"nodes": hosts, "violations": f"{share * 100:g}%"}}, _VIOLATIONS[share])


def _played(load: Load, name: str, world: Setting, walks: Walks, turns: Sequence[Item]) -> Scenario:
    """Nodes go from router to router, drawn at random; at each, every correspondent opens a session by each of
    ``turns``, to every node.
    """
    routers, walkers = numbered("MR", _ROUTERS), numbered("MN", walks.nodes)
    correspondents, seed = numbered("CN", _CORRESPONDENTS), world.seed
    chance, stay_s = Random(seed), _SETTLE_S + _TURN_S * len(turns)
    partners = {one: other for couple in zip(routers[::2], routers[1::2], strict=True)
                for one, other in (couple, couple[::-1])}  # fmt: skip
    movement: list[Item] = []
    for node in walkers:
        at = ""
        for turn in range(walks.moves + 1):
            elsewhere = [router for router in routers if router != at]
            at = partners[at] if at and world.coupled else chance.choice(elsewhere)
            movement.append({"at": seconds(turn * stay_s), "node": node, "to": at})
    sessions = [
        session_entry(
            f"C{one}M{two}P{turn}", _SETTLE_S + turn * _TURN_S, node, cn, method=p2p.METHOD.name,
            repeat=walks.moves + 1, every=seconds(stay_s), **how,
        )
        for two, node in enumerate(walkers)
        for one, cn in enumerate(correspondents)
        for turn, how in enumerate(turns)
    ]  # fmt: skip
    near = [((name, CORE), "5ms") for name in (*routers, *correspondents, SERVER)]
    near += [((RADIO, node), "2ms") for node in walkers] + [((CONTROLLER, SWITCHES), "5ms")]
    return build(
        load, name, mobile_routers=routers, links=[{"between": [*between], "delay": delay} for between, delay in near],
        geometry=world.geometry, transit="shortest",
        movement=movement, sessions=sessions, duration=seconds((walks.moves + 1) * stay_s + 1), seed=seed,
    )  # fmt: skip
