"""A mobile node's links, one after the other, and when the network has done what follows: from the scenario alone.

Everything that decides is a sum of configured delays:

========================== ====================================================================================
redirect in force          first frame by the new link, to the controller and back: a radio and two control crossings
the same, announced        both ports, which the controller hears of: two control crossings after the link is gone
kept from, announced       the announcement and the order: a radio and two control crossings
kept from, not announced   the port that leaves, and the order: two control crossings after the link is gone
delivered                  first frame, and the order, but not before all switches have confirmed the redirect
========================== ====================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dmmlab.experiments.oracle.delays import link_s, radio_s, redirect_s
from dmmlab.experiments.oracle.memo import once
from dmmlab.experiments.oracle.moves import SETTLED_S, address_s, configured_s, released_s
from dmmlab.experiments.scenario.model import CONTROLLER, SWITCHES, Scenario

ASKING_S = 3.0  # three questions by ARP or neighbour discovery, a second each (RFC 4861 section 10, as Linux has it)
_NEVER = float("inf")


@dataclass(frozen=True)
class Stay:
    """A node's link to ``router``, of ``radio_s``, from ``since_s`` to ``until_s``, and what follows from it.

    It has its address at ``address_s`` and knows its router at ``settled_s``. ``redirected_s`` is when the switches
    have the redirects of older addresses; ``kept_s`` and ``delivered_s`` bound the time in which routers keep what
    comes for the node, if they do.
    """

    router: str
    radio_s: float
    since_s: float
    until_s: float
    address_s: float
    settled_s: float
    redirected_s: float
    kept_s: float = _NEVER
    delivered_s: float = _NEVER
    overlaps: bool = False

    @property
    def held_until_s(self) -> float:
        """Until when the node's kernel holds what waits for the router's answer, if the node leaves before that comes
        (ARP, RFC 826; what is in that queue, TCP does not send again); minus infinity if it does not.
        """
        return self.address_s + ASKING_S if self.address_s < self.until_s < self.settled_s else -_NEVER


@once  # each looks back at all before it
def stays(scenario: Scenario, node: str) -> tuple[Stay, ...]:
    """All links of ``node``, in order."""
    found: list[Stay] = []
    moves, control_s = scenario.moves_of(node), link_s(scenario, CONTROLLER, SWITCHES)
    going_by_s = -_NEVER  # from then on switches go by what they have confirmed
    for turn, move in enumerate(moves):
        after = moves[turn + 1] if turn + 1 < len(moves) else None
        until_s = _NEVER if after is None else after.at if after.overlap is None else after.over_s
        crossing_s = radio_s(scenario, node, move.to)
        since_s = move.at if turn == 0 or move.overlap is not None else move.over_s
        spoke_s = since_s + scenario.costs.dhcp_s
        heard_s = spoke_s + crossing_s + control_s + scenario.costs.packet_in_s  # at the controller
        redirected_s, kept_s, delivered_s = heard_s + control_s, _NEVER, _NEVER
        lead_s = _lead_s(scenario, node, found[-1], move.at) if found and move.overlap is None else None
        if lead_s is not None:
            redirected_s = move.at + 2 * control_s
        if _changes(scenario, node, found, move.to, heard_s):
            again = heard_s < going_by_s - SETTLED_S  # before the last change is confirmed
            going_by_s = redirected_s + control_s + SETTLED_S
            if again and found and found[-1].delivered_s < _NEVER:
                found[-1] = replace(found[-1], delivered_s=going_by_s + control_s)
        if found and move.overlap is None and scenario.handover.buffer:
            told_s = move.at
            if lead_s is not None:
                told_s += found[-1].radio_s + scenario.costs.packet_in_s - lead_s
            kept_s = told_s + 2 * control_s
            delivered_s = max(heard_s, going_by_s) + control_s
        if until_s <= spoke_s + crossing_s:  # it has left before it was heard
            redirected_s = redirected_s if lead_s is not None else _NEVER
            delivered_s = _NEVER
        found.append(
            Stay(
                *(move.to, crossing_s, since_s, until_s),
                since_s + address_s(scenario, node, turn),
                since_s + configured_s(scenario, node, turn),
                *(redirected_s, kept_s, delivered_s),
                overlaps=move.overlap is not None,
            )
        )
    return tuple(found)


def _changes(scenario: Scenario, node: str, before: list[Stay], to: str, at_s: float) -> bool:
    """Whether redirects begin, end or go elsewhere when the node is heard at ``to``: without a way, none does."""
    places = [to, *(stay.router for stay in reversed(before) if stay.redirected_s < _NEVER)][:2]
    had = {stay.router for stay in before if released_s(scenario, node, stay.router, at_s) > at_s}
    pairs = [(anchor, place) for anchor in had for place in places if anchor != place]
    return scenario.redirect and any(redirect_s(scenario, *pair) is not None for pair in pairs)


def _lead_s(scenario: Scenario, node: str, before: Stay, leaves_s: float) -> float | None:
    """How long before it leaves the node's announcement is under way; None if it says nothing, or not in time."""
    lead_s = scenario.handover.announce
    if lead_s is None or lead_s <= before.radio_s:
        return None
    speaks_from_s = before.since_s if scenario.family == "ipv4" else before.address_s
    first = before.router == scenario.moves_of(node)[0].to and before.since_s == scenario.moves_of(node)[0].at
    if first:
        speaks_from_s = before.address_s
    return lead_s if leaves_s - lead_s >= speaks_from_s else None
