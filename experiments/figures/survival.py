"""F7: which sessions live through moves of their mobile node."""

from __future__ import annotations

import math
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
_LENGTHS_S = (5, 10, 15, 20, 40, 80)
_EACH = 30  # sessions of each length and transport
_SEED = 7
_PROBE_S = 1
_AFTER = 2  # probes that leave when a session's length is over: a move can hide one from it, not both
_ODDS = 1e-3  # below which a number is not believed to be chance
_PATIENCE_MS = 10_000.0
_TRANSPORTS = {"udp": "o", "tcp": "^"}


def scenarios(load: Load) -> list[Scenario]:
    """Sessions of several lengths through several numbers of moves, with the redirect and without."""
    return [_ring(load, f"f7-redirect-{'on' if redirect else 'off'}", redirect) for redirect in (True, False)]


def _ring(load: Load, name: str, redirect: bool) -> Scenario:
    """MN1 goes round a ring of routers; sessions begin at any instant alike, each on the address that is newest."""
    base, routers = load("two-mr", {}), numbered("MR", _RING)
    changes = routers_like_first(base, routers) | joined(base, pairwise([*routers, routers[0]]))
    movement = tour("MN1", routers, _RESIDENCE_S, _DURATION_S)
    sessions: list[Item] = []
    for kind, transport in enumerate(("udp", "tcp")):
        for turn, length_s in enumerate(_LENGTHS_S):
            times = uniform(_SEED * 100 + kind * 10 + turn, _EACH, 5, _DURATION_S - length_s - 10)
            for number, at_s in enumerate(times):
                anchor = routers[int(at_s // _RESIDENCE_S) % _RING]
                keys: dict[str, Any] = {"transport": transport, "anchor": anchor, "interval": seconds(_PROBE_S)}
                keys["duration"] = seconds(length_s + _AFTER * _PROBE_S)
                sessions.append(session_entry(f"{transport[0]}{length_s}n{number}", at_s, cn="CN1", **keys))
    return build(
        load, name, mobile_routers=routers, links=links(base, changes), movement=movement, sessions=sessions,
        redirect=redirect, duration=seconds(_DURATION_S), seed=_SEED,
    )  # fmt: skip


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """Sessions grouped by what is asked: their length over the residence time, and the moves within them."""
    groups: dict[tuple[str, bool, str, float], list[tuple[bool, bool]]] = defaultdict(list)
    for run in recordings(runs):
        for session in run.sessions:
            spec = session.spec
            if spec.method != fixed.METHOD.name or spec.count <= _AFTER or not session.from_host:
                continue
            if spec.mn not in run.scenario.mobile_nodes:
                continue
            length_s = (spec.count - _AFTER) * (spec.interval_s or 0.0)
            moves = [move for move in run.scenario.moves_of(spec.mn) if spec.at_s < move.at <= spec.at_s + length_s]
            outcome = (
                _survived(run, session),
                lifetimes.survives(run.scenario, spec.mn, spec.at_s, length_s, spec.cn),
            )
            relative = round(length_s / _residence_s(run, session), 3)
            groups["length", run.scenario.redirect, spec.transport, relative].append(outcome)
            groups["moves", run.scenario.redirect, spec.transport, float(len(moves))].append(outcome)
    if len({x for panel, *_, x in groups if panel == "length"}) < 2:
        return []
    rows = []
    for (panel, redirect, transport, x), outcomes in sorted(groups.items()):
        alive = sum(survived for survived, _ in outcomes)
        low, high = stats.share_interval(alive, len(outcomes))
        chance = 1.0 if redirect else lifetimes.chance_to_survive(x) if panel == "length" else float(x == 0)
        rows.append(
            {"panel": panel, "redirect": redirect, "transport": transport, "x": x, "n": len(outcomes),
             "share": alive / len(outcomes), "low": low, "high": high, "chance": chance,
             "expected": sum(may for _, may in outcomes) / len(outcomes),
             "disagree": sum(survived != may for survived, may in outcomes)}
        )  # fmt: skip
    return rows


def _residence_s(run: Recording, session: RecordedSession) -> float:
    moves = run.scenario.moves_of(session.spec.mn)
    return (moves[-1].at - moves[0].at) / (len(moves) - 1) if len(moves) > 1 else run.scenario.duration


def _survived(run: Recording, session: RecordedSession) -> bool:
    """A probe that left when its length was over was answered in time; of a TCP session, all up to that one: a stream
    has no gaps.

    In time, because TCP repeats itself for minutes: a node that comes back after a tour finds it still trying. And what
    was opened anew is another session.
    """
    if session.row.outcome == "retried":
        return False
    probes, count = {probe.seq: probe.rtt_ms for probe in run.probes[session.spec.name]}, session.spec.count
    in_time = [(rtt_ms := probes.get(number)) is not None and rtt_ms <= _PATIENCE_MS for number in range(count)]
    if session.spec.transport == "tcp":
        return all(in_time[: count - _AFTER + 1])
    return any(in_time[count - _AFTER :])


def check(rows: list[Row], _more_ms: float = 0.0) -> list[str]:
    """No session does other than its closed form; chances lie in the intervals; all survive with the redirect."""
    found = []
    for row in rows:
        point = f"{row['panel']}={row['x']:g}, redirect={row['redirect']}, {row['transport']}"
        if row["disagree"]:
            found.append(f"{point}: {row['disagree']} sessions did other than their closed form")
        if row["redirect"] and row["share"] < 1:
            found.append(f"{point}: not all survive with the redirect")
    for panel, redirect, x in dict.fromkeys((row["panel"], row["redirect"], row["x"]) for row in rows):
        mine = [row for row in rows if (row["panel"], row["redirect"], row["x"]) == (panel, redirect, x)]
        n, alive = sum(row["n"] for row in mine), round(sum(row["share"] * row["n"] for row in mine))
        if _odds(alive, n, mine[0]["chance"]) < _ODDS:
            found.append(f"{panel}={x:g}, redirect={redirect}: {alive} of {n} sessions survive, each with a chance of "
                         f"{mine[0]['chance']:.3f}")  # fmt: skip
    return found


def _odds(alive: int, n: int, chance: float) -> float:
    """How likely it is that so many of ``n`` survive, or more or fewer, whichever is rarer (binomial)."""
    each = [math.comb(n, k) * chance**k * (1 - chance) ** (n - k) for k in range(n + 1)]
    return min(sum(each[: alive + 1]), sum(each[alive:]))


def plot(rows: list[Row], about: About) -> Drawing:
    """Share of surviving sessions against their length (above) and the number of moves (below)."""
    figure, axes = style.column(2, 4.6)
    for axis, panel in zip(axes, ("length", "moves"), strict=True):
        for redirect, look in style.REDIRECT.items():
            for transport, marker in _TRANSPORTS.items():
                mine = [r for r in rows if (r["panel"], r["redirect"], r["transport"]) == (panel, redirect, transport)]
                points = [(_place(row), row["share"]) for row in mine]
                filled = {"markerfacecolor": look.colour if redirect else "white"}
                drawn = look._replace(marker=marker, dash="", label=f"{transport.upper()}, {look.label}")
                style.line(axis, drawn, points, [(row["low"], row["high"]) for row in mine], **filled)
        _chances(axis, panel, [row for row in rows if row["panel"] == panel])
    axes[0].set_xlabel("session length over residence time")
    axes[1].set_xlabel("moves during the session")
    axes[0].set_xscale("log", base=2)
    axes[0].xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    for axis in axes:
        axis.set_ylabel("share that survives")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    per = sorted({row["n"] for row in rows if row["panel"] == "length"})
    n = f"{per[0]}{f' to {per[-1]}' if len(per) > 1 else ''}"
    style.sample(figure, f"n = {n} at each point above; {about.seeding}")
    udp, tcp, dies = (any(row[key] == value for row in rows)
                      for key, value in (("transport", "udp"), ("transport", "tcp"), ("redirect", False)))  # fmt: skip
    judged = ["A UDP session survives if what it sends when its length is over is answered"] * udp
    judged += [f"{'a' if udp else 'A'} TCP session {'' if udp else 'survives '}if its whole stream is"] * tcp
    trying = ": TCP repeats itself for longer, and a node that comes round to its old router finds it still trying"
    lines = (
        "the closed form: a session of length l that begins at any instant of a residence T alike outlives it with 1 - "
        "l/T, and dies with the first move" if dies else "the closed form: with the redirect all survive"
    )  # fmt: skip
    caption = (
        "Sessions that live to their end while their mobile node goes from router to router, against their length "
        "in residence times (above) and against the moves that they see (below). "
        f"{', '.join(judged)},{' each' * (udp and tcp)} within {_PATIENCE_MS / 1e3:g} s{trying * (tcp and dies)}. "
        f"{about.designed('When sessions begin is random, and so is how many outlive their residence;')}n = {n} at "
        f"each point above. Bars are 95 % confidence intervals (Wilson), lines {lines}. {about}"
    )
    return Drawing(figure, caption)


def _chances(axis: Any, panel: str, rows: list[Row]) -> None:
    """The closed form: a curve against the length, steps against the moves."""
    for redirect, dash in ((True, "-"), (False, "--")):
        mine = sorted({(row["x"], row["chance"]) for row in rows if row["redirect"] == redirect})
        if not mine:
            continue
        if panel == "length" and not redirect:
            least, most = mine[0][0], mine[-1][0]
            curve = [least + (most - least) * (turn / 400) ** 2 for turn in range(401)]
            mine = [(x, lifetimes.chance_to_survive(x)) for x in curve]
        label = "closed form: 1" if redirect else "closed form: 1 - l/T" if panel == "length" else None
        axis.plot(*zip(*mine, strict=True), color="black", linestyle=dash, linewidth=0.8, zorder=1, label=label)


def _place(row: Row) -> float:
    """TCP's points stand a little to the right of UDP's, which they would hide."""
    if row["transport"] == "udp":
        return float(row["x"])
    return float(row["x"] * 1.1 if row["panel"] == "length" else row["x"] + 0.15)


FIGURE = FigureKind(
    entry=ENTRIES["F7"],
    scenarios=scenarios,
    columns=("panel", "redirect", "transport", "x", "n", "share", "low", "high", "chance", "expected", "disagree"),
    key=("panel", "redirect", "transport", "x"),
    subject="share",
    measure=measure,
    plot=plot,
    check=check,
    claim="every session lives or dies as its closed form says; with the redirect all survive; without, as "
    "many as a chance of 1 - l/T explains",
)
