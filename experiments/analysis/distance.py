"""How far what a run measured is from its closed forms: every set-up, every round trip of every probe, and how long a
user hears nothing while a node changes links.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf

from dmmlab.experiments.analysis import silence
from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.oracle.silence import longest_by_movement_s, longest_of_all_s
from dmmlab.experiments.oracle.trips import Trips
from dmmlab.experiments.records.recording import RecordedSession, Recording
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sections.movement import Movement


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
class Silence(Distance):
    """The longest one that a session, or any session of the node, has in a handover, which is of this ``kind``."""

    kind: str


@dataclass(frozen=True)
class Distances:
    """All of one run or of several; ``sessions`` and ``probes`` is how many there were, with a closed form or not, and
    ``handovers`` the kind of each.
    """

    lookups: tuple[Distance, ...]
    setups: tuple[Distance, ...]
    trips: tuple[Distance, ...]
    silences: tuple[Silence, ...]
    sessions: int
    probes: int
    handovers: tuple[str, ...]

    @classmethod
    def of(cls, recordings: Iterable[Recording]) -> Distances:
        """Those of all sessions of ``recordings``. Of what chance delays or loses, there are none."""
        lookups, setups, trips, silences = list[Distance](), list[Distance](), list[Distance](), list[Silence]()
        sessions, probes, handovers = 0, 0, list[str]()
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
            silences += _silences(recording)
            handovers += [kind for _, _, kind in _handovers(recording.scenario)]
        return cls(*(tuple(lookups), tuple(setups), tuple(trips), tuple(silences)), sessions, probes, tuple(handovers))

    @classmethod
    def together(cls, several: Iterable[Distances]) -> Distances:
        """All of ``several``."""
        whole = list(several)
        lookups = tuple(one for each in whole for one in each.lookups)
        setups = tuple(one for each in whole for one in each.setups)
        trips = tuple(one for each in whole for one in each.trips)
        silences = tuple(one for each in whole for one in each.silences)
        handovers = tuple(kind for each in whole for kind in each.handovers)
        sessions, probes = sum(each.sessions for each in whole), sum(each.probes for each in whole)
        return cls(lookups, setups, trips, silences, sessions, probes, handovers)

    @property
    def all(self) -> tuple[Distance, ...]:
        """Every one."""
        return (*self.lookups, *self.setups, *self.trips, *self.silences)

    def beyond(self, allowed_ms: float) -> list[Distance]:
        """Those that are farther apart."""
        return [one for one in self.all if one.off_ms > allowed_ms]

    @property
    def largest_ms(self) -> float:
        """How far apart the farthest are, ms."""
        return max((one.off_ms for one in self.all), default=0.0)

    def __str__(self) -> str:
        return (
            f"{len(self.setups)} set-ups of {self.sessions} sessions, {len(self.trips)} round trips of "
            f"{self.probes} probes and {len(self.silences)} longest silences in {len(self.handovers)} handovers have "
            f"a closed form; the farthest is {self.largest_ms * 1e6:.0f} ns from it"
        )

    @property
    def kinds(self) -> str:
        """A line for each kind of handover: how many there were, and how many silences in them have a closed form."""
        exact = Counter(one.kind for one in self.silences)
        lines = (f"{kind}: {many}, {exact[kind]} silences" for kind, many in sorted(Counter(self.handovers).items()))
        return "\n".join(lines)


def _setup(recording: Recording, session: RecordedSession) -> Iterator[Distance]:
    """Of its lookup, and of the whole, from the session's start to its first answer, at whichever attempt that came (of
    one that was retried, of all its lookups); nothing where there is no closed form.
    """
    expected, row = recording.expected(session), session.row
    if expected is None:
        return
    name = f"{recording.scenario.name}: session {row.session} ({row.method} over {row.transport})"
    yield Distance(f"{name}: lookup", row.lookup_ms if session.worked else None, expected.lookup_s * 1e3)
    yield Distance(f"{name}: set-up", row.setup_ms if session.worked else None, expected.setup_s * 1e3)


def _trips(recording: Recording, ways: Trips, session: RecordedSession) -> Iterator[Distance]:
    """Those of a session that was set up; of its first probe, the set-up speaks.

    Of a session that was retried, those of the attempt that was answered. Those of a relayed stream may have to wait
    with the first one for its leg, and where that is, is known if its set-up is.
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
    for probe in (probe for probe in recording.probes[spec.name] if probe.sent_s < recording.scenario.duration):
        expected_s = (
            ways.expected_s(spec, row.mn_anchor, far, probe.sent_s) if probe.seq and probe.sent_s > opened_s else None
        )
        if expected_s is not None:
            what = f"{recording.scenario.name}: session {row.session} ({row.method} over {row.transport})"
            yield Distance(f"{what}: probe {probe.seq} of {probe.sent_s:.6f} s", probe.rtt_ms, expected_s * 1e3)


def _silences(recording: Recording) -> Iterator[Silence]:
    """Of each session with probes that has one end at a node which moves, and of each row of handovers.csv.

    What a session over UDP that was opened in vain at first sends is more than its probes.
    """
    scenario, rows = recording.scenario, iter(recording.handovers)
    for session in recording.sessions:
        spec = session.spec
        node = spec.mn if spec.mn in scenario.mobile_nodes else spec.cn
        if session.row.outcome != "ok" or spec.interval_s is None or node not in scenario.mobile_nodes:
            continue
        probes = (row for row in recording.probe_rows if row.session == spec.name)
        answers = [row.received_s for row in probes if row.received_s is not None]
        begins_s = [*(_begins_s(scenario, move) for move in scenario.moves_of(node)), inf]
        expected = longest_by_movement_s(scenario, spec)
        for turn, move, kind in (found for found in _handovers(scenario) if found[1].node == node):
            if (expected_s := expected.get(turn)) is not None:
                measured_s = silence.longest(answers, spec.transport == "tcp", *begins_s[turn : turn + 2])
                what = f"{scenario.name}: session {spec.name}: silence in {node}'s move at {move.at:g} s ({kind})"
                yield Silence(what, None if measured_s is None else measured_s * 1e3, expected_s * 1e3, kind)
    for node in scenario.mobile_nodes:
        of_all = longest_of_all_s(scenario, node)
        for turn, move, kind in (found for found in _handovers(scenario) if found[1].node == node):
            row = next(rows)
            if (expected_s := of_all.get(turn)) is not None:
                measured_s = row.longest_silence_s
                what = f"{scenario.name}: {node}'s longest silence in the move at {move.at:g} s ({kind})"
                yield Silence(what, None if measured_s is None else measured_s * 1e3, expected_s * 1e3, kind)


def _begins_s(scenario: Scenario, move: Movement) -> float:
    return move.at if move.overlap is not None else move.at - (scenario.handover.announce or 0.0)


def _handovers(scenario: Scenario) -> Iterator[tuple[int, Movement, str]]:
    """Each movement but the first of its node: its number, and its kind as docs/handovers.md names it."""
    told, kept = scenario.handover.announce is not None, scenario.handover.buffer
    broken = {(False, False): "break before make", (True, False): "announced", (False, True): "buffered"}
    for node in scenario.mobile_nodes:
        moves = scenario.moves_of(node)
        for turn, move in enumerate(moves[1:], 1):
            kind = "make before break" if move.overlap else broken.get((told, kept), "announced and buffered")
            radios = {scenario.radio(node, one.to) for one in (moves[turn - 1], move)}
            yield turn, move, f"{kind}, vertical" if len(radios) > 1 else kind
