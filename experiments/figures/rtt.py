"""F3: the round trip of each method's user plane through two moves, and its stretch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import EXACT_MS, About, Drawing, FigureKind, Load, Row
from dmmlab.experiments.figures.sweep import build, session_entry
from dmmlab.experiments.methods import METHODS, fixed
from dmmlab.experiments.methods.base import SERVER
from dmmlab.experiments.oracle import delays, moves
from dmmlab.experiments.records.recording import RecordedSession, Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import Scenario

_SETTLES_S = 1.5  # after a move: redirect, registration and the relay's new leg are in place


def scenarios(load: Load) -> list[Scenario]:
    """Sessions by every method that begin at MR1, and others that begin after the move to MR2; then back to MR1."""
    probes: dict[str, Any] = {"method": list(METHODS), "interval": "200ms"}
    movement = [{"at": "0s", "node": "MN1", "to": "MR1"}, {"at": "20s", "node": "MN1", "to": "MR2"}]
    movement.append({"at": "40s", "node": "MN1", "to": "MR1"})
    sessions = [session_entry("old", 2, duration="56s", **probes), session_entry("new", 22, duration="36s", **probes)]
    return [build(load, "f3-rtt", movement=movement, sessions=sessions, duration="62s")]


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """Every probe of sessions over UDP that live through a move, or begin after one; the first run that has them."""
    return [
        row for run in _drawn(runs) for session in run.sessions if _fits(run, session) for row in _rows(run, session)
    ]


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
    long = session.spec.transport == "udp" and session.spec.count >= 50 and session.spec.cn == "CN3"
    return long and len(run.scenario.moves_of(session.spec.mn)) > 1


def _rows(run: Recording, session: RecordedSession) -> list[Row]:
    moves = run.scenario.moves_of(session.spec.mn)
    first = session.row.serving == moves[0].to and session.spec.at_s < moves[1].at
    return [
        {
            **{"opened": f"at {session.row.serving}", "early": first, "method": session.spec.method, "seq": probe.seq},
            **{"sent_s": probe.sent_s, "rtt_ms": probe.rtt_ms},
            **_expected(run, session, probe.sent_s),
        }
        for probe in run.probes[session.spec.name]
    ]


def _expected(run: Recording, session: RecordedSession, at_s: float) -> Row:
    """The closed form of the round trip at a time, None while a move is settling; and of the direct one."""
    scenario, node, cn = run.scenario, session.spec.mn, session.spec.cn
    at_router = moves.serving(scenario, node, at_s)
    settling = any(move.at <= at_s < move.over_s + _SETTLES_S for move in scenario.moves_of(node)[1:])
    leaves = any(at_s < move.at <= at_s + 0.2 for move in scenario.moves_of(node)[1:])
    if at_router is None or settling or leaves:
        return {"expected_ms": None, "direct_ms": None}
    direct = delays.host_to_mn_s(scenario, cn, node, at_router, at_router)
    if METHODS[session.spec.method].relayed:
        leg = delays.host_to_mn_s(scenario, SERVER, node, at_router, at_router)
        way = None if leg is None else leg + delays.hosts_s(scenario, cn, SERVER)
    else:
        way = delays.host_to_mn_s(scenario, cn, node, session.row.anchor or at_router, at_router)
    return {"expected_ms": None if way is None else 2e3 * way, "direct_ms": None if direct is None else 2e3 * direct}


def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """Every session's round trips, outside the moves, against the closed form; none may be lost there."""
    found, allowed = [], EXACT_MS + more_ms
    for key in dict.fromkeys((row["opened"], row["method"]) for row in rows):
        mine = [row for row in rows if (row["opened"], row["method"]) == key and row["expected_ms"] is not None]
        lost = sum(row["rtt_ms"] is None for row in mine)
        off = [row["rtt_ms"] - row["expected_ms"] for row in mine if row["rtt_ms"] is not None]
        if lost or not off:
            found.append(f"{key[1]}, opened {key[0]}: {lost} of {len(mine)} probes lost outside the moves")
            continue
        low, high = stats.median_interval(off)
        if low < -allowed or high > allowed or stats.quantile(off, 0.95) > allowed:
            found.append(f"{key[1]}, opened {key[0]}: off the closed form by {low:+.3f} to {high:+.3f} ms")
    return found


def plot(rows: list[Row], about: About) -> Drawing:
    """Round trips through the moves, a panel for the sessions that were opened at each router."""
    opened = list(dict.fromkeys(row["opened"] for row in rows))
    figure, axes = style.figure(height_in=4.6, nrows=len(opened), sharex=True, sharey=True, squeeze=False)
    scaled = False
    for axis, where in zip(axes[:, 0], opened, strict=True):
        here = [row for row in rows if row["opened"] == where]
        for turn, method in enumerate(METHODS):
            mine = [row for row in here if row["method"] == method and row["rtt_ms"] is not None]
            # The methods lie on top of each other for most of the time: each marks every fifth probe, in turn.
            shown = [row for row in mine if row["seq"] % 15 == 3 * turn]
            look = style.METHODS[method]
            axis.plot([r["sent_s"] for r in mine], [r["rtt_ms"] for r in mine], color=look.colour, linewidth=0.7,
                      linestyle=look.dash)  # fmt: skip
            style.line(axis, look._replace(dash=""), [(r["sent_s"], r["rtt_ms"]) for r in shown])
        form = [(row["sent_s"], row["expected_ms"]) for row in here if row["expected_ms"] and row["seq"] % 15 == 0]
        style.closed_form(axis, form)
        scaled = _stretch_axis(axis, here) or scaled
        axis.set_title(f"sessions opened {where}")
        axis.set_ylabel("round trip (ms)")
    axes[0][0].set_ylim(0, 1.6 * max(row["expected_ms"] or 0 for row in rows))
    axes[0][0].legend(ncols=3, loc="upper left")
    axes[-1][0].set_xlabel("time a probe was sent, since the scenario's start (s)")
    return Drawing(figure, _caption(rows, scaled, about))


def _caption(rows: list[Row], scaled: bool, about: About) -> str:
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
            "elsewhere."
        )
    words += [f"With {_named(relayed)} packets always go by the server."] if relayed else []
    scale = "The scale on the right is the path stretch, the round trip over that of the direct path."
    words += [scale] if scaled else []
    words.append(f"Rings: closed form. Probes every {_interval_ms(rows):g} ms.")
    return f"{' '.join(words)} {about}"


def _named(methods: Iterable[str]) -> str:
    *others, last = [METHODS[name].look.label for name in METHODS if name in methods]
    return f"{', '.join(others)} and {last}" if others else last


def _interval_ms(rows: list[Row]) -> float:
    """Between two probes of a session, by the times at which they were sent."""
    lines: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        lines[row["opened"], row["method"]].append(row)
    gaps = [two["sent_s"] - one["sent_s"] for line in lines.values() for one, two in pairwise(line)
            if two["seq"] == one["seq"] + 1]  # fmt: skip
    return round(stats.median(gaps) * 1e3, 3)


def _stretch_axis(axis: object, rows: list[Row]) -> bool:
    """Adds the scale; False where the direct path differs between routers: one scale cannot tell the stretch."""
    direct = [row["direct_ms"] for row in rows if row["direct_ms"]]
    if not direct or max(direct) - min(direct) > 1e-6:
        return False
    twin = axis.secondary_yaxis(  # type: ignore[attr-defined]
        "right", functions=(lambda rtt: rtt / direct[0], lambda stretch: stretch * direct[0])
    )
    twin.set_ylabel("path stretch")
    return True


FIGURE = FigureKind(
    entry=ENTRIES["F3"],
    scenarios=scenarios,
    columns=("opened", "early", "method", "seq", "sent_s", "rtt_ms", "expected_ms", "direct_ms"),
    key=("opened", "method", "seq"),
    subject="rtt_ms",
    measure=measure,
    plot=plot,
    check=check,
    shown=shown,
    claim=f"outside the {_SETTLES_S} s after a move no probe is lost and round trips are within {EXACT_MS} ms of the "
    "closed form",
)
