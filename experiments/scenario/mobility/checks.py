"""What must hold between a scenario's movements, however they are given: a sentence for each thing that does not."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from dmmlab.experiments.scenario.mobility.section import Mobility
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sections.movement import Movement


def problems(scenario: Scenario) -> Iterator[str]:
    """What is wrong with ``mobility``, ``movement`` and ``handover``: nothing is drawn before it can be."""
    for check in (_mobility, _itineraries, _movement, _handover):
        yield from check(scenario)


def _mobility(scenario: Scenario) -> Iterator[str]:
    """Before anything is drawn: nodes and routers that exist, ways for who needs them, and nobody in two places."""
    busy: dict[str, tuple[float, str]] = {}  # by node, until when it is moved, and by what
    for number, entry in sorted(enumerate(scenario.mobility, 1), key=lambda found: found[1].from_):
        where = f"mobility: entry {number}" + (f" ({entry.model})" if entry.model else "")
        yield from _mobility_names(scenario, entry, where)
        if entry.from_ >= scenario.duration:
            yield f"{where}: begins at {entry.from_:g}s, not before the scenario's end at {scenario.duration:g}s"
        for node in entry.moved:
            until_s, other = busy.get(node, (0.0, ""))
            if other and (entry.from_ < until_s or entry.trace is not None):
                yield f"{where}: {node} is moved by {other} until {until_s:g}s; let this one begin then, with from"
            busy[node] = (scenario.duration if entry.until is None else entry.until, f"entry {number}")
        for move in scenario.movement:
            if move.node in entry.moved and (move.at > entry.from_ or entry.trace is not None):
                yield (
                    f"{where}: the movement of {move.node} at {move.at:g}s is written as well; "
                    "written are movements before from alone"
                )


def _mobility_names(scenario: Scenario, entry: Mobility, where: str) -> Iterator[str]:
    nodes, routers, places = set(scenario.mobile_nodes), set(scenario.mobile_routers), scenario.ground.map_of(entry)
    for node in entry.moved:
        if node not in nodes:
            yield f"{where}: unknown mobile node {node}; known are {', '.join(scenario.mobile_nodes)}"
    for router in (*entry.routers, *(row.mr for row in entry.trace or ())):
        if router not in routers:
            yield f"{where}: unknown mobile router {router}; known are {', '.join(scenario.mobile_routers)}"
    if entry.model and len(places.routers) < 2:
        yield f"{where}: needs two mobile routers to move between"
    for router in places.routers if entry.model == "random-walk" else ():
        if not places.neighbours[router]:
            yield f"{where}: no inter-MR link leads away from {router}; add one, or leave it out of routers"
    starts = {move.node: move.to for move in sorted(scenario.movement, key=lambda move: move.at)}
    for node in entry.moved if entry.routers else ():
        if starts.get(node, entry.routers[0]) not in entry.routers:
            yield f"{where}: {node} is at {starts[node]} when it begins, which is none of its routers"


def _itineraries(scenario: Scenario) -> Iterator[str]:
    try:
        _ = scenario.moves
    except ValueError as error:
        yield str(error)


def _movement(scenario: Scenario) -> Iterator[str]:
    nodes, routers = set(scenario.mobile_nodes), set(scenario.mobile_routers)
    for move in scenario.moves:
        where = f"movement: at {move.at:g}s, node {move.node}"
        if move.node not in nodes:
            yield f"{where}: unknown mobile node; known are {', '.join(scenario.mobile_nodes)}"
        if move.to not in routers:
            yield f"{where}: unknown mobile router {move.to}; known are {', '.join(scenario.mobile_routers)}"
        if move.over_s > scenario.duration:
            yield f"{where}: ends after the scenario's duration of {scenario.duration:g}s"
        if move.overlap == 0:
            yield f"{where}: overlap: 0s has no two links at once; give more, or gap: 0s"
    for node in scenario.mobile_nodes:
        moves = scenario.moves_of(node)
        if not moves:
            yield f"movement: {node} never attaches; add {{at: 0s, node: {node}, to: {scenario.mobile_routers[0]}}}"
        if moves and moves[0].overlap is not None:
            yield f"movement: at {moves[0].at:g}s, node {node}: a first attachment has no link to overlap with"
        for before, after in pairwise(moves):
            yield from _succession(before, after)


def _succession(before: Movement, after: Movement) -> Iterator[str]:
    """Two movements of a node, one after the other."""
    if after.at <= before.over_s and before.overlap is not None:
        yield (
            f"movement: at {before.at:g}s, node {before.node}: overlap {before.overlap * 1e3:g}ms is longer than its "
            f"stay, which ends at {after.at:g}s; let the first link go before the next movement"
        )
    elif after.at <= before.over_s:
        yield (
            f"movement: the movements of {before.node} at {before.at:g}s (gap {before.gap * 1e3:g}ms) and "
            f"{after.at:g}s overlap; let the second start after the first has ended"
        )
    if after.to == before.to:
        yield f"movement: at {after.at:g}s, node {after.node}: is at {after.to} already"


def _handover(scenario: Scenario) -> Iterator[str]:
    if scenario.handover.buffer and not scenario.redirect:
        yield "handover: buffer keeps packets for the redirect; with redirect: false there is none"
    lead_s = scenario.handover.announce
    for node in scenario.mobile_nodes if lead_s is not None else ():
        for before, after in pairwise(scenario.moves_of(node)):
            arrived_s = before.over_s if before is not scenario.moves_of(node)[0] else before.at
            if after.overlap is None and lead_s is not None and after.at - lead_s <= arrived_s:
                yield (
                    f"handover: announce {lead_s * 1e3:g}ms: {node}, which leaves at {after.at:g}s, is at {before.to} "
                    f"from {arrived_s:g}s only; announce later, or let it stay longer"
                )
