"""Whose MAC a mobile node knows on the link that it shares with others: what is asked once (ARP, RFC 826) and kept.

A node keeps its neighbours over its moves, and learns whoever asks it. For a node that is away the anchor's switch
answers (docs/redirect.md).
"""

from __future__ import annotations

from dmmlab.experiments.oracle.delays import Place, link_s
from dmmlab.experiments.scenario.model import RADIO, Scenario


class Neighbours:
    """Of the mobile nodes of a scenario; its sessions have to be asked about in the order of time."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._known: set[tuple[str, str, str]] = set()  # who, whom, by its address of which router

    def asking_s(self, near: Place, far: Place) -> float | None:
        """How long the first packet from ``near`` waits for the MAC of ``far``, seconds; 0 unless they share a link.

        None where ``far`` has to ask as well before it can answer, which depends on what else was said between them,
        and where ``near`` has left the link and does not know it yet.
        """
        if not (near.mobile and far.mobile) or near.anchor != far.anchor:
            return 0.0
        if near.anchor != near.serving:
            return None
        there, back = (near.name, far.name, far.anchor), (far.name, near.name, near.anchor)
        at_home, waits_s = far.serving == far.anchor, 0.0
        if there not in self._known:
            self._known.add(there)
            waits_s = 2 * link_s(self._scenario, RADIO, near.name)
            if at_home:
                self._known.add(back)
                waits_s += 2 * link_s(self._scenario, RADIO, far.name)
        return None if at_home and back not in self._known else waits_s
