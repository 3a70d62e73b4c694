"""Where packets from and to a mobile node go while it changes links, and whether they arrive: from the scenario alone.

A packet is lost where there is no link under it, or no rule that takes it further yet; where routers keep it
(`handover: {buffer: true}`) it waits. When that begins and ends, the node's `stays` say.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from dmmlab.experiments.oracle.delays import hosts_s, link_s, redirect_s
from dmmlab.experiments.oracle.moves import released_s
from dmmlab.experiments.oracle.stays import ASKING_S, Stay, stays
from dmmlab.experiments.oracle.tcp.segments import Fate
from dmmlab.experiments.scenario.model import CONTROLLER, SWITCHES, Scenario

_NEVER = float("inf")
_CACHED_S = 0.005  # how long at most a switch goes on doing what it did before a rule was changed (docs/handovers.md)
_GRAIN_S = 1e-9  # what two sums of delays may differ by and be the same


Way = Callable[[float], float | None]  # from when a packet leaves to when it arrives; None if it is lost


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
        self._dropped_s, self._regained_s = _dropped_s(scenario, node, anchor)

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
                reached = self._across_s(self._anchor, stay.router) is not None  # else it stays on the anchor's link
                before, router, changed_s = router, stay.router if reached else self._anchor, stay.redirected_s
        arrives_s = self._delivered(router, passes_s)
        if passes_s <= changed_s + _CACHED_S + _GRAIN_S and self._delivered(before, passes_s) != arrives_s:
            raise Undecided
        if any(self._turns_off(stay, router, passes_s, arrives_s) for stay in self._later):
            raise Undecided
        return None if arrives_s is None or self._has_dropped(arrives_s) else arrives_s

    def _turns_off(self, stay: Stay, router: str, passes_s: float, arrives_s: float | None) -> bool:
        """Whether a switch on the way to ``router`` may send on to that of ``stay`` what it gets when it has the
        redirect there: which of them are on both ways, delays do not say.
        """
        if stay.redirected_s <= passes_s + _GRAIN_S:
            return False
        across_s = self._across_s(self._anchor, router) or 0.0
        if stay.redirected_s > passes_s + across_s + _GRAIN_S:
            return False
        link_ways_s = (link_s(self._scenario, self._anchor, router), hosts_s(self._scenario, self._anchor, router))
        straight = any(abs(across_s - way_s) < _GRAIN_S for way_s in link_ways_s)
        on_s, there_s = self._across_s(router, stay.router), self._across_s(self._anchor, stay.router)
        by_router = on_s is not None and there_s is not None and abs(across_s + on_s - there_s) < _GRAIN_S
        return (by_router or not straight) and self._delivered(stay.router, passes_s) != arrives_s

    def _has_dropped(self, at_s: float) -> bool:
        """Whether the node no longer has its address by then. When it comes back for it, the anchor's router may be
        looking for it, and deliver what it has kept: `Undecided`.
        """
        if at_s >= self._dropped_s and at_s > self._regained_s - ASKING_S:
            raise Undecided
        return at_s >= self._dropped_s

    def _delivered(self, router: str, passes_s: float) -> float | None:
        """When what passes the anchor's switch on its way to ``router`` reaches the node."""
        across_s = self._across_s(self._anchor, router)
        if across_s is None:
            return None
        there_s = passes_s + across_s
        for stay in self._stays:
            arrives_s = there_s + stay.radio_s
            if stay.router == router and stay.since_s <= there_s + _GRAIN_S and arrives_s <= stay.until_s + _GRAIN_S:
                self._known_by_mac(stay, there_s)
                return arrives_s
        return None

    def _known_by_mac(self, stay: Stay, there_s: float) -> None:
        """Back at its anchor, perhaps by its other radio, a node is known to its router by that one's MAC when it has
        said so itself. If no redirect puts the one for the other, or the controller, in IPv6, does not know before
        either whose radio that is: `Undecided` until then. In IPv6 without a redirect the
        router has asked for it in vain, and its timers decide which of its next questions is the one that is answered.
        """
        back = stay.router == self._anchor and stay in self._later
        unhelped = not self._scenario.redirect or self._scenario.family == "ipv6"
        known_s = stay.settled_s + stay.radio_s + 2 * self._control_s + _CACHED_S
        if back and unhelped and any(one.overlaps for one in self._stays) and there_s <= known_s:
            raise Undecided
        sought = self._scenario.family == "ipv6" and not self._scenario.redirect
        if back and sought and there_s <= stay.since_s + ASKING_S:
            raise Undecided

    def up(self, sent_s: float) -> float | None:
        """When what the node sends at ``sent_s`` reaches the host."""
        link = self._link(sent_s)
        if self._held(sent_s) or link is None or self._has_dropped(sent_s):
            return None
        stay, known = self._stays[link], sent_s > self._stays[link].address_s + _GRAIN_S
        if known and sent_s < stay.settled_s:
            if self._scenario.redirect and any(before.router == stay.router for before in self._stays[:link]):
                raise Undecided  # by the redirect that router may have asked for the node, and told its MAC so
            sent_s = stay.settled_s  # it waits for the answer to who its router is
        there_s = sent_s + stay.radio_s
        if there_s > stay.until_s + _GRAIN_S:
            return None
        gateway = stay.router if known else self._gateway(link)
        return self._onwards(stay, gateway, there_s)

    def fate(self, sent_s: float) -> Fate:
        """What becomes at once of what the node sends: without a link its interface drops it, in IPv6 there is no route
        without an address, and its kernel holds what waits for a router whose answer comes when the node has left.
        """
        if self._scenario.family == "ipv6" and self._link(sent_s) is None:
            return "unreachable"
        if self._held(sent_s):
            return "held"
        up = any(stay.since_s + _GRAIN_S < sent_s <= stay.until_s + _GRAIN_S for stay in self._stays)
        return "sent" if up else "dropped"

    def rerouted(self, after_s: float, by_s: float) -> bool:
        """Whether the node has got another router after the one time and by the other."""
        return any(stay.address_s < stay.until_s and after_s < stay.address_s <= by_s for stay in self._stays)

    def _held(self, sent_s: float) -> bool:
        """Whether what is sent then waits for a router whose answer never comes: also without a link, until the node
        has another router. `Undecided` if it comes back to that one while its kernel holds what is for it.
        """
        for number, stay in enumerate(self._stays):
            later = self._stays[number + 1 :]
            other_s = min((other.address_s for other in later if other.address_s < other.until_s), default=_NEVER)
            if not stay.address_s + _GRAIN_S < sent_s <= min(other_s, stay.held_until_s):
                continue
            if any(other.router == stay.router and other.since_s < stay.held_until_s for other in later):
                raise Undecided
            return True
        return False

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
        if self._scenario.family == "ipv6" and sent_s > self._stays[newest].address_s - _GRAIN_S:
            raise Undecided  # at one instant its kernel gets the address, and its program sends
        return newest if self._scenario.family == "ipv4" else None

    def _gateway(self, link: int) -> str:
        """The router that a node goes on sending to before it knows another."""
        settled = [stay.router for stay in self._stays[:link] if stay.address_s < stay.until_s]
        return settled[-1] if settled else self._stays[link].router

    def _onwards(self, stay: Stay, gateway: str, there_s: float) -> float | None:
        """From the access switch of ``stay`` on."""
        redirected = stay.redirected_s <= there_s + _GRAIN_S
        arrives_s = self._handed_on(stay, gateway, there_s, redirected)
        cached = redirected and there_s <= stay.redirected_s + _CACHED_S + _GRAIN_S
        if cached and self._handed_on(stay, gateway, there_s, not redirected) != arrives_s:
            raise Undecided
        return arrives_s

    def _handed_on(self, stay: Stay, gateway: str, there_s: float, redirected: bool) -> float | None:
        """To the router whose MAC it has, which has a redirect of its own if it is not that of the link; what goes to
        that one, the redirect takes to the anchor, if it leads there.
        """
        towards = self._anchor if redirected and gateway == stay.router else gateway
        across_s = self._across_s(stay.router, towards) if redirected or towards == stay.router else None
        if across_s is None:
            return there_s + self._core_s(gateway) if gateway == stay.router else None
        return there_s + across_s + self._core_s(towards)


def _dropped_s(scenario: Scenario, node: str, anchor: str) -> tuple[float, float]:
    """When ``node`` no longer has its address of ``anchor``, and when it comes there again; never, if it does not."""
    moves = scenario.moves_of(node)
    for turn, move in enumerate(moves):
        dropped_s = released_s(scenario, node, anchor, move.at, heard=False)
        if dropped_s < _NEVER and all(later.at > dropped_s for later in moves[turn + 1 :]):
            return dropped_s, min((move.at for move in moves[max(turn, 1) :] if move.to == anchor), default=_NEVER)
    return _NEVER, _NEVER
