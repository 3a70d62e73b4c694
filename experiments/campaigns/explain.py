"""What lies between a run in real time and the closed form: the paths, or the programs at their ends.

`clockwatch` measures each path by echoes, which no program of ours takes part in. What a path takes beyond what is
configured, summed along a method's round trips (docs/methods.md), is the network's part of the difference; the rest is
what clients, servers and mobile node computed and waited for a processor.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import handover
from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import CN, MN
from dmmlab.experiments.oracle import delays
from dmmlab.experiments.records.recording import RecordedSession, Recording
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.runner.clockwatch import CONTROL
from dmmlab.experiments.scenario.model import CORE, Scenario
from dmmlab.machine.events import CLOCKWATCH

REDIRECT = ("redirect", "OpenFlow")


@dataclass(frozen=True)
class Gap:
    """Of a method's sessions over one transport, medians in ms: measured minus closed form, and the paths' part of it.

    What takes how long is the set-up; for `REDIRECT`, the redirect of a node that has attached elsewhere.

    ``low`` and ``high`` bound the difference with 95 % confidence. ``paths`` is None where a path was not measured.
    """

    method: str
    transport: str
    n: int
    expected: float
    difference: float
    low: float
    high: float
    paths: float | None

    @property
    def programs(self) -> float | None:
        """What is not the paths' part, ms; None where the paths were not measured."""
        return None if self.paths is None else self.difference - self.paths


@dataclass(frozen=True)
class Clock:
    """How a machine kept time, over several runs: medians of the seconds' p95 lateness (ms) and of the stolen share."""

    late_ms: float
    steal: float


def real_time(folder: Path) -> list[RunDirectory]:
    """The runs in real time that belong to ``folder``: itself, or the valid ones of those in it and of those that its
    figures are drawn from.
    """
    several = [
        place
        for place in (*sorted(folder.glob("*/")), *sorted(folder.parent.glob("runs/*/")))
        if (RunDirectory(place).outcome() or {}).get("outcome") == "ok"
    ]
    found = []
    for place in (folder,) if (folder / "run.json").is_file() else several:
        if RunDirectory(place).manifest()["clock"] == "real":
            found.append(RunDirectory(place))
    return found


def gaps(runs: Iterable[RunDirectory]) -> list[Gap]:
    """One for each method and transport, over all sessions of ``runs`` that have a closed form and worked at once, and
    one for the redirects of all handovers.
    """
    found: dict[tuple[str, str], list[tuple[float, float, float | None]]] = defaultdict(list)
    for run in runs:
        recording = Recording(run)
        excess = _excess_ms(recording)
        for session in recording.sessions:
            expected, measured = session.row.expected_setup_ms, session.row.setup_ms
            if session.row.outcome == "ok" and expected is not None and measured is not None:
                paths = _along(recording, session, excess)
                found[session.spec.method, session.spec.transport].append((expected, measured - expected, paths))
        found[REDIRECT] += list(_redirects(run, excess))
    kinds = (*((method, transport) for method in METHODS for transport in ("udp", "tcp")), REDIRECT)
    return [_gap(*kind, found[kind]) for kind in kinds if found[kind]]


def _redirects(run: RunDirectory, excess: Mapping[str, float]) -> Iterator[tuple[float, float, float | None]]:
    """Attached until the redirect is confirmed: it takes the way between controller and switches three times."""
    trip = excess.get(CONTROL)
    for row in handover.measure([run]):
        expected = row["expected_redirect_ms"]
        yield expected, row["redirect_ms"] - expected, None if trip is None else 1.5 * trip


def _gap(method: str, transport: str, values: Sequence[tuple[float, float, float | None]]) -> Gap:
    off = stats.summary([difference for _, difference, _ in values])
    paths = [part for *_, part in values if part is not None]
    expected = stats.median([value for value, *_ in values])
    part = stats.median(paths) if len(paths) == len(values) else None
    return Gap(method, transport, len(values), expected, off.median, off.low, off.high, part)


def clock(runs: Iterable[RunDirectory]) -> Clock | None:
    """How the machine kept time; None if nobody watched."""
    seconds = [
        event
        for run in runs
        for event in run.timeline()
        if event["source"] == CLOCKWATCH and event["event"] == "second"
    ]
    if not seconds:
        return None
    late, steal = ([float(second[key]) for second in seconds] for key in ("late_p95_ms", "steal"))
    return Clock(stats.median(late), stats.median(steal))


def _excess_ms(recording: Recording) -> dict[str, float]:
    """Of each path that was measured: round trip minus what is configured, the mean of before and after."""
    found: dict[str, list[float]] = defaultdict(list)
    for event in recording.events:
        if event["source"] == CLOCKWATCH and event["event"] == "path" and event["rtt_ms"] is not None:
            found[event["path"].partition("@")[0]].append(event["rtt_ms"] - event["expected_ms"])
    return {path: stats.mean(values) for path, values in found.items()}


def _along(run: Recording, session: RecordedSession, excess: dict[str, float]) -> float | None:
    """The excess of all round trips that the session's closed form is made of."""
    spec, method = session.spec, METHODS[session.spec.method]
    who = {CN: spec.cn, MN: spec.mn}
    lookup, connect = (
        [(who.get(near, near), who.get(far, far)) for near, far in trips] for trips in (method.asks, method.carries)
    )
    if method.cached and (expected := run.oracle.of(spec)) is not None:
        lookup = lookup[: _taken(run.scenario, lookup, expected.lookup_s)]
    trips = (*lookup, *connect * (1 if spec.transport == "udp" else 2))
    parts = [_trip(a, b, run.scenario.mobile_nodes, excess) for a, b in trips]
    return None if None in parts else sum(part for part in parts if part is not None)


def _taken(scenario: Scenario, trips: Sequence[tuple[str, str]], lookup_s: float) -> int:
    """How many of ``trips`` between hosts a lookup took that ended after ``lookup_s``: a cache on the way ends it."""
    spent_s = 0.0
    for number, trip in enumerate(trips):
        if lookup_s <= spent_s + 1e-9:
            return number
        spent_s += 2 * delays.hosts_s(scenario, *trip)
    return len(trips)


def _trip(host: str, other: str, nodes: Sequence[str], excess: dict[str, float]) -> float | None:
    """Whichever of the two opened the session, a path is measured from the host; between two nodes none is."""
    if host in nodes:
        host, other = other, host
    if other in nodes:
        return excess.get(f"{host}-{other}")
    ends = [excess.get(f"{end}-{CORE}") for end in (host, other)]
    return None if None in ends else sum(part for part in ends if part is not None)
