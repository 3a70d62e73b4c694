"""F7: which sessions live through moves of their mobile node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import About, Drawing, FigureKind, Load, Row
from dmmlab.experiments.figures.sweep import (
    Item,
    build,
    joined,
    links,
    numbered,
    routers_like_first,
    seconds,
    session_entry,
    tour,
    uniform,
)
from dmmlab.experiments.methods import fixed
from dmmlab.experiments.oracle import lifetimes
from dmmlab.experiments.records.recording import RecordedSession, Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import Scenario

_RING, _RESIDENCE_S, _DURATION_S = 8, 20.0, 600.0
_LENGTHS_S = (5, 10, 20, 40, 60, 80)
_EACH = 30  # sessions of each length and transport
_SEED = 7
_MOVE_S = 0.3  # around a move: what is sent then says nothing of a session
_PATIENCE_MS = 10_000.0


def scenarios(load: Load) -> list[Scenario]:
    """Sessions of several lengths through several numbers of moves, with the redirect and without."""
    return [_ring(load, f"f7-redirect-{'on' if redirect else 'off'}", redirect) for redirect in (True, False)]


def _ring(load: Load, name: str, redirect: bool) -> Scenario:
    """MN1 goes round a ring of routers; sessions begin at random times, each on the address that is newest then."""
    base, routers = load("two-mr", {}), numbered("MR", _RING)
    changes = routers_like_first(base, routers) | joined(base, pairwise([*routers, routers[0]]))
    movement = tour("MN1", routers, _RESIDENCE_S, _DURATION_S)
    sessions: list[Item] = []
    for kind, transport in enumerate(("udp", "tcp")):
        for turn, length_s in enumerate(_LENGTHS_S):
            times = uniform(_SEED * 100 + kind * 10 + turn, _EACH, 5, _DURATION_S - length_s - 10)
            for number, at_s in enumerate(times):
                into_s = at_s % _RESIDENCE_S  # not within a move: there is no address to begin on
                at_s += 0.2 if into_s < 0.2 else 0.0
                anchor = routers[int(at_s // _RESIDENCE_S) % _RING]
                keys: dict[str, Any] = {"transport": transport, "anchor": anchor, "interval": "1s"}
                sessions.append(
                    session_entry(
                        f"{transport[0]}{length_s}n{number}", at_s, cn="CN1", duration=seconds(length_s), **keys
                    )
                )
    return build(
        load, name, mobile_routers=routers, links=links(base, changes), movement=movement, sessions=sessions,
        redirect=redirect, duration=seconds(_DURATION_S), seed=_SEED,
    )  # fmt: skip


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """Sessions grouped by what is asked: their length over the residence time, and the moves within them."""
    groups: dict[tuple[str, bool, str, float], list[tuple[bool, bool]]] = defaultdict(list)
    for run in recordings(runs):
        for session in run.sessions:
            if session.spec.method != fixed.METHOD.name or session.spec.count < 3 or not session.row.serving:
                continue
            moves, may = _moves_within(run, session), _may_survive(run, session)
            outcome = (_survived(run, session), may)
            length = (session.spec.duration_s or 0.0) / _residence_s(run, session)
            groups["length", run.scenario.redirect, session.spec.transport, round(length, 3)].append(outcome)
            groups["moves", run.scenario.redirect, session.spec.transport, float(moves)].append(outcome)
    if len({x for panel, *_, x in groups if panel == "length"}) < 2:
        return []
    rows = []
    for (panel, redirect, transport, x), outcomes in sorted(groups.items()):
        alive = sum(survived for survived, _ in outcomes)
        low, high = stats.share_interval(alive, len(outcomes))
        expected = sum(may for _, may in outcomes) / len(outcomes)
        rows.append(
            {"panel": panel, "redirect": redirect, "transport": transport, "x": x, "n": len(outcomes),
             "share": alive / len(outcomes), "low": low, "high": high, "expected": expected}
        )  # fmt: skip
    return rows


def _residence_s(run: Recording, session: RecordedSession) -> float:
    moves = run.scenario.moves_of(session.spec.mn)
    return (moves[-1].at - moves[0].at) / (len(moves) - 1) if len(moves) > 1 else run.scenario.duration


def _moves_within(run: Recording, session: RecordedSession) -> int:
    return len(_move_times(run, session))


def _move_times(run: Recording, session: RecordedSession) -> list[float]:
    """Moves between the session's start and the probe by which it is judged."""
    last_s = session.spec.at_s + _judged(run, session) * (session.spec.interval_s or 0.0)
    return [move.at for move in run.scenario.moves_of(session.spec.mn) if session.spec.at_s < move.at <= last_s]


def _judged(run: Recording, session: RecordedSession) -> int:
    """The last probe that is not sent in the middle of a move: that one alone would be lost whatever comes of the
    session.
    """
    moves = run.scenario.moves_of(session.spec.mn)
    number = session.spec.count - 1
    while number > 0:
        sent_s = session.spec.at_s + number * (session.spec.interval_s or 0.0)
        if not any(move.at - _MOVE_S < sent_s < move.over_s + _MOVE_S for move in moves):
            break
        number -= 1
    return number


def _may_survive(run: Recording, session: RecordedSession) -> bool:
    """The closed form: with the redirect always, without it if the mobile node stays until the last answer."""
    last_s = session.spec.at_s + _judged(run, session) * (session.spec.interval_s or 0.0)
    return lifetimes.survives(run.scenario, session.spec.mn, session.spec.at_s, last_s)


def _survived(run: Recording, session: RecordedSession) -> bool:
    """Its last probe was sent and answered in time; of a TCP session, all up to that one: a stream has no gaps.

    In time, because TCP repeats itself for minutes: a node that comes back after a tour finds it still trying.
    """
    probes, last = {probe.seq: probe for probe in run.probes[session.spec.name]}, _judged(run, session)
    wanted = range(last + 1) if session.spec.transport == "tcp" else (last,)
    rtts = [probes[number].rtt_ms if number in probes else None for number in wanted]
    return all(rtt is not None and rtt <= _PATIENCE_MS for rtt in rtts)


def check(rows: list[Row], _more_ms: float = 0.0) -> list[str]:
    """Every share against its closed form, which must lie in the interval; all survive with the redirect."""
    found = []
    for row in rows:
        if not row["low"] <= row["expected"] <= row["high"]:
            found.append(
                f"{row['panel']}={row['x']:g}, redirect={row['redirect']}, {row['transport']}: {row['share']:.3f} "
                f"survive, {row['expected']:.3f} expected"
            )
        if row["redirect"] and row["share"] < 1:
            found.append(f"{row['panel']}={row['x']:g}, {row['transport']}: not all survive with the redirect")
    return found


def plot(rows: list[Row], about: About) -> Drawing:
    """Share of surviving sessions against their length (left) and the number of moves (right)."""
    figure, axes = style.figure(ncols=2, sharey=True)
    labels = {"length": "session length over residence time", "moves": "moves during the session"}
    for axis, panel in zip(axes, ("length", "moves"), strict=True):
        for redirect, look in style.REDIRECT.items():
            for transport, marker in (("udp", "o"), ("tcp", "^")):
                mine = [r for r in rows if (r["panel"], r["redirect"], r["transport"]) == (panel, redirect, transport)]
                points = [(_place(row), row["share"]) for row in mine]
                drawn = look._replace(marker=marker, label=f"{look.label}, {transport.upper()}")
                style.line(axis, drawn, points, [(row["low"], row["high"]) for row in mine])
        style.closed_form(axis, [(_place(row), row["expected"]) for row in rows if row["panel"] == panel])
        axis.set_xlabel(labels[panel])
    axes[0].set_xscale("log", base=2)
    axes[0].xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes[0].set_ylabel("share of sessions that survive")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    n = min(row["n"] for row in rows if row["panel"] == "length")
    udp, tcp, dies = (any(row[key] == value for row in rows)
                      for key, value in (("transport", "udp"), ("transport", "tcp"), ("redirect", False)))  # fmt: skip
    judged = ["A UDP session survives if its last probe is answered"] * udp
    judged += [f"{'a' if udp else 'A'} TCP session {'' if udp else 'survives '}if its whole stream is"] * tcp
    trying = ": TCP repeats itself for longer, and a node that comes round to its old router finds it still trying"
    caption = (
        "Sessions that live to their end while their mobile node goes from router to router, against their length "
        "in residence times (left) and against the moves that they see (right). "
        f"{', '.join(judged)},{' each' * (udp and tcp)} within {_PATIENCE_MS / 1e3:g} s{trying * (tcp and dies)}. "
        f"{about.designed('Sessions begin at random times;')}n = {n} {'at' if about.own else 'or more at'} each point "
        "on the left. Bars are 95 % confidence intervals (Wilson), rings the closed form: "
        f"{'without the redirect a session dies with the first move' if dies else 'with the redirect all survive'}. "
        f"{about}"
    )
    return Drawing(figure, caption)


def _place(row: Row) -> float:
    """TCP's points stand a little to the right of UDP's, which they would hide."""
    if row["transport"] == "udp":
        return float(row["x"])
    return float(row["x"] * 1.06 if row["panel"] == "length" else row["x"] + 0.1)


FIGURE = FigureKind(
    entry=ENTRIES["F7"],
    scenarios=scenarios,
    columns=("panel", "redirect", "transport", "x", "n", "share", "low", "high", "expected"),
    key=("panel", "redirect", "transport", "x"),
    subject="share",
    measure=measure,
    plot=plot,
    check=check,
    claim="with the redirect all survive; without, the closed form lies in the 95 % interval of each share",
)
