"""How long a mobile node's old address is there, by its kind (RFC 8653 section 3.1): for good, until its last session
has ended, or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from dmmlab.experiments.oracle.delays import Place, path_s
from dmmlab.experiments.oracle.moves import address_s, configured_s
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import SessionSpec

_LOOK_S = 0.1  # between two looks of a node at who still uses an old address
_ROUNDING_S = 1e-9


def survives(scenario: Scenario, node: str, opened_s: float, length_s: float, host: str) -> bool:
    """Whether a session of ``host`` with ``node``, opened at ``opened_s`` on the newest address, is still alive
    ``length_s`` later: what leaves then is answered, at once or as soon as the redirect is there again.
    """
    moves = scenario.moves_of(node)
    here = [move.to for move in moves if move.at <= opened_s][-1]
    there_s = path_s(scenario, Place(host), Place(node, here, here)) or 0.0
    ends_s = opened_s + length_s + there_s
    return scenario.redirects or not any(opened_s < move.at <= ends_s for move in moves)


def chance_to_survive(length_over_residence: float) -> float:
    """Of a session that begins at any instant of its node's residence alike, without the redirect: that the next move
    comes after its end.
    """
    return max(0.0, 1.0 - length_over_residence)


def deprecated_s(scenario: Scenario, node: str, turn: int) -> float | None:
    """When the address of movement number ``turn`` (from 0) becomes an old one: in IPv4 with the next lease, in IPv6
    when the link goes. None if there is no further movement.
    """
    later = scenario.moves_of(node)[turn + 1 : turn + 2]
    if not later:
        return None
    (move,) = later
    return move.at if scenario.family == "ipv6" else move.at + move.gap + address_s(scenario, node, turn + 1)


def released_s(scenario: Scenario, node: str, turn: int, sessions: Sequence[SessionSpec]) -> float | None:
    """When ``node`` gives back the session-lasting address of movement number ``turn``; None if it has not moved on, or
    comes back first. ``sessions`` are those that were opened on it, from or to fixed hosts.

    It looks ``idle`` after the address was deprecated, and then ten times a second.
    """
    moves, old_s = scenario.moves_of(node), deprecated_s(scenario, node, turn)
    if old_s is None or scenario.addresses.lifetime != "session-lasting":
        return None
    first_s = old_s + scenario.addresses.idle
    new_s = moves[turn + 1].at + moves[turn + 1].gap + configured_s(scenario, node, turn + 1)
    release_s = _look(first_s, max(first_s, new_s))
    for session in sorted(sessions, key=lambda session: session.at_s):
        if session.at_s <= release_s:
            over_s = _over_s(scenario, node, moves[turn].to, moves[turn + 1].to, session)
            release_s = max(release_s, _look(first_s, over_s))
    back = [move.at for move in moves[turn + 2 :] if move.to == moves[turn].to]
    return None if back and back[0] <= release_s else release_s


def _look(first_s: float, from_s: float) -> float:
    """The first look at ``from_s`` or later."""
    return first_s + max(0, ceil((from_s - first_s - _ROUNDING_S) / _LOOK_S)) * _LOOK_S


def _over_s(scenario: Scenario, node: str, anchor: str, serving: str, session: SessionSpec) -> float:
    """When nothing of ``session`` is left at ``node``, which is at ``serving`` by then."""
    other = session.mn if session.cn == node else session.cn
    way_s = path_s(scenario, Place(other), Place(node, anchor, serving)) or 0.0
    sent_s = session.at_s + (session.count - 1) * (session.interval_s or 0.0)
    if session.transport == "udp":
        return sent_s + (way_s + scenario.addresses.idle if session.mn == node else 2 * way_s)
    # The opener closes when it has the last answer. The other side does so at once, and its word is acknowledged.
    return sent_s + (5 if session.mn == node else 4) * way_s
