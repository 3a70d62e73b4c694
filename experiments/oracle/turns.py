"""Which sessions' messages find the registration server at work, where a message takes it time (`costs`)."""

from __future__ import annotations

from collections.abc import Iterator

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import MN, SERVER
from dmmlab.experiments.oracle.delays import path_s
from dmmlab.experiments.oracle.lookups import Lookups
from dmmlab.experiments.oracle.moves import known_at_s, place
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import sessions_of

_REGISTRATION = -1


def waiting(scenario: Scenario, lookups: Lookups) -> frozenset[int]:
    """The numbers of sessions of which a message would wait at the server for another one, or come at the same time."""
    cost_s = scenario.costs.register_s
    if not cost_s or SERVER not in scenario.hosts:
        return frozenset()
    found, free_s, last_s, last = set[int](), 0.0, -1.0, _REGISTRATION
    for comes_s, number in sorted(_arrivals(scenario, lookups)):
        if comes_s < free_s:
            found.add(number)
        if comes_s == last_s:
            found |= {number, last}
        free_s, last_s, last = max(free_s, comes_s) + cost_s, comes_s, number
    return frozenset(found - {_REGISTRATION})


def _arrivals(scenario: Scenario, lookups: Lookups) -> Iterator[tuple[float, int]]:
    """When messages come to the server, and of which session each is."""
    cost_s = scenario.costs.register_s
    for node in scenario.mobile_nodes:
        yield from ((known_s - cost_s, _REGISTRATION) for known_s, _ in known_at_s(scenario, node, SERVER))
    for session in sessions_of(scenario):
        method, lookup, near = METHODS[session.method], lookups.of(session), place(scenario, session.cn, session.at_s)
        if SERVER not in method.needs or lookup is None or near is None:
            continue
        way_s = path_s(scenario, near, place(scenario, SERVER, session.at_s) or near) or 0.0
        yield session.at_s + way_s, session.number
        if (SERVER, MN) in method.asks:
            yield session.at_s + lookup.lookup_s - way_s - cost_s, session.number
