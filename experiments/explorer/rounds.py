"""A scenario played several times in one run, one round after the other: each slower by a pace of its own.

At pace 60 a node that moved every five seconds moves every five minutes, and who sent fifty probes a second sends one
or so: the same events and packets, over more virtual time. What the protocols count in (TTLs, leases, lifetimes of
registrations and advertisements, the kernel's neighbour entries) stays as it is, so that it ends in the middle of what
a quick round never waits for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.scenario.faults import Fault
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sections.movement import Movement
from dmmlab.experiments.scenario.sections.session import Session

PROBE = "Z"  # names of the sessions at the end of a round begin so
RECOVERS_S = 40.0  # after the last fault everything is as it was (docs/faults.md)
QUICK_S = 8.0  # a fault of that length or less; after a longer one whoever waits twice as long each time has to be met
_PROBES_S = 6.0
_AHEAD_S = 20.0  # for nodes to settle in


def slower(base: Scenario, pace: int) -> Scenario:
    """``base`` in ``pace`` times the time; gaps, overlaps and programs of one's own last as long as before."""

    def session(one: Session) -> Session:
        times = {"at": one.at, "every": one.every}
        if one.run is None:
            times |= {"interval": one.interval, "duration": one.duration}
        return one.model_copy(update={key: value and round(value * pace, 9) for key, value in times.items()})

    return base.model_copy(
        update={
            "movement": tuple(move.model_copy(update={"at": round(move.at * pace, 9)}) for move in base.movement),
            "sessions": tuple(session(one) for one in base.sessions),
            "duration": base.duration * pace,
        }
    )


class Rounds:
    """Rounds of ``base``, its movements all written, one after the other."""

    def __init__(self, base: Scenario) -> None:
        self._base, self._number, self._over_s = base, 0, 0.0
        self._at: dict[str, str] = {}  # by node, where it is
        self._movement: list[Movement] = []
        self._sessions: list[Session] = []
        self._faults: list[Fault] = []

    def add(self, one: Scenario) -> None:
        """A round: what ``one`` has, from now on; then time to recover, and a session by each method to each node."""
        suffix = f"-{self._number}" if self._number else ""
        for node in one.mobile_nodes:
            self._movement += self._moves(one.moves_of(node))
        self._sessions += [
            each.model_copy(update={"name": each.name + suffix, "at": self._later(each.at)}) for each in one.sessions
        ]
        self._faults += [each.model_copy(update={"at": self._later(each.at)}) for each in one.faults]
        at_s = self._later(one.duration + recovers_s(one.faults))
        asked = [*probes(one)]
        for number, each in enumerate(asked):
            each_s = round(at_s + 0.1 * number, 9)
            self._sessions.append(each.model_copy(update={"name": each.name + suffix, "at": each_s}))
        self._over_s = at_s + _PROBES_S + 0.1 * len(asked)
        self._number += 1

    def scenario(self, name: str, seed: int) -> Scenario:
        """All of them, called ``name``."""
        return self._base.model_copy(
            update={
                "name": name,
                "seed": seed,
                "movement": tuple(sorted(self._movement, key=lambda move: move.at)),
                "mobility": (),
                "sessions": tuple(self._sessions),
                "faults": tuple(self._faults),
                "duration": self._over_s,
            }
        )

    def _moves(self, moves: Iterable[Movement]) -> Iterable[Movement]:
        """Those of a node, which goes to where it begins if it is elsewhere."""
        for number, move in enumerate(moves):
            if self._at.get(move.node) == move.to:
                continue
            first = {"gap": Movement.model_fields["gap"].default, "overlap": None} if not number else {}
            yield move.model_copy(update={"at": self._later(move.at), **first})
            self._at[move.node] = move.to

    def _later(self, at_s: float) -> float:
        return round(self._over_s + at_s, 9)


def from_the_first_fault(scenario: Scenario) -> Scenario:
    """``scenario`` from shortly before its first fault on: without the sessions before; all nodes first come to
    where they are by then.
    """
    from_s = max(0.0, min((fault.at for fault in scenario.faults), default=0.0) - _AHEAD_S)
    movement = []
    for node in scenario.mobile_nodes:
        moves = scenario.moves_of(node)
        gone = sum(move.over_s <= from_s for move in moves)
        first = moves[max(0, gone - 1)]
        settled = {"gap": Movement.model_fields["gap"].default, "overlap": None, "at": from_s}
        movement += [first.model_copy(update=settled) if gone else first, *moves[max(1, gone) :]]

    def earlier(one: Any) -> Any:
        return one.model_copy(update={"at": round(one.at - from_s, 9)})

    return scenario.model_copy(
        update={
            "movement": tuple(map(earlier, sorted(movement, key=lambda move: move.at))),
            "mobility": (),
            "sessions": tuple(map(earlier, (one for one in scenario.sessions if one.at >= from_s))),
            "faults": tuple(map(earlier, scenario.faults)),
            "duration": round(scenario.duration - from_s, 9),
        }
    )


def recovers_s(faults: Iterable[Fault]) -> float:
    """How long after a round's end everything is as it was."""
    longest_s = max((fault.for_ for fault in faults), default=0.0)
    return RECOVERS_S + 1.5 * max(0.0, longest_s - QUICK_S)


def probes(one: Scenario) -> Iterator[Session]:
    """To each mobile node of ``one`` a session by every method that its servers allow, over UDP and TCP."""
    methods = tuple(name for name, method in METHODS.items() if set(method.needs) <= set(one.hosts))
    for number, node in enumerate(one.mobile_nodes if one.correspondents else ()):
        yield Session.model_validate(
            {"name": f"{PROBE}{number}", "at": 0, "from": one.correspondents[0], "to": node}
            | {"method": methods, "transport": ("udp", "tcp")}
        )
