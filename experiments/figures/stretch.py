"""F5: how much longer the way through the anchor is, against the distance of the routers and the number of moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import REAL_MS, About, Drawing, FigureKind, Load, Row, band, intervals
from dmmlab.experiments.figures.sweep import (
    build,
    joined,
    link_delays,
    links,
    nodes_like_first,
    numbered,
    routers_like_first,
    session_entry,
    tour,
)
from dmmlab.experiments.methods import fixed
from dmmlab.experiments.oracle import delays
from dmmlab.experiments.records.recording import RecordedSession, Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import Scenario

_DISTANCES_MS = (1, 2, 4, 8, 16, 32, 64)
_CORRESPONDENTS_MS = {"CN1": 2.0, "CN2": 10.0, "CN3": 50.0}
_CHAIN = 8
_PROBES = {"interval": "250ms", "duration": "10s"}  # 40 a point
_BAND = 2e-6  # of stretch, which is a ratio, written with six decimals


def scenarios(load: Load) -> list[Scenario]:
    """Inter-MR links of several lengths; and chains of routers that are left one after the other. Redirects go by
    whatever is shortest, the core included: no detour is longer than that by the two routers' own links to it.
    """
    return [_distances(load), _moves(load)]


def _distances(load: Load) -> Scenario:
    """One mobile node for each distance: it moves from MR1 to a router that is so far from MR1."""
    base = load("two-mr", {})
    routers = numbered("MR", len(_DISTANCES_MS) + 1)
    nodes = numbered("MN", len(_DISTANCES_MS))
    changes = routers_like_first(base, routers) | nodes_like_first(base, nodes)
    changes |= link_delays({("MR1", router): d for router, d in zip(routers[1:], _DISTANCES_MS, strict=True)})
    changes |= link_delays({(cn, "CORE"): d for cn, d in _CORRESPONDENTS_MS.items()})
    movement: list[dict[str, Any]] = []
    sessions = []
    for node, router in zip(nodes, routers[1:], strict=True):
        movement += [{"at": "0s", "node": node, "to": "MR1"}, {"at": "5s", "node": node, "to": router}]
        for cn in _CORRESPONDENTS_MS:
            for anchor in ("MR1", router):
                name = f"{node}C{cn[2:]}{anchor[1:]}"
                sessions.append(session_entry(name, 7, node, cn, anchor=anchor, **_PROBES))
    return build(
        load, "f5-distance", mobile_routers=routers, links=links(base, changes), movement=movement,
        sessions=sessions, transit="shortest", duration="20s",
    )  # fmt: skip


def _moves(load: Load) -> Scenario:
    """MN1 goes down a chain of routers, MN2 to and fro between the first two."""
    base, routers = load("two-mr", {}), numbered("MR", _CHAIN)
    changes = routers_like_first(base, routers) | joined(base, pairwise(routers))
    changes |= nodes_like_first(base, ("MN1", "MN2"))
    until_s = 15.0 * _CHAIN
    movement = [*tour("MN1", routers, 15, until_s), *tour("MN2", routers[:2], 15, until_s)]
    sessions = []
    for turn in range(_CHAIN):
        for node, serving in (("MN1", routers[turn]), ("MN2", routers[turn % 2])):
            for anchor in dict.fromkeys(("MR1", serving)):
                name = f"{node}t{turn}{anchor[1:]}"
                sessions.append(session_entry(name, 15 * turn + 2, node, "CN1", anchor=anchor, **_PROBES))
    return build(
        load, "f5-moves", mobile_routers=routers, links=links(base, changes), movement=movement,
        sessions=sessions, transit="shortest", duration=f"{until_s:g}s",
    )  # fmt: skip


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """Each session on its node's first address over the session on the new address that ran beside it."""
    rows: list[Row] = []
    for run in recordings(runs):
        found = [
            session
            for session in run.sessions
            if session.spec.method == fixed.METHOD.name
            and session.worked
            and session.row.serving
            and session.from_host
            and run.rtts_ms(session.spec.name)
        ]
        for session in found:
            direct = [other for other in found if _beside(session, other) and other.row.anchor == other.row.serving]
            if direct and session.row.anchor == run.scenario.moves_of(session.spec.mn)[0].to:
                rows.append(_row(run, session, direct[0]))
    return sorted((row for row in rows if row["x"] is not None), key=lambda r: (r["panel"], r["series"], r["x"]))


def _beside(session: RecordedSession, other: RecordedSession) -> bool:
    return all(getattr(session.row, key) == getattr(other.row, key) for key in ("mn", "cn", "start_s", "serving"))


def _row(run: Recording, session: RecordedSession, direct: RecordedSession) -> Row:
    mine, other = run.rtts_ms(session.spec.name), run.rtts_ms(direct.spec.name)
    base = stats.median(other)
    summary = stats.summary([value / base for value in mine])
    cn, mn, anchor, serving = session.spec.cn, session.spec.mn, session.row.anchor, session.row.serving
    moves = sum(move.at <= session.spec.at_s for move in run.scenario.moves_of(mn)) - 1
    several = len(run.scenario.moves_of(mn)) > 2
    distance_s = delays.inter_mr_s(run.scenario, anchor, serving)
    taken_s = delays.redirect_s(run.scenario, anchor, serving)
    ways = [delays.host_to_mn_s(run.scenario, cn, mn, at, serving) for at in (anchor, serving)]
    tour_of = {move.to for move in run.scenario.moves_of(mn)}
    x: float | None = moves if several else None if distance_s is None else distance_s * 1e3
    if not several and anchor == serving:
        x = None
    return {
        "panel": "moves" if several else "distance",
        "series": ("chain" if len(tour_of) > 2 else "to and fro") if several else cn,
        "x": x,
        "detour_ms": None if taken_s is None else taken_s * 1e3,
        "cn_core_ms": delays.to_core_s(run.scenario, cn) * 1e3,
        "n": summary.n,
        "stretch": summary.median,
        "low": summary.low,
        "high": summary.high,
        "p95": summary.p95,
        "expected": ways[0] / ways[1] if ways[0] and ways[1] else None,
        "rtt_ms": stats.median(mine),
    }


def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """Every stretch's interval against the closed form."""
    found = []
    for row in rows:
        found += band([row], "low", "high", "expected", _BAND + _later(row, more_ms), "panel series x")
    return found


def _later(row: Mapping[str, Any], more_ms: float) -> float:
    """By how much the stretch changes at most if either way takes up to ``more_ms`` longer."""
    direct_ms = row["rtt_ms"] / row["stretch"]
    return float(more_ms * max(1.0, row["stretch"]) / direct_ms)


def plot(rows: list[Row], about: About) -> Drawing:
    """Stretch against the distance of the routers (above) and the number of moves (below)."""
    panels = [name for name in ("distance", "moves") if any(row["panel"] == name for row in rows)]
    figure, axes = style.column(len(panels), 0.6 + 2.1 * len(panels), squeeze=False)
    drawn = [axis for (axis,) in axes]
    varies = False
    for axis, panel in zip(drawn, panels, strict=True):
        names = dict.fromkeys(row["series"] for row in rows if row["panel"] == panel)
        for look, name in zip(style.SERIES, names, strict=False):
            mine = [row for row in rows if (row["panel"], row["series"]) == (panel, name)]
            label = f"CN {mine[0]['cn_core_ms']:g} ms from the core" if panel == "distance" else name
            points, bars = [(row["x"], row["stretch"]) for row in mine], intervals(mine, "low", "high", _BAND)
            style.line(axis, look._replace(label=label), points, bars)
            varies = varies or bool(bars)
        every = [(row["x"], row["expected"]) for row in rows if row["panel"] == panel and row["expected"]]
        style.closed_form(axis, every)
        axis.set_ylabel("path stretch")
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        if panel == "distance":
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    titles = {"distance": "link between the two routers (ms, one way)", "moves": "moves since the session began"}
    for axis, panel in zip(drawn, panels, strict=True):
        axis.set_xlabel(titles[panel])
    n = min(row["n"] for row in rows)
    style.sample(figure, f"n = {n} probes a point; {about.seeding}")
    spread = f"medians of n = {n} probes with 95 % confidence intervals (the machine varies)"
    caption = (
        "Path stretch of a session that keeps the address of its first mobile router: its round trip over that of "
        f"a session on the newest address at the same time. {_panels(rows, panels)} A redirect goes by the routers' "
        "links or through the core, by a tunnel, whichever is shorter: where the core is, the stretch grows no more. "
        f"Points are {spread if varies else f'round trips, the same of all n = {n} probes'}, rings the closed form. "
        f"{about}"
    )
    return Drawing(figure, caption)


def _panels(rows: list[Row], panels: Sequence[str]) -> str:
    """What each panel that is drawn is about."""
    series = {panel: {row["series"] for row in rows if row["panel"] == panel} for panel in panels}
    tours = " and ".join(_TOURS[name] for name in sorted(series.get("moves", ())))
    words = {
        "distance": f"after one move, against the link between the old and the new router, for "
        f"{_NUMBERS.get(len(series.get('distance', ())), 'several')}; the nearer the correspondent, the more the "
        "detour weighs.",
        "moves": f"against the number of moves, {tours}.",
    }
    sides = ("Above: ", "Below: ") if len(panels) > 1 else ("It is drawn ",)
    return " ".join(f"{side}{words[panel]}" for side, panel in zip(sides, panels, strict=True))


_NUMBERS = {1: "one correspondent", 2: "two correspondents", 3: "three correspondents"}
_TOURS = {"chain": "down a chain of routers", "to and fro": "to and fro between two"}


FIGURE = FigureKind(
    entry=ENTRIES["F5"],
    scenarios=scenarios,
    columns=(
        "panel",
        "series",
        "x",
        "detour_ms",
        "cn_core_ms",
        "n",
        "stretch",
        "low",
        "high",
        "p95",
        "expected",
        "rtt_ms",
    ),
    key=("panel", "series", "x"),
    subject="stretch",
    measure=measure,
    plot=plot,
    check=check,
    claim="the 95 % interval of every stretch lies within 0.000002 of the closed form",
    real=lambda row: _later(row, REAL_MS),
)
