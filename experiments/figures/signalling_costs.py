"""What the closed forms of messages (`oracle.messages`) say of a scenario: of its moves, sessions and methods."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

from dmmlab.experiments.figures.base import Row
from dmmlab.experiments.methods import METHODS, central, combined, ddns, p2p
from dmmlab.experiments.methods.base import DDNS, RESOLVER, SERVER
from dmmlab.experiments.oracle import messages
from dmmlab.experiments.oracle.delays import hosts_s
from dmmlab.experiments.oracle.expectation import Oracle
from dmmlab.experiments.oracle.messages import Said, Sizes
from dmmlab.experiments.oracle.moves import known_at_s
from dmmlab.experiments.scenario.identities import node_id
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of

COSTED = tuple(method.name for method in (ddns.METHOD, p2p.METHOD, central.METHOD, combined.METHOD))
_REGISTERED = tuple(name for name in COSTED if name != ddns.METHOD.name)
_EARLY_S = 2.47  # so long before the scenario's start a correspondent registers
_OVER_STAY = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)  # TTL over the time between moves
Expected = Said


@dataclass
class Closed:
    """By movement number and protocol, by session and part, by method: what is due."""

    moves: dict[tuple[str, int], list[Said]] = field(default_factory=lambda: defaultdict(list))
    sessions: dict[tuple[str, str], list[Said]] = field(default_factory=lambda: defaultdict(list))
    totals: dict[str, Said] = field(default_factory=dict)


def expected(scenario: Scenario) -> Closed:
    """What is due in ``scenario``; nothing where there is no closed form (IPv6, several nodes, lost packets)."""
    closed, sessions = Closed(), sessions_of(scenario)
    askers = {session.cn for session in sessions}
    if scenario.family != "ipv4" or len(scenario.mobile_nodes) != 1 or len(askers) != 1:
        return closed
    if scenario.registration.control != "udp" or any(link.loss for link in scenario.links):
        return closed
    node, asker = scenario.mobile_nodes[0], next(iter(askers))
    sizes, oracle = _sizes(scenario, node, asker), Oracle(scenario)
    visited: list[str] = []
    for turn, move in enumerate(scenario.moves_of(node)):
        visited += [] if move.to in visited else [move.to]
        due = {"dhcp": sizes.lease(), "arp": sizes.router_met(), "dns-update": sizes.update()}
        for protocol, said in (due | {"registration": sizes.registration(len(visited))}).items():
            closed.moves[protocol, turn].append(said)
    asked: set[float] = set()
    for session in sorted(sessions, key=lambda session: (session.at_s, session.number)):
        if session.method in COSTED:
            _session(closed, scenario, sizes, oracle, session, asked)
    _totals(closed, scenario, sizes, sessions)
    return closed


def _session(
    closed: Closed, scenario: Scenario, sizes: Sizes, oracle: Oracle, session: SessionSpec, asked: set[float]
) -> None:
    """``asked``: when the resolver has had to ask; who asks it at that very instant waits for the same answer."""
    if session.method == ddns.METHOD.name:
        lookup = oracle.of(session)
        far_s = 2 * (hosts_s(scenario, session.cn, RESOLVER) + hosts_s(scenario, RESOLVER, DDNS))
        cold = lookup is not None and math.isclose(lookup.lookup_s, far_s, abs_tol=1e-9) and session.at_s not in asked
        asked |= {session.at_s} if cold else set()
        closed.sessions[session.name, "set-up"].append(sizes.asked_resolver())
        closed.sessions[session.name, "not cached"].append(sizes.asked_server() if cold else Said(0, 0))
        return
    asked_s = session.at_s + hosts_s(scenario, session.cn, SERVER)
    known = {router for at_s, router in known_at_s(scenario, session.mn, SERVER) if at_s <= asked_s}
    closed.sessions[session.name, "set-up"].append(sizes.request(session.method, len(known)))
    closed.sessions[session.name, "teardown"].append(sizes.end(session.method))


def _totals(closed: Closed, scenario: Scenario, sizes: Sizes, sessions: list[SessionSpec]) -> None:
    node = scenario.mobile_nodes[0]
    turns = range(len(scenario.moves_of(node)))
    for method in COSTED:
        mine = [session for session in sessions if session.method == method]
        if not mine:
            continue
        parts = [said for session in mine for part in ("set-up", "not cached", "teardown")
                 for said in closed.sessions.get((session.name, part), [])]  # fmt: skip
        protocol = METHODS[method].signalling.updates[0]
        parts += [said for turn in turns for said in closed.moves[protocol, turn]]
        if method in _REGISTERED:
            parts += [sizes.asker_registration()] * _registrations(scenario, mine[0].cn)
        closed.totals[method] = sum(parts, Said(0, 0))


def refresh_s(scenario: Scenario, asker: str) -> float:
    """How often a correspondent registers again: at half the lifetime after it was granted."""
    return scenario.registration.lifetime / 2 + 2 * hosts_s(scenario, asker, SERVER)


def _registrations(scenario: Scenario, asker: str) -> int:
    return 1 + math.floor((scenario.duration + _EARLY_S) / refresh_s(scenario, asker))


def formula(scenario: Scenario, method: str, ratio: float, stay_s: float) -> float:
    """Bytes of a session in the long run, as sessions come at random."""
    cost = _cost(scenario, method)
    return messages.per_session(cost, ratio, stay_s, _life_s(scenario))


def crossings(scenario: Scenario, stay_s: float) -> list[Row]:
    """Where DDNS costs the same as each other method, for several TTLs; a row without a ratio where it never does."""
    found: list[Row] = []
    for over_stay in _OVER_STAY:
        life_s = over_stay * stay_s + _life_s(scenario) - scenario.ddns.ttl
        for other in _REGISTERED:
            roots = messages.crossing(_cost(scenario, ddns.METHOD.name), _cost(scenario, other), stay_s, life_s)
            row: Row = {"panel": "crossing", "name": ddns.METHOD.name, "part": other, "ttl_over_stay": over_stay}
            found += [{**row, "ratio": root} for root in roots] or [{**row, "ratio": None}]
    return found


def _cost(scenario: Scenario, method: str) -> messages.Cost:
    asker = next(session.cn for session in sessions_of(scenario))
    node = scenario.mobile_nodes[0]
    addresses = len({move.to for move in scenario.moves_of(node)})
    return messages.cost(_sizes(scenario, node, asker), method, addresses, refresh_s(scenario, asker))


def _sizes(scenario: Scenario, node: str, asker: str) -> Sizes:
    return Sizes(scenario, node_id(scenario, node), node_id(scenario, asker))


def _life_s(scenario: Scenario) -> float:
    """A copy's, in the mean: it is used in the whole second in which its TTL ends."""
    return scenario.ddns.ttl + 0.5 + 2 * hosts_s(scenario, RESOLVER, DDNS)
