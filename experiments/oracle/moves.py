"""Where a mobile node is and who knows it, when: attachment, address configuration, news to servers, redirect."""

from __future__ import annotations

from collections.abc import Iterable

from dmmlab.experiments.methods.base import SERVER
from dmmlab.experiments.oracle.delays import Place, host_to_mn_s, link_s
from dmmlab.experiments.scenario.model import CONTROLLER, RADIO, SWITCHES, Scenario

_DHCP_MESSAGES = 4  # RFC 2131: discover, offer, request, acknowledge, each once over the radio link
_ARP_MESSAGES = 2  # RFC 826: the new router is asked for once there is an address to ask from


def serving(scenario: Scenario, node: str, at_s: float) -> str | None:
    """The mobile router that ``node`` is attached to at ``at_s``; None before its first attachment and in a gap."""
    router: str | None = None
    for turn, move in enumerate(scenario.moves_of(node)):
        if at_s < move.at:
            break
        router = move.to if turn == 0 or at_s >= move.at + move.gap else None
    return router


def known_at_s(scenario: Scenario, node: str, host: str) -> list[tuple[float, str]]:
    """When ``host`` learns of each of ``node``'s addresses, in order: seconds, and the mobile router it is from.

    The node has an address after one DHCP exchange over the radio, knows its router after one more exchange, and one
    message takes the news to the host. With a lazy update the registration server is told later, and not at all of an
    address that the node has replaced by then.
    """
    known: list[tuple[float, str]] = []
    moves, radio_s = scenario.moves_of(node), link_s(scenario, RADIO, node)
    lazy_s = scenario.registration.delay_s if host == SERVER else 0.0
    for turn, move in enumerate(moves):
        attached_s = move.at + (move.gap if turn else 0.0)
        way = host_to_mn_s(scenario, host, node, move.to, move.to)
        told_s = attached_s + (_DHCP_MESSAGES + _ARP_MESSAGES) * radio_s
        if lazy_s and turn:
            told_s = max(told_s, attached_s + _DHCP_MESSAGES * radio_s + lazy_s)
            later = moves[turn + 1 : turn + 2]
            if later and later[0].at <= told_s:
                continue
        known.append((told_s + (way or 0.0), move.to))
    return known


def place(scenario: Scenario, name: str, at_s: float) -> Place | None:
    """Where ``name`` is at ``at_s`` by the address that it uses for what is new; a host is where it always is.

    Between its attachment and its new address a mobile node still uses the one before, by the redirect. None while it
    has no link, no address, or an address and not yet the MAC of its router.
    """
    radio_s, at_router = link_s(scenario, RADIO, name), serving(scenario, name, at_s)
    if scenario.link(RADIO, name) is None:
        return Place(name)
    moves = [move for move in scenario.moves_of(name) if move.at <= at_s]
    if at_router is None:
        return None
    attached_s = moves[-1].at + (moves[-1].gap if len(moves) > 1 else 0.0)
    if at_s >= attached_s + (_DHCP_MESSAGES + _ARP_MESSAGES) * radio_s:
        return Place(name, at_router, at_router)
    if len(moves) < 2 or not redirected_s(scenario, name, at_s) <= at_s < attached_s + _DHCP_MESSAGES * radio_s:
        return None
    before = place(scenario, name, moves[-1].at - 1e-9)
    return None if before is None or before.anchor != before.serving else Place(name, before.anchor, at_router)


def latest(known: Iterable[tuple[float, str]], at_s: float) -> str | None:
    """The router of the newest address that is known at ``at_s``, of what `known_at_s` gives; None before the first."""
    return next((router for since_s, router in reversed(list(known)) if since_s <= at_s), None)


def redirected_s(scenario: Scenario, node: str, at_s: float) -> float:
    """When the redirect of ``node``'s last move before ``at_s`` is in force: first frame, packet-in, flow-mods."""
    move = [move for move in scenario.moves_of(node) if move.at <= at_s][-1]
    return move.at + move.gap + link_s(scenario, RADIO, node) + 2 * link_s(scenario, CONTROLLER, SWITCHES)
