"""Whether a run may be believed: what was configured against what came out, at its start, in its middle, at its end.

`problems` is a function of the run directory. A run with problems is kept, marked invalid with the reasons, and enters
no figure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.oracle import delays, moves
from dmmlab.experiments.oracle.faults import touches
from dmmlab.experiments.records.recording import RecordedSession, Recording
from dmmlab.experiments.scenario.model import CORE, RADIO, Scenario
from dmmlab.experiments.scenario.sections.links import Link

_PARTS = ("start", "middle", "end")
_LEAST_PROBES = 5  # in a part, for a judgement of it
_SETTLES_S = 1.0  # after a move


@dataclass(frozen=True)
class Limits:
    """How far off the median of a part may be: round trips (ms), and probes sent later than they were due (ms)."""

    delay_ms: float
    late_ms: float


LIMITS = {"virtual": Limits(0.001, 0.001), "real": Limits(5.0, 5.0)}


def problems(recording: Recording) -> list[str]:
    """One sentence for each thing that makes the run invalid.

    Judged are the paths of sessions by method `fixed` over UDP, on links that neither jitter nor lose nor queue: for
    the others what is configured says too little of a single packet. A run without such a session is not judged here.
    """
    limits = LIMITS[recording.manifest["clock"]]
    return [*_wrong_delays(recording, limits), *_late_probes(recording, limits)]


def _wrong_delays(run: Recording, limits: Limits) -> Iterator[str]:
    off: dict[str, list[float]] = {part: [] for part in _PARTS}
    core_is_plain, faults = _core_is_plain(run.scenario), touches(run.scenario)
    for session in run.sessions:
        if not _plain(run, session, core_is_plain):
            continue
        for probe in run.probes[session.spec.name]:
            touched = faults.probe(session.spec, probe.sent_s, probe.sent_s + (probe.rtt_ms or 0.0) / 1e3)
            expected_ms = None if touched else _expected_ms(run, session, probe.sent_s)
            if expected_ms is not None and probe.rtt_ms is not None:
                off[_part(run, probe.sent_s)].append(probe.rtt_ms - expected_ms)
    for part, values in off.items():
        if len(values) >= _LEAST_PROBES and not abs(stats.median(values)) <= limits.delay_ms:
            yield (
                f"paths at the {part} of the run are {stats.median(values):+.3f} ms off what is configured; "
                f"{limits.delay_ms:g} ms are allowed"
            )


def _late_probes(run: Recording, limits: Limits) -> Iterator[str]:
    late: dict[str, list[float]] = {part: [] for part in _PARTS}
    faults = touches(run.scenario)
    for session in run.sessions:
        interval_s = session.spec.interval_s
        even = session.spec.entry.spacing == "even"
        if METHODS[session.spec.method].asks or session.spec.transport != "udp" or interval_s is None or not even:
            continue
        opened_s = _opened_s(run, session)
        for probe in run.probes[session.spec.name]:
            if (_asks_first(session) and probe.seq == 0) or _asks_again(run, session, probe.sent_s):
                continue
            if faults.probe(session.spec, probe.sent_s, probe.sent_s):
                continue
            late[_part(run, probe.sent_s)].append((probe.sent_s - opened_s - probe.seq * interval_s) * 1e3)
    for part, values in late.items():
        if len(values) >= _LEAST_PROBES and stats.quantile(values, 0.95) > limits.late_ms:
            yield (
                f"probes at the {part} of the run left {stats.quantile(values, 0.95):.3f} ms late (p95); "
                f"{limits.late_ms:g} ms are allowed"
            )


def _opened_s(run: Recording, session: RecordedSession) -> float:
    """When its last attempt began: each counts its probes anew."""
    attempts = run.lookups[session.spec.name][1:]
    return float(attempts[-1]["time_s"]) if attempts else session.spec.at_s


def _asks_first(session: RecordedSession) -> bool:
    """Whether the opener may have had to ask for a MAC on its own link before its first probe could leave (ARP)."""
    return session.row.mn_anchor != "" and session.row.mn_anchor == session.row.anchor


def _asks_again(run: Recording, session: RecordedSession, at_s: float) -> bool:
    """Whether one of two mobile nodes has just moved, perhaps to the other's link: who sends then has to ask (ARP)."""
    ends, scenario = {session.spec.cn, session.spec.mn}, run.scenario
    if not ends.issubset(scenario.mobile_nodes):
        return False
    return any(move.at < at_s < move.at + move.gap + _SETTLES_S for end in ends for move in scenario.moves_of(end)[1:])


def _part(run: Recording, at_s: float) -> str:
    third = int(3 * at_s / run.scenario.duration)
    return _PARTS[min(max(third, 0), 2)]


def _plain(run: Recording, session: RecordedSession, core_is_plain: bool) -> bool:
    """By method `fixed` over UDP, and over links that do nothing but delay."""
    scenario, entry = run.scenario, session.spec.entry
    if METHODS[session.spec.method].asks or session.spec.transport != "udp" or not session.row.address:
        return False
    ends = {entry.from_, entry.to}
    own = (link for link in scenario.links if ends & set(link.between) and {CORE, RADIO} & set(link.between))
    return core_is_plain and not any(map(_disturbs, own))


def _core_is_plain(scenario: Scenario) -> bool:
    """Whether the links of the mobile routers, to the core and among themselves, do nothing but delay."""
    among = (link for links in scenario.inter_mr_links.values() for link in links)
    return not any(map(_disturbs, (*(scenario.link(router, CORE) for router in scenario.mobile_routers), *among)))


def _disturbs(link: Link | None) -> bool:
    return link is not None and bool(link.jitter or link.loss or link.rate)


def _expected_ms(run: Recording, session: RecordedSession, at_s: float) -> float | None:
    """The configured round trip at a time; None around a move of either end, and before it has its address there."""
    scenario, spec, row = run.scenario, session.spec, session.row
    places = []
    for name, anchor in ((spec.cn, row.mn_anchor), (spec.mn, row.anchor)):
        later = scenario.moves_of(name)[1:]
        if any(move.at - _SETTLES_S < at_s < move.over_s + _SETTLES_S for move in later):
            return None
        at_router = moves.serving(scenario, name, at_s)
        if anchor and (at_router is None or at_s < _configured_s(scenario, name, at_s)):
            return None
        places.append(delays.Place(name, anchor, at_router or ""))
    way_s = delays.path_s(scenario, *places)
    return None if way_s is None else 2e3 * way_s


def _configured_s(scenario: Scenario, node: str, at_s: float) -> float:
    """When ``node`` has its address where it came last by then."""
    turn = sum(move.at <= at_s for move in scenario.moves_of(node)) - 1
    move = scenario.moves_of(node)[turn]
    came_s = move.at + (move.gap if turn else 0.0)
    return came_s + moves.configured_s(scenario, node, turn) + moves.late_s(scenario, node, turn)
