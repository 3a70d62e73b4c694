"""Where packets from and to a mobile node go while it changes links, and whether they arrive: from the scenario alone.

A packet is lost where there is no link under it, or no rule that takes it further yet; where routers keep it
(`handover: {buffer: true}`) it waits. Everything that decides is a sum of configured delays:

========================== ====================================================================================
redirect in force          first frame by the new link, to the controller and back: a radio and two control crossings
the same, announced        both ports, which the controller hears of: two control crossings after the link is gone
kept from, announced       the announcement and the order: a radio and two control crossings
kept from, not announced   the port that leaves, and the order: two control crossings after the link is gone
delivered                  first frame, and the order, but not before all switches have confirmed the redirect
========================== ====================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from dmmlab.experiments.oracle.delays import hosts_s, link_s, radio_s, redirect_s
from dmmlab.experiments.oracle.moves import address_s, configured_s
from dmmlab.experiments.oracle.tcp.segments import Fate
from dmmlab.experiments.scenario.model import CONTROLLER, SWITCHES, Scenario

_NEVER = float("inf")
_CACHED_S = 0.005  # how long at most a switch goes on doing what it did before a rule was changed (docs/handovers.md)
_SETTLED_S = 0.006  # and how long the controller waits for that
_GRAIN_S = 1e-9  # what two sums of delays may differ by and be the same


Way = Callable[[float], float | None]  # from when a packet leaves to when it arrives; None if it is lost


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


def stays(scenario: Scenario, node: str) -> list[Stay]:
    """All links of ``node``, in order."""
    found: list[Stay] = []
    moves, control_s = scenario.moves_of(node), link_s(scenario, CONTROLLER, SWITCHES)
    for turn, move in enumerate(moves):
        after = moves[turn + 1] if turn + 1 < len(moves) else None
        until_s = _NEVER if after is None else after.at if after.overlap is None else after.over_s
        crossing_s = radio_s(scenario, node, move.to)
        since_s = move.at if turn == 0 or move.overlap is not None else move.over_s
        heard_s = since_s + crossing_s + control_s  # at the controller
        redirected_s, kept_s, delivered_s = heard_s + control_s, _NEVER, _NEVER
        lead_s = _lead_s(scenario, node, found[-1], move.at) if found and move.overlap is None else None
        if lead_s is not None:
            redirected_s = move.at + 2 * control_s
        confirmed_s = redirected_s + control_s
        if found and move.overlap is None and scenario.handover.buffer:
            told_s = move.at if lead_s is None else move.at - lead_s + found[-1].radio_s
            kept_s = told_s + 2 * control_s
            delivered_s = max(heard_s, confirmed_s + _SETTLED_S) + control_s
        if until_s <= since_s + crossing_s:  # it has left before it was heard
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
    return found


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


class Undecided(Exception):
    """A packet comes when a switch may do the one thing or the other."""


class Ways:
    """Where a packet from or to ``node`` goes, by its address of ``anchor``, to or from ``host``; None: it is lost."""

    def __init__(self, scenario: Scenario, node: str, anchor: str, host: str) -> None:
        self.node = node
        self._scenario, self._anchor, self._host = scenario, anchor, host
        self._stays = stays(scenario, node)
        first = next(n for n, stay in enumerate(self._stays) if stay.router == anchor)
        self._later = self._stays[first + 1 :]
        self._control_s = link_s(scenario, CONTROLLER, SWITCHES)

    def _core_s(self, router: str) -> float:
        return hosts_s(self._scenario, router, self._host)

    def _across_s(self, one: str, other: str) -> float | None:
        """By a redirect, from an anchor to where the node is served, or back."""
        if one == other:
            return 0.0
        return redirect_s(self._scenario, one, other) if self._scenario.redirect else None

    @cached_property
    def _holds(self) -> list[tuple[float, float]]:
        """In which times the anchor's router keeps what comes."""
        found: list[tuple[float, float]] = []
        for stay in self._later:
            if stay.kept_s == _NEVER:
                continue
            if found and stay.kept_s - self._control_s <= found[-1][1] - self._control_s:  # it has left again
                found[-1] = (found[-1][0], stay.delivered_s)
            else:
                found.append((stay.kept_s, stay.delivered_s))
        return found

    def down(self, sent_s: float) -> float | None:
        """When what a host sends at ``sent_s`` reaches the node."""
        passes_s = sent_s + self._core_s(self._anchor)
        for kept_s, delivered_s in self._holds:
            if kept_s <= passes_s + _GRAIN_S and passes_s < delivered_s:
                passes_s = delivered_s
        if passes_s == _NEVER:
            return None
        router = before = self._anchor
        changed_s = -_NEVER
        for stay in self._later:
            if stay.redirected_s <= passes_s + _GRAIN_S:
                before, router, changed_s = router, stay.router, stay.redirected_s
        arrives_s = self._delivered(router, passes_s)
        if passes_s <= changed_s + _CACHED_S + _GRAIN_S and self._delivered(before, passes_s) != arrives_s:
            raise Undecided
        return arrives_s

    def _delivered(self, router: str, passes_s: float) -> float | None:
        """When what passes the anchor's switch on its way to ``router`` reaches the node."""
        across_s = self._across_s(self._anchor, router)
        if across_s is None:
            return None
        there_s = passes_s + across_s
        for stay in self._stays:
            arrives_s = there_s + stay.radio_s
            if stay.router == router and stay.since_s <= there_s + _GRAIN_S and arrives_s <= stay.until_s + _GRAIN_S:
                return arrives_s
        return None

    def up(self, sent_s: float) -> float | None:
        """When what the node sends at ``sent_s`` reaches the host."""
        link = self._link(sent_s)
        if link is None:
            return None
        stay, known = self._stays[link], sent_s > self._stays[link].address_s + _GRAIN_S
        if known and self._scenario.family == "ipv4":
            sent_s = max(sent_s, stay.settled_s)  # it waits for the answer to who its router is
        there_s = sent_s + stay.radio_s
        if there_s > stay.until_s + _GRAIN_S:
            return None
        gateway = stay.router if known else self._gateway(link)
        return self._onwards(stay, link, gateway, there_s)

    def fate(self, sent_s: float) -> Fate:
        """What becomes at once of what the node sends: without a link its interface drops it, and in IPv6 there is no
        route without an address.
        """
        if self._scenario.family == "ipv6" and self._link(sent_s) is None:
            return "unreachable"
        up = any(stay.since_s + _GRAIN_S < sent_s <= stay.until_s + _GRAIN_S for stay in self._stays)
        return "sent" if up else "dropped"

    def _link(self, sent_s: float) -> int | None:
        """The number of the stay whose link is used."""
        up = [n for n, stay in enumerate(self._stays) if stay.since_s + _GRAIN_S < sent_s < stay.until_s]
        if not up:
            return None
        newest = up[-1]
        if sent_s > self._stays[newest].address_s + _GRAIN_S:  # not at the same instant: it is on its way then
            return newest
        if self._stays[newest].overlaps:
            return newest - 1 if newest - 1 in up else None
        return newest if self._scenario.family == "ipv4" else None

    def _gateway(self, link: int) -> str:
        """The router that a node goes on sending to before it knows another."""
        settled = [stay.router for stay in self._stays[:link] if stay.address_s < stay.until_s]
        return settled[-1] if settled else self._stays[link].router

    def _onwards(self, stay: Stay, link: int, gateway: str, there_s: float) -> float | None:
        """From the access switch of ``stay`` on."""
        redirected = stay.redirected_s <= there_s + _GRAIN_S and not self._drained(link, there_s)
        arrives_s = self._handed_on(stay, gateway, there_s, redirected)
        changed_s = stay.redirected_s if redirected else self._drained_s(link)
        cached = changed_s <= there_s + _GRAIN_S and there_s <= changed_s + _CACHED_S + _GRAIN_S
        if cached and self._handed_on(stay, gateway, there_s, not redirected) != arrives_s:
            raise Undecided
        return arrives_s

    def _handed_on(self, stay: Stay, gateway: str, there_s: float, redirected: bool) -> float | None:
        if stay.router != self._anchor and redirected:
            across_s = self._across_s(stay.router, self._anchor)
            return None if across_s is None else there_s + across_s + self._core_s(self._anchor)
        if gateway == stay.router:
            return there_s + self._core_s(gateway)
        across_s = self._across_s(stay.router, gateway) if redirected else None
        return None if across_s is None else there_s + across_s + self._core_s(gateway)

    def _drained(self, link: int, there_s: float) -> bool:
        """Whether the rules of a link that the node still has beside its new one have been removed by then."""
        return there_s > self._drained_s(link) + _GRAIN_S

    def _drained_s(self, link: int) -> float:
        if link + 1 == len(self._stays):
            return _NEVER
        across_s = self._across_s(self._anchor, self._stays[link].router) or 0.0
        return self._stays[link + 1].redirected_s + 2 * self._control_s + across_s
