"""F6: how often a new session is sent to an old address, against how long a node stays where it is."""

from __future__ import annotations

from collections import Counter, defaultdict
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
    poisson,
    routers_like_first,
    seconds,
    session_entry,
    tour,
)
from dmmlab.experiments.methods import METHODS, combined, ddns, p2p
from dmmlab.experiments.records.recording import RecordedSession, Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import Scenario

_TTL_S = 20.0
_RESIDENCES_S = (5, 10, 20, 40, 80)
_WITHOUT_REDIRECT_S = (5, 20, 80)
_RING = 6  # more than the moves within a TTL: an old answer never becomes right again by chance
_GAP_S = {ddns.METHOD.name: 2.5, p2p.METHOD.name: 8.0, combined.METHOD.name: 8.0}  # mean time between two sessions
_DURATION_S = 600.0
_SEED = 6
_MOVE_S = 0.3  # around a move: no session begins there
_AGREE = 0.02  # share of sessions that may differ from the closed form, which leaves the milliseconds of a move open
FATES = ("direct", "redirect", "retried", "failed")


def scenarios(load: Load) -> list[Scenario]:
    """A node that stays longer and longer at each router; some of them without the redirect."""
    with_redirect = [_roaming(load, residence_s, True) for residence_s in _RESIDENCES_S]
    return with_redirect + [_roaming(load, residence_s, False) for residence_s in _WITHOUT_REDIRECT_S]


def _roaming(load: Load, residence_s: float, redirect: bool) -> Scenario:
    base, routers = load("two-mr", {}), numbered("MR", _RING)
    changes = routers_like_first(base, routers) | joined(base, zip(routers, [*routers[1:], routers[0]], strict=True))
    sessions: list[Item] = []
    for number, (method, gap_s) in enumerate(_GAP_S.items()):
        times = poisson(_SEED * 1000 + round(residence_s) * 10 + number, gap_s, 5, _DURATION_S - 15)
        # Not in the middle of a move: there is no address to be found then, fresh or stale.
        times_s = [at_s for at_s in times if _MOVE_S < at_s % residence_s < residence_s - _MOVE_S]
        sessions += [session_entry(f"{method[0]}{turn}", at_s, method=method) for turn, at_s in enumerate(times_s)]
    return build(
        load, f"f6-residence-{residence_s:g}s{'' if redirect else '-no-redirect'}", mobile_routers=routers,
        links=links(base, changes), ddns={"ttl": seconds(_TTL_S)}, redirect=redirect,
        movement=tour("MN1", routers, residence_s, _DURATION_S), sessions=sessions, duration=seconds(_DURATION_S),
        seed=_SEED,
    )  # fmt: skip


def warm_cache(ttl_s: float, residence_s: float, gap_s: float) -> float:
    """The share of stale answers of a cache that is asked at random every ``gap_s``, while the node moves every
    ``residence_s``.

    An answer of age a is stale if the node moved within a, which has the chance min(1, a / residence); ages are uniform
    up to the TTL, and the question that fetches an answer, one in 1 + TTL / gap, is never stale.
    """
    share = 1 - residence_s / (2 * ttl_s) if residence_s < ttl_s else ttl_s / (2 * residence_s)
    asked = ttl_s / gap_s
    return share * asked / (1 + asked)


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """One row a method and run: where its sessions went. A session that begins in a move's gap has no fresh address."""
    rows = []
    for run in recordings(runs):
        for method in _GAP_S:
            mine = [session for session in run.sessions if session.spec.method == method and session.row.serving]
            if len(mine) >= 10 and len(run.scenario.moves_of(mine[0].spec.mn)) > 2:
                rows.append(_row(run, method, mine))
    return sorted(rows, key=lambda row: (row["method"], not row["redirect"], row["residence_s"]))


def _row(run: Recording, method: str, mine: list[RecordedSession]) -> Row:
    moves = run.scenario.moves_of(mine[0].spec.mn)
    residence_s = (moves[-1].at - moves[1].at) / (len(moves) - 2)
    ttl_s = run.scenario.ddns.ttl
    stale = {session.spec.number: _first_anchor(run, session) != session.row.serving for session in mine}
    # Without the redirect a session on a stale address asks again, and what it learns is in the cache for others too:
    # the closed form, which follows the first question of each session, is that of the runs with the redirect.
    known = [
        (session, e) for session in mine if run.scenario.redirect and (e := run.oracle.answer(session.spec)) is not None
    ]
    groups: dict[int, list[float]] = defaultdict(list)
    for session in mine:  # answers from one copy in the cache are stale together
        groups[int(session.spec.at_s // max(ttl_s, residence_s))].append(float(stale[session.spec.number]))
    low, high = stats.bootstrap(list(groups.values()))
    fates = Counter(session.fate for session in mine)
    gap_s = (mine[-1].spec.at_s - mine[0].spec.at_s) / (len(mine) - 1)
    return {
        **{"method": method, "redirect": run.scenario.redirect, "residence_s": residence_s, "ttl_s": ttl_s},
        **{"ratio": residence_s / ttl_s, "n": len(mine), "stale": stats.mean([float(v) for v in stale.values()])},
        **{"low": low, "high": high},
        "expected": stats.mean([float(anchor != session.row.serving) for session, anchor in known]) if known else None,
        "disagree": sum(anchor != _first_anchor(run, session) for session, anchor in known),
        "warm_cache": warm_cache(ttl_s, residence_s, gap_s) if METHODS[method].cached else None,
        **{f"went_{fate}": fates[fate] for fate in FATES},
    }


def _first_anchor(run: Recording, session: RecordedSession) -> str:
    """Whose address the first lookup gave: that a retry found another does not make it fresh."""
    for event in run.lookups.get(session.spec.name, ()):
        if event["addresses"]:
            return run.anchors.get(event["addresses"][0], "")
    return session.row.anchor


def check(rows: list[Row], _more_ms: float = 0.0) -> list[str]:
    """Answers against the closed form, what became of sessions, and that longer stays mean fewer stale answers."""
    found = []
    for row in rows:
        point = f"{row['method']}, residence {row['residence_s']:g} s, redirect={row['redirect']}"
        if row["disagree"] > _AGREE * row["n"]:
            found.append(f"{point}: {row['disagree']} of {row['n']} answers are not those of the closed form")
        if not METHODS[row["method"]].cached and row["stale"] > _AGREE:
            found.append(f"{point}: {row['stale']:.3f} stale, though the server is told at once")
        if row["redirect"] and row["went_failed"] + row["went_retried"] > _AGREE * row["n"]:
            found.append(
                f"{point}: {row['went_failed']} failed and {row['went_retried']} retried, though there is a redirect"
            )
    cached = [row for row in rows if METHODS[row["method"]].cached and row["redirect"]]
    shares = [row["stale"] for row in sorted(cached, key=lambda row: row["ratio"])]
    if any(after > before + 0.05 for before, after in pairwise(shares)):
        found.append("the share of stale answers does not fall as the node stays longer")
    return found


def plot(rows: list[Row], about: About) -> Drawing:
    """Share of stale answers (left), what became of the sessions that cache (right)."""
    figure, (left, right) = style.figure(ncols=2, height_in=3.4)
    with_redirect = [row for row in rows if row["redirect"]]
    for method in _GAP_S:
        mine = [row for row in with_redirect if row["method"] == method]
        points = [(row["ratio"], row["stale"] * 100) for row in mine]
        style.line(left, style.METHODS[method], points, [(r["low"] * 100, r["high"] * 100) for r in mine])
    style.closed_form(left, [(r["ratio"], r["expected"] * 100) for r in with_redirect if r["expected"] is not None])
    curve = [(row["ratio"], row["warm_cache"] * 100) for row in with_redirect if row["warm_cache"] is not None]
    if curve:
        left.plot(
            *zip(*sorted(curve), strict=True), color="black", linewidth=0.8, linestyle=":", label="warm cache, formula"
        )
    left.set_xscale("log", base=2)
    left.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    left.set_xlabel("residence time over TTL")
    left.set_ylabel("sessions sent to an old address (%)")
    left.set_ylim(bottom=-2)
    left.legend(loc="upper right")
    _fates(right, [row for row in rows if METHODS[row["method"]].cached])
    asked = {name: [row["n"] for row in rows if METHODS[row["method"]].cached == kept]
             for name, kept in (("DDNS", True), ("registration", False))}  # fmt: skip
    ways = {"DDNS": "by DDNS through a caching resolver", "registration": "by registration"}
    counts = " and ".join(
        f"{' to '.join(map(str, sorted({min(n), max(n)})))} sessions by {name}" for name, n in asked.items() if n
    )
    ttls = " or ".join(f"{ttl_s:g} s" for ttl_s in sorted({row["ttl_s"] for row in rows}))
    redirects = {row["redirect"] for row in rows}
    pairs = "with the redirect (left bar) and without it (right bar)"
    only = f"with{'' if True in redirects else 'out'} the redirect"
    how = " and ".join(ways[name] for name, n in asked.items() if n)
    caption = (
        "Left: share of new sessions whose lookup gave an address that the mobile node had left, "
        f"{how}, against the time that the node stays at a router "
        f"over the records' TTL ({ttls}). Bars: 95 % confidence intervals (bootstrap over periods of the "
        "cache); rings: each session's closed form; dotted: the formula of a cache that is asked at random. "
        f"Right: what became of the DDNS sessions, at each ratio {pairs if len(redirects) > 1 else only}. "
        f"n = {counts} at each point. {about}"
    )
    return Drawing(figure, caption)


def _fates(axis: Any, rows: list[Row]) -> None:
    ratios = sorted({row["ratio"] for row in rows})
    for redirect, shift in ((True, -0.2), (False, 0.2)):
        bottoms = [0.0] * len(ratios)
        for fate in FATES:
            shares = []
            for ratio in ratios:
                row = next((r for r in rows if r["ratio"] == ratio and r["redirect"] == redirect), None)
                shares.append(100 * row[f"went_{fate}"] / row["n"] if row else 0.0)
            colour, hatch = style.PATHS[fate]
            axis.bar([place + shift for place in range(len(ratios))], shares, 0.36, bottom=bottoms, color=colour,
                     hatch=hatch, edgecolor="white", linewidth=0, label=fate if redirect else None)  # fmt: skip
            bottoms = [bottom + share for bottom, share in zip(bottoms, shares, strict=True)]
    axis.set_xticks(range(len(ratios)), [f"{ratio:g}" for ratio in ratios])
    axis.set_xlabel("residence time over TTL")
    axis.set_ylabel("DDNS sessions (%)")
    axis.set_ylim(0, 128)
    axis.set_yticks(range(0, 101, 20))
    axis.grid(axis="x", visible=False)
    axis.legend(ncols=2, loc="upper left")


FIGURE = FigureKind(
    entry=ENTRIES["F6"],
    scenarios=scenarios,
    columns=(
        *("method", "redirect", "residence_s", "ttl_s", "ratio", "n", "stale", "low", "high", "expected", "disagree"),
        *("warm_cache", *(f"went_{fate}" for fate in FATES)),
    ),
    key=("method", "redirect", "residence_s"),
    subject="stale",
    measure=measure,
    plot=plot,
    check=check,
    claim=f"at most {_AGREE:.0%} of answers differ from the closed form; registration is never staler than that; the "
    "share falls with residence; with the redirect no session fails",
)
