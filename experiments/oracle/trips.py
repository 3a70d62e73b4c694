"""The closed form of a probe's round trip: the way there and back, while both ends stay where they are.

A session keeps the two addresses that it was opened with; where each end is, and so the way between them, the movements
decide. While an end moves, until the network and the node have settled, there is no closed form: None.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import CN, MN, SERVER
from dmmlab.experiments.oracle.delays import Place, path_s
from dmmlab.experiments.oracle.faults import touches
from dmmlab.experiments.oracle.moves import (
    FORGOTTEN_S,
    configured_s,
    delivered_s,
    has_had,
    identified_s,
    late_s,
    redirected_s,
    released_s,
    serving,
    stirring,
    stirs_s,
)
from dmmlab.experiments.oracle.neighbours import RESOLVED_S, resolves
from dmmlab.experiments.oracle.stays import stays
from dmmlab.experiments.oracle.tcp.sender import WINDOW
from dmmlab.experiments.scenario.model import RADIO, Scenario
from dmmlab.experiments.scenario.sessions import SessionSpec

_REPEAT_S = 1.0  # more than TCP waits before it repeats a segment, once it knows the round trip (RFC 6298)
_SYN_S = 1.1  # TCP's first timer (RFC 6298), and a tick that is late
_LEG_TRIPS = 3  # round trips in which a relayed stream goes on by another connection (docs/registration.md)


@dataclass(frozen=True)
class Spell:
    """Both ends stay where they are from ``from_s`` to ``until_s``; a round trip by the session's addresses takes
    ``trip_s``. ``stirred`` is whether something may have been lost before, in this session.
    """

    from_s: float
    until_s: float
    trip_s: float
    stirred: bool


class Trips:
    """The round trips of a scenario's sessions."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._spells = cache(self._found)
        self._faults = touches(scenario)

    def expected_s(self, session: SessionSpec, near: str, far: str, sent_s: float) -> float | None:
        """What a probe of ``session`` that leaves at ``sent_s`` takes; None where there is no closed form.

        ``near`` and ``far`` are the mobile routers of the addresses that the session has at its opener and at the
        other end; empty for a host, and where a relay takes the address's place.
        """
        spells = self._spells(session, near, far)
        spell = next((spell for spell in spells if spell.from_s <= sent_s < spell.until_s), None)
        if spell is None or sent_s + spell.trip_s >= spell.until_s:
            return None
        window = 1 if spell.stirred else WINDOW
        if session.transport == "tcp" and spell.trip_s >= window * (session.interval_s or float("inf")):
            return None
        return None if self._faults.probe(session, sent_s, sent_s + spell.trip_s) else spell.trip_s

    def _found(self, session: SessionSpec, near: str, far: str) -> tuple[Spell, ...]:
        return tuple(self._spells_of(session, near, far))

    def _spells_of(self, session: SessionSpec, near: str, far: str) -> Iterator[Spell]:
        scenario, stirred_s = self._scenario, None
        moves = [move for end in (session.cn, session.mn) for move in scenario.moves_of(end)]
        instants = sorted({0.0, *(at_s for move in moves for at_s in (stirs_s(scenario, move), move.at))})
        for from_s, until_s in zip(instants, [*instants[1:], float("inf")], strict=True):
            if stirred_s is None and from_s > session.at_s:
                stirred_s = from_s
            trip_s = self._trip_s(session, near, far, until_s)
            if trip_s is None or any(stirring(scenario, end, until_s) for end in (session.cn, session.mn)):
                continue
            settled_s = max(self._settled_s(session, end, until_s, trip_s) for end in (session.cn, session.mn))
            settled_s += self._asked_s(session, until_s)
            if stirred_s is not None and session.transport == "tcp":
                settled_s = max(settled_s, self._held_s(session, until_s))
                # What it repeats, it repeats after twice as long each time.
                settled_s += settled_s - stirred_s + _REPEAT_S
            settled_s = max(settled_s, self._sought_s(session, until_s))
            kept_s = self._kept_s(session, near, far, until_s)
            if settled_s < min(until_s, kept_s):
                yield Spell(settled_s, min(until_s, kept_s), trip_s, stirred_s is not None)
                stirred_s = None if stirred_s is None else min(until_s, kept_s)

    def _asked_s(self, session: SessionSpec, until_s: float) -> float:
        """Two mobile nodes may have come to one link, and ask each other's MAC with the first probe (ARP): its time,
        and what the exchange takes. In IPv6 routers that nodes come back to may ask for them (`resolves`).
        """
        if self._scenario.family == "ipv6" and self._sought_s(session, until_s):
            return (session.interval_s or 0.0) + RESOLVED_S
        radios = [self._scenario.link(RADIO, end) for end in (session.cn, session.mn)]
        if self._scenario.family == "ipv6" or METHODS[session.method].relayed or None in radios:
            return 0.0
        return (session.interval_s or 0.0) + 4 * sum(radio.delay for radio in radios if radio)

    def _sought_s(self, session: SessionSpec, until_s: float) -> float:
        """When no router that an end is back at may look for it any more (`resolves`); 0 if none may at all."""
        sought = [resolves(self._scenario, end, until_s - 1e-9) for end in (session.cn, session.mn)]
        return max((may_s + (session.interval_s or 0.0) + RESOLVED_S for _, may_s in filter(None, sought)), default=0.0)

    def _held_s(self, session: SessionSpec, until_s: float) -> float:
        """When no end's kernel holds a segment any more that waits for a router's answer."""
        mobile = [end for end in (session.cn, session.mn) if end in self._scenario.mobile_nodes]
        held = (stay.held_until_s for end in mobile for stay in stays(self._scenario, end) if stay.since_s < until_s)
        return max(held, default=0.0)

    def _trip_s(self, session: SessionSpec, near: str, far: str, until_s: float) -> float | None:
        """There and back, by where the ends are just before ``until_s``."""
        ends = {CN: self._place(session.cn, near, until_s), MN: self._place(session.mn, far, until_s)}
        hops_s = [0.0]
        for trip in METHODS[session.method].carries:
            places = [Place(end) if end == SERVER else ends[end] for end in trip]
            way_s = path_s(self._scenario, *(place for place in places if place)) if all(places) else None
            if way_s is None:
                return None
            hops_s.append(way_s)
        return 2 * sum(hops_s)

    def _place(self, end: str, anchor: str, until_s: float) -> Place | None:
        if self._scenario.link(RADIO, end) is None:
            return Place(end)
        at_router = serving(self._scenario, end, until_s - 1e-9)
        if at_router is None or (anchor and not has_had(self._scenario, end, anchor, until_s - 1e-9)):
            return None
        return Place(end, anchor or at_router, at_router)

    def _kept_s(self, session: SessionSpec, near: str, far: str, until_s: float) -> float:
        """When one of the session's addresses is dropped, if its end stays where it is just before ``until_s``."""
        ends = [(end, anchor) for end, anchor in ((session.cn, near), (session.mn, far)) if anchor]
        return min((released_s(self._scenario, end, anchor, until_s - 1e-9) for end, anchor in ends), default=until_s)

    def _settled_s(self, session: SessionSpec, end: str, until_s: float, trip_s: float) -> float:
        """When the network and ``end`` itself have settled after its last move before ``until_s``."""
        moves = [move for move in self._scenario.moves_of(end) if move.at < until_s]
        if not moves:
            return 0.0
        turn, move = len(moves) - 1, moves[-1]
        attached_s = move.at + (move.gap if turn else 0.0)
        can_s = attached_s + configured_s(self._scenario, end, turn) + late_s(self._scenario, end, turn)
        can_s += identified_s(self._scenario, end, turn)
        if METHODS[session.method].relayed and end == session.mn and turn:
            can_s += _LEG_TRIPS * trip_s
            back = move.to in {earlier.to for earlier in moves[:-1]}
            if (
                back
                and self._scenario.registration.control == "tcp"
                and redirected_s(self._scenario, end, until_s) > (attached_s + configured_s(self._scenario, end, turn))
            ):  # the answer to its first SYN may go where it was before
                can_s += _SYN_S
        return max(can_s, delivered_s(self._scenario, end, move.at) + FORGOTTEN_S, move.over_s)
