"""Whose MAC a mobile node knows on the link that it shares with others: what is asked once (ARP, RFC 826) and kept.

A node keeps its neighbours over its moves, and learns whoever asks it. For a node that is away the anchor's switch
answers (docs/redirect.md).
"""

from __future__ import annotations

from typing import NamedTuple

from dmmlab.experiments.oracle.delays import Place, radio_s
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of


class Waits(NamedTuple):
    """What a session's first packet waits for before it leaves, and what its answer waits for; seconds."""

    asking_s: float
    answering_s: float


class Neighbours:
    """Of the mobile nodes of a scenario; its sessions have to be asked about in the order of time."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._known: dict[tuple[str, str, str], float] = {}  # by who, whom and its address' router: from when on (s)
        self._long = [session for session in sessions_of(scenario) if session.duration_s or session.size]

    def waits(self, session: SessionSpec, near: Place, far: Place, sent_s: float, one_way_s: float) -> Waits | None:
        """For ``session``, whose first packet ``near`` sends at ``sent_s`` to ``far``, ``one_way_s`` away; nothing
        where no end is on the other's link.

        None where ``near`` has left its link and does not know it yet, and where an earlier session that still goes on
        may have taught ``far`` what it would have to ask before it answers.
        """
        if not (near.mobile and far.mobile):
            return Waits(0.0, 0.0)
        if self._scenario.family == "ipv6":  # routers advertise themselves and off-link prefixes: no node asks another
            return Waits(0.0, 0.0)
        if near.anchor != near.serving and far.anchor == near.anchor:
            return None
        asking_s = self._asks_s(near, near.anchor, far, sent_s)
        answering_s = self._asks_s(far, far.serving, near, sent_s + asking_s + one_way_s)
        return None if answering_s and self._taught(session) else Waits(asking_s, answering_s)

    def _asks_s(self, who: Place, link: str, whom: Place, at_s: float) -> float:
        """How long ``who`` asks on the ``link`` that it is on: by radio, there and back, the other or its switch."""
        key = (who.name, whom.name, whom.anchor)
        if link != whom.anchor:
            return 0.0
        if key not in self._known:
            crossings_s = radio_s(self._scenario, who.name, who.serving)
            if whom.serving == whom.anchor:
                crossings_s += radio_s(self._scenario, whom.name, whom.serving)
                self._known.setdefault((whom.name, who.name, link), at_s + crossings_s)
            self._known[key] = at_s + 2 * crossings_s
        return max(0.0, self._known[key] - at_s)

    def _taught(self, session: SessionSpec) -> bool:
        ends = {session.cn, session.mn}
        moves = (move.at for end in ends for move in self._scenario.moves_of(end) if move.at <= session.at_s)
        arrived_s = max(moves, default=0.0)
        return any(
            {one.cn, one.mn} == ends
            and one.at_s < session.at_s
            and (one.size is not None or one.at_s + (one.duration_s or 0.0) > arrived_s)
            for one in self._long
        )
