"""What happens in a scenario, and when: its timeline as data, typed and frozen.

Whoever plays a scenario, or prints what it will do, reads this and not the scenario's own entries: what comes of a new
key (another movement, a fault) is one more event here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dmmlab.experiments.scenario.faults import Fault
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sections.movement import Movement
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of


@dataclass(frozen=True)
class Event:
    """Something that happens ``at_s`` seconds after the scenario's start."""

    at_s: float


@dataclass(frozen=True)
class Announce(Event):
    """The radio of ``node`` knows that it will have to leave for mobile router ``to`` in ``lead_s`` seconds."""

    node: str
    to: str
    lead_s: float


@dataclass(frozen=True)
class Detach(Event):
    """Mobile node ``node`` loses the link of its ``radio`` (from 0); the next one will be to mobile router ``to``.

    With ``from_`` another radio has that one already, and what is gone is the link to mobile router ``from_``.
    """

    node: str
    to: str
    radio: int = 0
    from_: str | None = None


@dataclass(frozen=True)
class Attach(Event):
    """``node`` gets a link to ``to`` by its ``radio``, ``gap_s`` after it lost the one before (None: its first one).

    With ``overlap_s`` it keeps the one before, by the other radio, for that long.
    """

    node: str
    to: str
    gap_s: float | None
    radio: int = 0
    overlap_s: float | None = None


@dataclass(frozen=True)
class SessionStart(Event):
    """The correspondent begins to look the mobile node up."""

    session: SessionSpec


@dataclass(frozen=True)
class SessionEnd(Event):
    """The session's ``duration`` is over, to which its lookup adds. How long others last only the run shows."""

    session: SessionSpec


@dataclass(frozen=True)
class FaultBegins(Event):
    """Something breaks; ``number`` counts the scenario's faults from 1."""

    number: int
    fault: Fault


@dataclass(frozen=True)
class FaultEnds(Event):
    """That is over, and begins to recover."""

    number: int
    fault: Fault


@dataclass(frozen=True)
class ScenarioEnd(Event):
    """Nothing that happens afterwards counts."""


# A new kind goes here too: who handles all of them (the executor, `dmmlab check`) then fails the type check until it
# handles that one as well.
AnyEvent = Announce | Attach | Detach | FaultBegins | FaultEnds | SessionStart | SessionEnd | ScenarioEnd


def timeline(scenario: Scenario) -> tuple[AnyEvent, ...]:
    """All events of ``scenario`` by time; at one instant movement comes first, then faults, then sessions, as the
    file has them.
    """
    events: list[AnyEvent] = [*_movement(scenario), *_faults(scenario), *_sessions(scenario)]
    return tuple(sorted([*events, ScenarioEnd(scenario.duration)], key=lambda event: event.at_s))


def _faults(scenario: Scenario) -> Iterator[FaultBegins | FaultEnds]:
    for number, fault in enumerate(scenario.faults, 1):
        yield FaultBegins(fault.at, number, fault)
        yield FaultEnds(round(fault.over_s, 12), number, fault)


def _movement(scenario: Scenario) -> Iterator[Announce | Attach | Detach]:
    turns = {move: (turn, before) for node in scenario.mobile_nodes for turn, before, move in _turns(scenario, node)}
    for move in scenario.moves:
        turn, before = turns[move]
        radio = scenario.radio_of(move.node, turn)
        if before is None:
            yield Attach(move.at, move.node, move.to, None, radio)
        elif move.overlap is None:
            if (lead_s := scenario.handover.announce) is not None:
                yield Announce(move.at - lead_s, move.node, move.to, lead_s)
            yield Detach(move.at, move.node, move.to, radio)
            yield Attach(move.over_s, move.node, move.to, move.gap, radio)
        else:
            yield Attach(move.at, move.node, move.to, None, radio, move.overlap)
            yield Detach(move.over_s, move.node, move.to, 1 - radio, before.to)


def _turns(scenario: Scenario, node: str) -> Iterator[tuple[int, Movement | None, Movement]]:
    """The node's movements, each with its number and the one before."""
    moves = scenario.moves_of(node)
    return ((turn, moves[turn - 1] if turn else None, move) for turn, move in enumerate(moves))


def _sessions(scenario: Scenario) -> Iterator[SessionStart | SessionEnd]:
    for session in sessions_of(scenario):
        yield SessionStart(session.at_s, session)
        if session.entry.duration is not None:
            yield SessionEnd(session.at_s + session.entry.duration, session)
