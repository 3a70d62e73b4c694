"""A message ladder as data: the draft's Figures 2 to 5 as a run's captures have them, who sends whom what, and when.

For each of the draft's methods one session is drawn, with what had to happen before it: the mobile node registers its
first address, moves, registers the next one, and then CN3 opens a session. A correspondent that is a mobile node
registers after each attachment, too, and has a ladder of its own for that. Each message is there with the time at
which it left its sender and the time at which it reached its receiver, both as their kernels stamped them. A copy that
was lost on the way has no arrival.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import DDNS, RESOLVER, SERVER
from dmmlab.experiments.scenario.sessions import SessionSpec

FIGURES = {name: method.draft.figure for name, method in METHODS.items() if method.draft is not None}  # of the draft
COLUMNS = (
    *("section", "plane", "source", "destination", "message", "says"),
    *("since", "departed_ms", "arrived_ms"),
)
CONTROL, USER = "control", "user"
START = "the scenario's start"


@dataclass(frozen=True)
class Step:
    """A message; ``says`` is what it says in the draft's words, times in ns since the epoch."""

    plane: str
    source: str
    destination: str
    message: str
    says: str
    departed_ns: int
    arrived_ns: int | None


@dataclass
class Section:
    """What happened for one cause; times are counted from ``origin_ns``, when ``since`` began."""

    title: str
    since: str
    origin_ns: int
    steps: list[Step] = field(default_factory=list)

    def ms(self, time_ns: int | None) -> float | None:
        """A time in ms since the section's origin; None stays None."""
        return None if time_ns is None else (time_ns - self.origin_ns) / 1e6


@dataclass
class Ladder:
    """A method's ladder: the session that was chosen, and the sections, in the order of time."""

    method: str
    session: SessionSpec
    sections: list[Section]
    of_opener: bool = False  # the registrations of a mobile opener, and no session

    @property
    def name(self) -> str:
        """What its files are called after."""
        return "correspondent" if self.of_opener else self.method

    @property
    def participants(self) -> list[str]:
        """Who takes part, left to right: the mobile node and its correspondents outside, servers between them."""
        there = {end for section in self.sections for step in section.steps for end in (step.source, step.destination)}
        ends = [self.session.mn, DDNS, RESOLVER, SERVER, self.session.cn]
        others = sorted(there - set(ends))
        return [*others, *(name for name in ends if name in there)]

    def rows(self) -> Iterator[dict[str, object]]:
        """The ladder's CSV, one row a message."""
        for section in self.sections:
            for step in section.steps:
                departed_ms, arrived_ms = section.ms(step.departed_ns), section.ms(step.arrived_ns)
                yield {
                    "section": section.title,
                    "plane": step.plane,
                    "source": step.source,
                    "destination": step.destination,
                    "message": step.message,
                    "says": step.says,
                    "since": section.since,
                    "departed_ms": f"{departed_ms:.6f}",
                    "arrived_ms": "" if arrived_ms is None else f"{arrived_ms:.6f}",
                }
