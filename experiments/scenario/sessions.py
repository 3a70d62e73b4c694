"""The sessions of a run: each entry of the scenario's list, by each method and transport, as often as it says."""

from __future__ import annotations

from dataclasses import dataclass

from dmmlab.experiments.scenario import programs
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sections.session import Session, Transport
from dmmlab.experiments.scenario.selection import Selection, selection


@dataclass(frozen=True)
class SessionSpec:
    """One session of a run: an entry of the scenario's ``sessions``, by one method, over one transport, once.

    ``number`` counts all sessions of the run from 0; ``name`` is the entry's name, with method, transport and
    repetition added where the entry has several.
    """

    number: int
    name: str
    entry: Session
    method: str
    transport: Transport
    at_s: float

    @property
    def cn(self) -> str:
        """Who opens it."""
        return self.entry.from_

    @property
    def mn(self) -> str:
        """Whom it is opened to."""
        return self.entry.to

    @property
    def anchor(self) -> str | None:
        """Where nothing is asked, the router whose address the correspondent knows; None: the first one's."""
        return self.entry.anchor

    @property
    def select(self) -> str:
        """The name of its selection policy."""
        return self.selection.policy.name

    @property
    def selection(self) -> Selection:
        """Its selection policy, with the parameters."""
        return selection(self.entry.select)

    @property
    def size(self) -> int | None:
        """Bytes of a bulk transfer; None for a session that sends probes."""
        return self.entry.size

    @property
    def service(self) -> str:
        """Which of the node's services it is with."""
        if self.entry.run is not None:
            return programs.service(self.number)
        return self.entry.service or ("echo" if self.entry.size is None else "bulk")

    @property
    def interval_s(self) -> float | None:
        """Seconds between two probes; None for one request."""
        return self.entry.interval

    @property
    def duration_s(self) -> float | None:
        """How long it sends probes, in seconds; None for one request."""
        return self.entry.duration

    @property
    def count(self) -> int:
        """How many probes it sends (one that has neither interval nor size sends one, and programs send none)."""
        if self.entry.size is not None or self.entry.run is not None:
            return 0
        if self.entry.interval is None or self.entry.duration is None:
            return 1
        return round(self.entry.duration / self.entry.interval)


def sessions_of(scenario: Scenario) -> list[SessionSpec]:
    """Every session of a run, in the order of the file."""
    sessions: list[SessionSpec] = []
    for entry in scenario.sessions:
        for method in entry.method:
            for transport in entry.transport:
                for turn in range(entry.repeat):
                    words = [entry.name]
                    words += [method] if len(entry.method) > 1 else []
                    words += [transport] if len(entry.transport) > 1 else []
                    words += [str(turn + 1)] if entry.repeat > 1 else []
                    at_s = entry.at + turn * (entry.every or 0.0)
                    sessions.append(SessionSpec(len(sessions), ".".join(words), entry, method, transport, at_s))
    return sessions
