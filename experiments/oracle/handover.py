"""How long a handover takes where the ways between switches and controller jitter: laws of sums and of maxima.

netem without a table of its own draws a packet's delay evenly from delay ± jitter (``tabledist`` in
net/sched/sch_netem.c), each anew. TCP hands over in order, so whatever is behind a packet waits for it. With U such a
draw, each one its own, times since the new link is there:

* the controller hears of the node at A = max(U, r + U'): the port's status leaves at once and the first frame a radio
  crossing r later, on one stream;
* each switch that has to change does so at A + D, all being told at once, and says so R later: the redirect is
  *confirmed* when the last of them has, at A + max(D + R), of so many switches independent and alike;
* the first packet that gets through passes the anchor's switch when that has changed, and comes to the serving one when
  that has, too: at A + max(D_anchor, D_serving - x'), with x' the way between them.

All switches share one datapath, which acts by cached flows and looks them over at once when a rule changes, but not
twice within `_CACHED_S` (docs/handovers.md): by so much at most a silence is longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import isclose

import numpy as np
from numpy.typing import NDArray

from dmmlab.experiments.oracle.delays import inter_mr_s, link_s, radio_s, redirect_s
from dmmlab.experiments.oracle.moves import DETECTION_S, RA_MESSAGES, SLOT_S, known_at_s
from dmmlab.experiments.oracle.moves import FORGOTTEN_S as _CACHED_S
from dmmlab.experiments.scenario.model import CONTROLLER, SWITCHES, Scenario

_CELLS = 1000  # that a jitter, one way, is cut into
_FINEST_S = 1e-7  # a cell without any jitter


@dataclass(frozen=True)
class Law:
    """How likely each of a row of cells is, ``step_s`` wide, the first one's middle at ``first_s`` (seconds)."""

    first_s: float
    step_s: float
    masses: NDArray[np.float64]

    @property
    def _middles_s(self) -> NDArray[np.float64]:
        return np.linspace(self.first_s, self.first_s + self.step_s * (len(self.masses) - 1), len(self.masses))

    @property
    def mean_s(self) -> float:
        """The expectation."""
        return float(self.masses @ self._middles_s)

    @property
    def sd_s(self) -> float:
        """The standard deviation."""
        return float(np.sqrt(self.masses @ (self._middles_s - self.mean_s) ** 2))

    @property
    def least_s(self) -> float:
        """The least that there can be."""
        return self.first_s - self._margin_s

    @property
    def most_s(self) -> float:
        """The most that there can be."""
        return float(self._middles_s[-1]) + self._margin_s

    @property
    def _margin_s(self) -> float:
        return self.step_s / 2 if len(self.masses) > 1 else 0.0

    def below(self, at_s: float) -> float:
        """How likely it is to be ``at_s`` at most."""
        edges_s = self.first_s + self.step_s * (np.arange(len(self.masses) + 1) - 0.5)
        return float(np.interp(at_s, edges_s, np.concatenate(([0.0], np.cumsum(self.masses)))))

    def quantile_s(self, share: float) -> float:
        """Below which it is in that share of all cases."""
        return float(self._middles_s[np.searchsorted(np.cumsum(self.masses), share).clip(0, len(self.masses) - 1)])

    def later(self, by_s: float) -> Law:
        """Always so much more."""
        return Law(self.first_s + by_s, self.step_s, self.masses)

    def plus(self, other: Law) -> Law:
        """The law of the sum of the two, which are independent."""
        return Law(self.first_s + other.first_s, self.step_s, np.convolve(self.masses, other.masses))

    def latest(self, other: Law) -> Law:
        """The law of the later of the two, which are independent."""
        first_s = min(self.first_s, other.first_s)
        shifts = [round((law.first_s - first_s) / self.step_s) for law in (self, other)]
        cells = max(shift + len(law.masses) for shift, law in zip(shifts, (self, other), strict=True))
        shares = [
            np.cumsum(np.concatenate((np.zeros(shift), law.masses, np.zeros(cells - shift - len(law.masses)))))
            for shift, law in zip(shifts, (self, other), strict=True)
        ]
        masses = np.diff(shares[0] * shares[1], prepend=0.0)
        empty = int(np.argmax(masses > 0))
        return Law(first_s + empty * self.step_s, self.step_s, masses[empty:])


def evenly(delay_s: float, jitter_s: float, step_s: float) -> Law:
    """What netem makes of a delay with jitter, in cells of ``step_s``."""
    cells = max(1, round(2 * jitter_s / step_s))
    return Law(delay_s - jitter_s + (step_s / 2 if cells > 1 else jitter_s), step_s, np.full(cells, 1 / cells))


class Controlled:
    """The laws of ``node``'s movement number ``turn``, seconds since its new link is there."""

    def __init__(self, scenario: Scenario, node: str, turn: int) -> None:
        self._scenario, self._node, self._turn = scenario, node, turn
        self._here = scenario.moves_of(node)[turn].to
        link = scenario.link(CONTROLLER, SWITCHES)
        jitter_s = link.jitter if link else 0.0
        self._step_s = jitter_s / _CELLS or _FINEST_S
        self._way = evenly(link_s(scenario, CONTROLLER, SWITCHES), jitter_s, self._step_s)
        self._radio_s = radio_s(scenario, node, self._here)
        self._heard = self._way.latest(self._way.later(self._radio_s))

    def confirmed(self) -> Law:
        """When every switch has confirmed the redirects of all of the node's older addresses."""
        answered = self._way.plus(self._way)
        return self._heard.plus(reduce(Law.latest, [answered] * len(self._switches())))

    def silence(self, anchor: str) -> Law:
        """How long a stream of packets that never pauses, from a host to the node's address of ``anchor``, is not
        answered. Its last answer left the node as its old link went, but for a radio crossing.
        """
        before = self._scenario.moves_of(self._node)[self._turn - 1].to
        there_s, old_s = (redirect_s(self._scenario, anchor, router) or 0.0 for router in (self._here, before))
        told = self._way if anchor == self._here else self._way.latest(self._way.later(-there_s))
        first = self._heard.plus(told).later(there_s + self._radio_s)  # when the first reaches the node
        gap_s = self._scenario.moves_of(self._node)[self._turn].gap
        return first.later(gap_s + self._radio_s + there_s - old_s)

    def _switches(self) -> set[str]:
        """Whose rules change: all that a redirect of an older address leads through."""
        anchors = {move.to for move in self._scenario.moves_of(self._node)[: self._turn]} - {self._here}
        return {self._here} | {router for anchor in anchors for router in self._way_to(anchor)}

    def _way_to(self, anchor: str) -> set[str]:
        def far_s(one: str, other: str) -> float:
            return inter_mr_s(self._scenario, one, other) or (0.0 if one == other else float("inf"))

        whole_s = far_s(anchor, self._here)
        return {
            router
            for router in self._scenario.mobile_routers
            if isclose(far_s(anchor, router) + far_s(router, self._here), whole_s, abs_tol=1e-9)
        }


def silence_between_s(law: Law, interval_s: float) -> tuple[float, float]:
    """Between what a silence lies if packets come at an interval: it begins and ends with one that is answered."""
    return law.least_s, law.most_s + 2 * interval_s + _CACHED_S


def detected_between_s(scenario: Scenario, node: str, turn: int, anchor: str, interval_s: float) -> tuple[float, float]:
    """The same of a node that waits for the detection of duplicates (IPv6): it does so for its link-local address
    before it solicits a router, and can answer nobody until it knows one.
    """
    moves = scenario.moves_of(node)
    crossing_s = radio_s(scenario, node, moves[turn].to)
    there_s, old_s = (redirect_s(scenario, anchor, moves[n].to) or 0.0 for n in (turn, turn - 1))
    can_s = moves[turn].gap + DETECTION_S + RA_MESSAGES * crossing_s
    least_s = can_s + crossing_s + there_s - old_s
    return least_s, least_s + SLOT_S + 2 * interval_s


def told_s(scenario: Scenario, node: str, turn: int, host: str) -> float | None:
    """When ``host`` knows of the address of ``node``'s movement number ``turn``, seconds after its new link is there;
    None if nobody tells it. `late_s` may be added.
    """
    move = scenario.moves_of(node)[turn]
    known = (since_s for since_s, router in known_at_s(scenario, node, host) if router == move.to)
    return next((since_s - move.at - move.gap for since_s in known if since_s > move.at), None)


def silence_sd_s(law: Law, interval_s: float) -> float:
    """The standard deviation of such a silence: what is lost at either end varies evenly."""
    return float(np.sqrt(law.sd_s**2 + interval_s**2 / 6))
