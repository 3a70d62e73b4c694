"""How far what a run measured is from its closed forms: every set-up, and every round trip of every probe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.oracle.trips import Trips
from dmmlab.experiments.records.recording import RecordedSession, Recording


@dataclass(frozen=True)
class Distance:
    """A measured time beside its closed form, ms; ``measured_ms`` is None where there was no answer."""

    what: str
    measured_ms: float | None
    expected_ms: float

    @property
    def off_ms(self) -> float:
        """How far apart they are, ms; without an answer, infinitely far."""
        return float("inf") if self.measured_ms is None else abs(self.measured_ms - self.expected_ms)

    def __str__(self) -> str:
        if self.measured_ms is None:
            return f"{self.what}: no answer; expected {self.expected_ms:.6f} ms"
        apart = f"{self.measured_ms - self.expected_ms:+.6f} ms"
        return f"{self.what}: measured {self.measured_ms:.6f} ms, expected {self.expected_ms:.6f} ms, apart {apart}"


@dataclass(frozen=True)
class Distances:
    """All of one run or of several; ``sessions`` and ``probes`` is how many there were, with a closed form or not."""

    lookups: tuple[Distance, ...]
    setups: tuple[Distance, ...]
    trips: tuple[Distance, ...]
    sessions: int
    probes: int

    @classmethod
    def of(cls, recordings: Iterable[Recording]) -> Distances:
        """Those of all sessions of ``recordings``. Of what chance delays or loses, there are none."""
        lookups, setups, trips = list[Distance](), list[Distance](), list[Distance]()
        sessions, probes = 0, 0
        for recording in recordings:
            if any(link.loss or link.jitter or link.rate for link in recording.scenario.links):
                continue
            ways = Trips(recording.scenario)
            for session in recording.sessions:
                for found, distance in zip((lookups, setups), _setup(recording, session), strict=False):
                    found.append(distance)
                trips += _trips(recording, ways, session)
                sessions += 1
                probes += len(recording.probes[session.spec.name])
        return cls(tuple(lookups), tuple(setups), tuple(trips), sessions, probes)

    @classmethod
    def together(cls, several: Iterable[Distances]) -> Distances:
        """All of ``several``."""
        whole = list(several)
        lookups = tuple(one for each in whole for one in each.lookups)
        setups = tuple(one for each in whole for one in each.setups)
        trips = tuple(one for each in whole for one in each.trips)
        return cls(lookups, setups, trips, sum(each.sessions for each in whole), sum(each.probes for each in whole))

    @property
    def all(self) -> tuple[Distance, ...]:
        """Every one."""
        return (*self.lookups, *self.setups, *self.trips)

    def beyond(self, allowed_ms: float) -> list[Distance]:
        """Those that are farther apart."""
        return [one for one in self.all if one.off_ms > allowed_ms]

    @property
    def largest_ms(self) -> float:
        """How far apart the farthest are, ms."""
        return max((one.off_ms for one in self.all), default=0.0)

    def __str__(self) -> str:
        return (
            f"{len(self.setups)} set-ups of {self.sessions} sessions and {len(self.trips)} round trips of "
            f"{self.probes} probes have a closed form; the farthest is {self.largest_ms * 1e6:.0f} ns from it"
        )


def _setup(recording: Recording, session: RecordedSession) -> Iterator[Distance]:
    """Of its lookup, and of the whole; nothing where there is no closed form."""
    expected, row = recording.expected(session), session.row
    if expected is None:
        return
    name = f"{recording.scenario.name}: session {row.session} ({row.method} over {row.transport})"
    ok = row.outcome == "ok"
    yield Distance(f"{name}: lookup", row.lookup_ms if ok else None, expected.lookup_s * 1e3)
    yield Distance(f"{name}: set-up", row.setup_ms if ok else None, expected.setup_s * 1e3)


def _trips(recording: Recording, ways: Trips, session: RecordedSession) -> Iterator[Distance]:
    """Those of a session that was set up; of its first probe, the set-up speaks.

    A session that was retried sent its first probes more than once: they say nothing. Those of a relayed stream may
    have to wait with the first one for its leg, and where that is, is known if its set-up is.
    """
    row, spec = session.row, session.spec
    if not session.worked or spec.size is not None:
        return
    far = "" if METHODS[spec.method].relayed else row.anchor
    opened_s = max((event["time_s"] for event in recording.lookups[spec.name]), default=0.0)
    if METHODS[spec.method].relayed and spec.transport == "tcp" and row.start_s is not None:
        if recording.expected(session) is None:
            return
        opened_s = row.start_s + (row.setup_ms or 0.0) / 1e3
    for probe in recording.probes[spec.name]:
        expected_s = (
            ways.expected_s(spec, row.mn_anchor, far, probe.sent_s) if probe.seq and probe.sent_s > opened_s else None
        )
        if expected_s is not None:
            what = f"{recording.scenario.name}: session {row.session} ({row.method} over {row.transport})"
            yield Distance(f"{what}: probe {probe.seq} of {probe.sent_s:.6f} s", probe.rtt_ms, expected_s * 1e3)
