"""F3: the round trip of each method's user plane through two moves, from near and from far."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import EXACT_MS, About, Drawing, FigureKind, Load, Row
from dmmlab.experiments.figures.sweep import Item, build, link_delays, links, session_entry
from dmmlab.experiments.methods import METHODS, fixed
from dmmlab.experiments.methods.base import Look
from dmmlab.experiments.oracle import delays
from dmmlab.experiments.oracle.trips import Trips
from dmmlab.experiments.records.recording import RecordedSession, Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import CORE, Scenario

_CORRESPONDENTS_MS = {"CN1": 2.0, "CN2": 10.0, "CN3": 50.0}  # to the core
_RINGS = 12  # of the closed form, on each line


def scenarios(load: Load) -> list[Scenario]:
    """Sessions by every method, from near and far, that begin at MR1, and others that begin after the move to MR2; then
    back to MR1.
    """
    base = load("two-mr", {})
    changes = link_delays({(cn, CORE): delay_ms for cn, delay_ms in _CORRESPONDENTS_MS.items()})
    movement = [{"at": "0s", "node": "MN1", "to": "MR1"}, {"at": "20s", "node": "MN1", "to": "MR2"}]
    movement.append({"at": "40s", "node": "MN1", "to": "MR1"})
    sessions: list[Item] = []
    for cn in _CORRESPONDENTS_MS:
        probes: dict[str, Any] = {"cn": cn, "method": list(METHODS), "interval": "400ms"}
        sessions.append(session_entry(f"old{cn}", 2, duration="56s", **probes))
        sessions.append(session_entry(f"new{cn}", 22, duration="36s", **probes))
    return [build(load, "f3-rtt", links=links(base, changes), movement=movement, sessions=sessions, duration="62s")]


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """Every probe of sessions over UDP that live through a move, or begin after one; the first run that has them."""
    rows: dict[tuple[str, str, str, int], Row] = {}
    for run in _drawn(runs):
        trips = Trips(run.scenario)
        for session in run.sessions:
            if _fits(run, session):
                found = _rows(run, session, trips)
                rows = {tuple(row[name] for name in _KEY): row for row in found} | rows  # the first of several
    return sorted(rows.values(), key=lambda row: (not row["early"], *(row[name] for name in _KEY)))


def _drawn(runs: Sequence[RunDirectory]) -> list[Recording]:
    """The first run that has such sessions by two methods or more; none, if none has."""
    for run in recordings(runs):
        if len({session.spec.method for session in run.sessions if _fits(run, session)}) > 1:
            return [run]
    return []


def shown(runs: Sequence[RunDirectory]) -> list[RunDirectory]:
    """The one of ``runs`` that is drawn."""
    return [run.run for run in _drawn(runs)]


def _fits(run: Recording, session: RecordedSession) -> bool:
    long = session.spec.transport == "udp" and session.spec.count >= 50 and session.from_host
    return long and len(run.scenario.moves_of(session.spec.mn)) > 1


def _rows(run: Recording, session: RecordedSession, trips: Trips) -> list[Row]:
    spec, row = session.spec, session.row
    moves = run.scenario.moves_of(spec.mn)
    early = row.serving == moves[0].to and spec.at_s < moves[1].at
    far = "" if METHODS[spec.method].relayed else row.anchor
    found = []
    for probe in run.probes[spec.name]:
        expected_s = trips.expected_s(spec, "", far, probe.sent_s)
        found.append(
            {
                **{"opened": f"at {row.serving}", "early": early, "cn": spec.cn, "method": spec.method},
                **{"seq": probe.seq, "sent_s": probe.sent_s, "rtt_ms": probe.rtt_ms},
                "expected_ms": None if expected_s is None else expected_s * 1e3,
                "cn_core_ms": delays.to_core_s(run.scenario, spec.cn) * 1e3,
            }
        )
    return found


def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """Every session's round trips, outside the moves, against the closed form; none may be lost there."""
    found, allowed = [], EXACT_MS + more_ms
    lines: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row["expected_ms"] is not None:
            lines[row["opened"], row["cn"], row["method"]].append(row)
    for (opened, cn, method), mine in lines.items():
        point = f"{method}, from {cn}, opened {opened}"
        lost = sum(row["rtt_ms"] is None for row in mine)
        off = [row["rtt_ms"] - row["expected_ms"] for row in mine if row["rtt_ms"] is not None]
        if lost or not off:
            found.append(f"{point}: {lost} of {len(mine)} probes lost outside the moves")
            continue
        low, high = stats.median_interval(off)
        if low < -allowed or high > allowed or stats.quantile(off, 0.95) > allowed:
            found.append(f"{point}: off the closed form by {low:+.3f} to {high:+.3f} ms")
    silent = {(row["opened"], row["cn"], row["method"]) for row in rows} - lines.keys()
    return [*found, *(f"{method}, from {cn}, opened {opened}: no closed form" for opened, cn, method in sorted(silent))]


def plot(rows: list[Row], about: About) -> Drawing:
    """Small multiples: a row for each method, a column for the router at which sessions were opened."""
    opened = list(dict.fromkeys(row["opened"] for row in rows))
    names = [name for name in METHODS if any(row["method"] == name for row in rows)]
    cns = sorted({(row["cn_core_ms"], row["cn"]) for row in rows})
    figure, axes = style.panels(
        1.0 + 1.15 * len(names), nrows=len(names), ncols=len(opened), sharex=True, sharey=True, squeeze=False
    )
    for line, name in enumerate(names):
        for place, where in enumerate(opened):
            for look, (distance_ms, cn) in zip(style.SERIES, cns, strict=False):
                mine = [row for row in rows if (row["opened"], row["cn"], row["method"]) == (where, cn, name)]
                label = f"{cn}, {distance_ms:g} ms from the core"
                _line(axes[line][place], mine, look._replace(label=label), cn == cns[-1][1])
        axes[line][0].set_ylabel(METHODS[name].look.label)
    axes[0][0].set_yscale("log")
    most = max(row["rtt_ms"] or 0.0 for row in rows)
    ticks = [tick for tick in (10, 20, 50, 100, 200, 500, 1000) if tick < 1.3 * most]
    axes[0][0].set_yticks(ticks, [str(tick) for tick in ticks])
    axes[0][0].minorticks_off()
    axes[0][0].set_ylim(top=1.5 * most)
    for axis, where in zip(axes[0], opened, strict=True):
        axis.set_title(f"round trip (ms), opened {where}")
    for axis in axes[-1]:
        axis.set_xlabel("probe sent (s)")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    style.sample(figure, f"n = 1 session a line; {about.seeding}")
    return Drawing(figure, _caption(rows, about))


def _line(axis: Any, rows: list[Row], look: Look, last: bool) -> None:
    """The round trips of a session, broken where probes were lost, and rings for its closed form."""
    nothing = float("nan")
    times, trips = [row["sent_s"] for row in rows], [row["rtt_ms"] or nothing for row in rows]
    axis.plot(times, trips, color=look.colour, linestyle=look.dash, linewidth=1.0, label=look.label)
    exact = [(row["sent_s"], row["expected_ms"]) for row in rows if row["expected_ms"] is not None]
    style.closed_form(axis, exact[:: max(1, len(exact) // _RINGS)], label="closed form" * last or None, size=5)


def _caption(rows: list[Row], about: About) -> str:
    """What the rows show, through the movement of the run that they are from."""
    methods = {row["method"] for row in rows}
    opened = " and of sessions opened ".join(dict.fromkeys(row["opened"] for row in rows))
    words = [f"Round trip of the user plane of {_named(methods)}, of sessions opened {opened}."]
    words += [f"{about.movement}."] if about.movement else []
    words += ["Method fixed knows the first address alone."] if fixed.METHOD.name in methods else []
    relayed = {name for name in methods if METHODS[name].relayed}
    if methods - relayed:
        who = f"All but {_named(relayed)}" if relayed else "Sessions"
        words.append(
            f"{who} keep the address that they were opened on and take the detour through its router when the node is "
            "elsewhere: so much longer for everybody, and so much more of a near correspondent's round trip."
        )
    words += [f"With {_named(relayed)} packets always go by the server."] if relayed else []
    words.append(f"Rings: closed form. Probes every {_interval_ms(rows):g} ms.")
    return f"{' '.join(words)} {about}"


def _named(methods: Iterable[str]) -> str:
    *others, last = [METHODS[name].look.label for name in METHODS if name in methods]
    return f"{', '.join(others)} and {last}" if others else last


def _interval_ms(rows: list[Row]) -> float:
    """Between two probes of a session, by the times at which they were sent."""
    lines: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        lines[row["opened"], row["cn"], row["method"]].append(row)
    gaps = [two["sent_s"] - one["sent_s"] for line in lines.values() for one, two in pairwise(line)
            if two["seq"] == one["seq"] + 1]  # fmt: skip
    return round(stats.median(gaps) * 1e3, 3)


_KEY = ("opened", "cn", "method", "seq")
FIGURE = FigureKind(
    entry=ENTRIES["F3"],
    scenarios=scenarios,
    columns=("opened", "early", "cn", "cn_core_ms", "method", "seq", "sent_s", "rtt_ms", "expected_ms"),
    key=_KEY,
    subject="rtt_ms",
    measure=measure,
    plot=plot,
    check=check,
    shown=shown,
    claim=f"wherever a round trip has a closed form no probe is lost, and it is within {EXACT_MS} ms of that",
)
