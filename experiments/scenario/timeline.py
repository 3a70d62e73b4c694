"""What happens in a scenario, and when: its timeline as data, typed and frozen.

Whoever plays a scenario, or prints what it will do, reads this and not the scenario's own entries: what comes of a new
key (another movement, a fault) is one more event here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of


@dataclass(frozen=True)
class Event:
    """Something that happens ``at_s`` seconds after the scenario's start."""

    at_s: float


@dataclass(frozen=True)
class Detach(Event):
    """Mobile node ``node`` loses its radio link; the next one will be to mobile router ``to``."""

    node: str
    to: str


@dataclass(frozen=True)
class Attach(Event):
    """``node`` gets a radio link to ``to``, ``gap_s`` after it lost the one before (None: its first attachment)."""

    node: str
    to: str
    gap_s: float | None


@dataclass(frozen=True)
class SessionStart(Event):
    """The correspondent begins to look the mobile node up."""

    session: SessionSpec


@dataclass(frozen=True)
class SessionEnd(Event):
    """The session's ``duration`` is over, to which its lookup adds. How long others last only the run shows."""

    session: SessionSpec


@dataclass(frozen=True)
class ScenarioEnd(Event):
    """Nothing that happens afterwards counts."""


# A new kind goes here too: who handles all of them (the executor, `dmmlab check`) then fails the type check until it
# handles that one as well.
AnyEvent = Attach | Detach | SessionStart | SessionEnd | ScenarioEnd


def timeline(scenario: Scenario) -> tuple[AnyEvent, ...]:
    """All events of ``scenario`` by time; at one instant movement comes first, then sessions, as the file has them."""
    events: list[AnyEvent] = [*_movement(scenario), *_sessions(scenario), ScenarioEnd(scenario.duration)]
    return tuple(sorted(events, key=lambda event: event.at_s))


def _movement(scenario: Scenario) -> Iterator[Attach | Detach]:
    attached = {scenario.moves_of(node)[0] for node in scenario.mobile_nodes}
    for move in scenario.moves:
        if move in attached:
            yield Attach(move.at, move.node, move.to, None)
        else:
            yield Detach(move.at, move.node, move.to)
            yield Attach(move.at + move.gap, move.node, move.to, move.gap)


def _sessions(scenario: Scenario) -> Iterator[SessionStart | SessionEnd]:
    for session in sessions_of(scenario):
        yield SessionStart(session.at_s, session)
        if session.entry.duration is not None:
            yield SessionEnd(session.at_s + session.entry.duration, session)
