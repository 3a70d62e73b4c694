"""F13: which of a mobile node's addresses to choose: what each policy costs, over the geometry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import EXACT_MS, About, Drawing, FigureKind, Load, Row
from dmmlab.experiments.figures.sweep import (
    Item,
    build,
    link_delays,
    links,
    nodes_like_first,
    numbered,
    routers_like_first,
    session_entry,
)
from dmmlab.experiments.methods import ddns, fixed, p2p
from dmmlab.experiments.oracle import delays
from dmmlab.experiments.policies import latest, lowest_rtt, race
from dmmlab.experiments.records.recording import RecordedSession, Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import CORE, Scenario

_BACKHAULS_MS = (2, 5, 8, 12, 16, 24, 40)  # of the new router
_BETWEEN_MS = (2, 8, 32)  # first to new router
_EACH = 30
_SEED = 13
LATEST, ANCHOR, CACHED, LOWEST, RACE = POLICIES = ("latest", "anchor", "cached", "lowest RTT", "race")
_SELECTS = {LATEST: latest.POLICY.name, LOWEST: lowest_rtt.POLICY.name, RACE: race.POLICY.name}  # those that ask


def scenarios(load: Load) -> list[Scenario]:
    """One geometry for each distance between the first router and the new one."""
    return [_geometry(load, between_ms) for between_ms in _BETWEEN_MS]


def _geometry(load: Load, between_ms: float) -> Scenario:
    """One mobile node for each new router's distance from the core: it goes from MR1 by MR2 to that router.

    The correspondent asks for it once while it is at MR2, and keeps the answer for ever; at the last router it opens
    sessions by each policy: on its first address, on what it remembers, and by asking the server for all of them.
    """
    base = load("two-mr", {})
    routers, nodes = numbered("MR", len(_BACKHAULS_MS) + 2), numbered("MN", len(_BACKHAULS_MS))
    changes = routers_like_first(base, routers[1:2]) | nodes_like_first(base, nodes)
    changes |= link_delays({(router, CORE): d for router, d in zip(routers[2:], _BACKHAULS_MS, strict=True)})
    changes |= link_delays({("MR2", router): between_ms / 2 for router in (routers[0], *routers[2:])})
    movement: list[Item] = []
    sessions: list[Item] = []
    for place, (node, router) in enumerate(zip(nodes, routers[2:], strict=True)):
        for at, to in (("0s", "MR1"), ("5s", "MR2"), ("12s", router)):
            movement.append({"at": at, "node": node, "to": to})
        many: dict[str, Any] = {"repeat": _EACH, "every": "2s"}
        at_s = 15 + 0.1 * place
        remembered = session_entry(f"F{place}", 8 + 0.1 * place, node, method=ddns.METHOD.name)
        sessions.append(remembered)
        sessions.append(session_entry(f"C{place}", at_s, node, method=ddns.METHOD.name, **many))
        sessions.append(session_entry(f"A{place}", at_s + 0.4, node, anchor="MR1", **many))
        for name, select in (("P", _SELECTS[LATEST]), ("R", _SELECTS[RACE]), ("Q", _SELECTS[LOWEST])):
            sessions.append(
                session_entry(f"{name}{place}", at_s + 0.8, node, method=p2p.METHOD.name, select=select, **many)
            )
    return build(
        load, f"f13-between-{between_ms:g}ms", mobile_routers=routers, links=links(base, changes), movement=movement,
        ddns={"ttl": "5s", "cn_cache": "forever"}, sessions=sessions, duration=f"{20 + 2 * _EACH:g}s", seed=_SEED,
    )  # fmt: skip


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """Each policy for each node that moved twice: its set-up delay, and the round trip of the session it then has."""
    rows: list[Row] = []
    for run in recordings(runs):
        by_node: dict[str, list[RecordedSession]] = defaultdict(list)
        for session in run.sessions:
            moves = run.scenario.moves_of(session.spec.mn)
            if (
                len({move.to for move in moves}) == 3
                and session.spec.at_s > moves[-1].at + 1
                and session.row.outcome == "ok"
            ):
                by_node[session.spec.mn].append(session)
        for node, found in by_node.items():
            rows += _policies(run, node, found)
    return sorted(rows, key=lambda row: (row["between_ms"], row["backhaul_ms"], POLICIES.index(row["policy"])))


def _policies(run: Recording, node: str, found: list[RecordedSession]) -> list[Row]:
    routers = [move.to for move in run.scenario.moves_of(node)][-3:]
    by_policy = {
        ANCHOR: [
            session
            for session in found
            if session.spec.method == fixed.METHOD.name and session.row.anchor == routers[0]
        ],
        CACHED: [session for session in found if session.spec.method == ddns.METHOD.name and _remembered(run, session)],
    }
    for policy, select in _SELECTS.items():
        by_policy[policy] = [
            session for session in found if session.spec.method == p2p.METHOD.name and session.spec.select == select
        ]
    if not all(by_policy.values()):
        return []
    return [_row(run, node, routers, policy, by_policy[policy]) for policy in POLICIES]


def _remembered(run: Recording, session: RecordedSession) -> bool:
    """Whether the correspondent had the answer itself."""
    return any(event["cached"] for event in run.lookups.get(session.spec.name, ())[:1])


def _row(run: Recording, node: str, routers: Sequence[str], policy: str, found: list[RecordedSession]) -> Row:
    summary = stats.summary([session.row.setup_ms or 0.0 for session in found])
    rtt_ms = stats.median([session.row.connect_ms or 0.0 for session in found])  # one request and its answer over UDP
    cn, new = run.scenario.sessions[0].from_, routers[-1]
    ways = [2e3 * (delays.host_to_mn_s(run.scenario, cn, node, anchor, new) or 0.0) for anchor in routers]
    lookup = 2e3 * delays.hosts_s(run.scenario, cn, "SERVER")
    due = {
        LATEST: (lookup + ways[2], ways[2]),
        ANCHOR: (ways[0], ways[0]),
        CACHED: (ways[1], ways[1]),
        RACE: (lookup + min(ways), min(ways)),
        LOWEST: (lookup + max(ways) + min(ways), min(ways)),
    }
    return {
        "between_ms": (delays.inter_mr_s(run.scenario, routers[0], new) or 0.0) * 1e3,
        "backhaul_ms": delays.to_core_s(run.scenario, new) * 1e3,
        "old_backhaul_ms": delays.to_core_s(run.scenario, routers[0]) * 1e3,
        **{"policy": policy, "n": summary.n, "setup_ms": summary.median, "low_ms": summary.low},
        **{"high_ms": summary.high, "p95_ms": summary.p95, "rtt_ms": rtt_ms},
        **{"expected_setup_ms": due[policy][0], "expected_rtt_ms": due[policy][1]},
    }


def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """Every policy at every point against its closed form; and whether the geometry asks the question at all."""
    found, allowed = [], EXACT_MS + more_ms
    for row in rows:
        point = f"{row['policy']}, backhaul {row['backhaul_ms']:g} ms, between {row['between_ms']:g} ms"
        for column, low, high in (("setup", "low_ms", "high_ms"), ("rtt", "rtt_ms", "rtt_ms")):
            off = (row[low] - row[f"expected_{column}_ms"], row[high] - row[f"expected_{column}_ms"])
            if off[0] < -allowed or off[1] > allowed:
                found.append(f"{point}: {column} off the closed form by {off[0]:+.3f} to {off[1]:+.3f} ms")
    winners = {_winner(rows, *point) for point in {(row["between_ms"], row["backhaul_ms"]) for row in rows}}
    if not {LATEST, CACHED} <= winners:
        found.append("one address is the best everywhere: the geometry does not ask the question")
    return found


def _winner(rows: list[Row], between_ms: float, backhaul_ms: float) -> str:
    """By which policy of one address the round trip is lowest there; `equal` if the latest is as good as that."""
    here = (row for row in rows if (row["between_ms"], row["backhaul_ms"]) == (between_ms, backhaul_ms))
    rtts = {row["policy"]: row["rtt_ms"] for row in here}
    if abs(rtts[LATEST] - min(rtts[ANCHOR], rtts[CACHED])) < EXACT_MS:
        return "equal"
    return min((LATEST, CACHED, ANCHOR), key=lambda policy: float(rtts[policy]))


def plot(rows: list[Row], about: About) -> Drawing:
    """Round trip and set-up delay at the middle distance, and the best address over the whole geometry."""
    betweens = sorted({row["between_ms"] for row in rows})
    middle = betweens[len(betweens) // 2]
    figure, (left, centre, right) = style.figure(ncols=3, height_in=3.4)
    for axis, column, title in (
        (left, "rtt_ms", "round trip of the session (ms)"),
        (centre, "setup_ms", "set-up delay (ms)"),
    ):
        for policy in POLICIES:
            mine = [row for row in rows if row["between_ms"] == middle and row["policy"] == policy]
            if column == "rtt_ms" and policy == RACE:
                continue  # the same session as by the lowest RTT: what differs is how long it took to set up
            style.line(axis, style.POLICIES[policy], [(row["backhaul_ms"], row[column]) for row in mine])
        form = [(row["backhaul_ms"], row[f"expected_{column}"]) for row in rows if row["between_ms"] == middle]
        style.closed_form(axis, form, None if column == "rtt_ms" else "closed form")
        axis.set_xlabel("new router to core (ms)")
        axis.set_ylabel(title)
    top = max(row["setup_ms"] for row in rows if row["between_ms"] == middle)
    centre.set_ylim(0, 1.75 * top)
    centre.legend(loc="upper left", fontsize=6.5)
    left.set_ylim(bottom=0)
    for axis in (left, centre):
        axis.set_xlim(0, 1.08 * max(row["backhaul_ms"] for row in rows))
    _regions(right, rows)
    return Drawing(figure, _caption(rows, middle, about))


def _caption(rows: list[Row], middle: float, about: About) -> str:
    points = {(row["between_ms"], row["backhaul_ms"]) for row in rows}
    winners = [_winner(rows, *point) for point in points]
    least, old = min(row["n"] for row in rows), rows[0]["old_backhaul_ms"]
    return (
        f"Which address to choose. The mobile node has moved twice: from its first router to another, both {old:g} "
        "ms from the core, where the correspondent learned its address, and on to a router at the distance on the "
        f"axis, {middle:g} ms from the first (left, centre){', half of it from the second' * about.own}. "
        "Left: round trip of the session that each "
        "policy ends up with. Centre: its set-up delay; `latest`, `lowest RTT` and `race` ask "
        "the registration server first, `anchor` and `cached` know an address and ask nobody. A race takes "
        "whichever address answers first, `lowest RTT` waits for all answers and then opens. "
        "Right: the address with the lowest round trip; on the line the new "
        "router is as far from the core as the second router and the way from there together. The latest address "
        f"wins at {winners.count(LATEST)} points, an older one at "
        f"{len(winners) - winners.count(LATEST) - winners.count('equal')}. Medians of n = {least} sessions, "
        f"rings the closed form. {about}"
    )


def _regions(axis: Any, rows: list[Row]) -> None:
    points = sorted({(row["between_ms"], row["backhaul_ms"]) for row in rows})
    labels = {LATEST: "latest address", CACHED: "the one before", ANCHOR: "first address", "equal": "the same"}
    for winner, label in labels.items():
        mine = [(backhaul, between) for between, backhaul in points if _winner(rows, between, backhaul) == winner]
        look = style.POLICIES.get(winner, style.SERIES[-1])
        if mine:
            style.line(axis, look._replace(dash="", label=label), mine, markersize=6)
    least, most = points[0][0] / 1.5, points[-1][0] * 1.5
    between = [least * (most / least) ** (step / 50) for step in range(51)]
    axis.plot([rows[0]["old_backhaul_ms"] + value / 2 for value in between], between, color="black", linewidth=0.8,
              linestyle=":")  # fmt: skip
    axis.set_yscale("log", base=2)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_ylim(least, most * 4)
    axis.set_xlim(0, 1.08 * max(backhaul for _, backhaul in points))
    axis.set_xlabel("new router to core (ms)")
    axis.set_ylabel("first router to new router (ms)")
    axis.legend(loc="upper left")


FIGURE = FigureKind(
    entry=ENTRIES["F13"],
    scenarios=scenarios,
    columns=(
        *("between_ms", "backhaul_ms", "old_backhaul_ms", "policy", "n", "setup_ms", "low_ms", "high_ms", "p95_ms"),
        *("rtt_ms", "expected_setup_ms", "expected_rtt_ms"),
    ),
    key=("between_ms", "backhaul_ms", "policy"),
    subject="setup_ms",
    measure=measure,
    plot=plot,
    check=check,
    claim=f"every policy is within {EXACT_MS} ms of the closed form; no address is the best everywhere",
)
