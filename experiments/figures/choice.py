"""F13: which of a mobile node's addresses to choose: what each policy costs, over the geometry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from dmmlab.experiments import oracle, stats, style
from dmmlab.experiments.figures.base import About, Drawing, FigureKind, Load, Row
from dmmlab.experiments.figures.sweep import Item, build, delays, links, nodes_like_first, numbered, session
from dmmlab.experiments.rundir import RunDirectory
from dmmlab.experiments.scenario import CORE, Scenario
from dmmlab.experiments.seen import Seen, SeenSession, seen

_BACKHAULS_MS = (2, 5, 8, 12, 16, 24, 40)  # of the new router
_BETWEEN_MS = (1, 4, 16)  # old to new router
_EACH = 30
_BAND_MS = 0.2
_SEED = 13
POLICIES = ("latest", "anchor", "cached", "lowest RTT", "race")


def scenarios(load: Load) -> list[Scenario]:
    return [_geometry(load, between_ms) for between_ms in _BETWEEN_MS]


def _geometry(load: Load, between_ms: float) -> Scenario:
    """One mobile node for each new router's distance from the core: it begins at MR1 and moves to that router.

    The correspondent asks for it once before the move, and keeps the answer for ever; after the move it opens
    sessions on the old address and on the new one, by what it remembers, and by asking again.
    """
    base = load("two-mr", {})
    routers, nodes = numbered("MR", len(_BACKHAULS_MS) + 1), numbered("MN", len(_BACKHAULS_MS))
    changes: dict[tuple[str, str], dict[str, str]] = dict(nodes_like_first(base, nodes))
    changes |= delays({(router, CORE): d for router, d in zip(routers[1:], _BACKHAULS_MS, strict=True)})
    changes |= delays({("MR1", router): between_ms for router in routers[1:]})
    movement: list[Item] = []
    sessions: list[Item] = []
    for place, (node, router) in enumerate(zip(nodes, routers[1:], strict=True)):
        movement += [{"at": "0s", "node": node, "to": "MR1"}, {"at": "10s", "node": node, "to": router}]
        many: dict[str, Any] = {"repeat": _EACH, "every": "2s"}
        at_s = 15 + 0.1 * place
        sessions.append(session(f"F{place}", 3 + 0.1 * place, node, method="ddns"))  # what will be remembered
        sessions.append(session(f"C{place}", at_s, node, method="ddns", **many))
        sessions.append(session(f"A{place}", at_s + 0.8, node, anchor="MR1", **many))
        sessions.append(session(f"L{place}", at_s + 0.8, node, anchor=router, **many))
        sessions.append(session(f"P{place}", at_s + 1.4, node, method="p2p", **many))
    return build(
        load, f"f13-between-{between_ms:g}ms", mobile_routers=routers, links=links(base, changes), movement=movement,
        ddns={"ttl": "5s", "cn_cache": "forever"}, sessions=sessions, duration=f"{20 + 2 * _EACH:g}s", seed=_SEED,
    )  # fmt: skip


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """Each policy for each node that moved: its set-up delay, and the round trip of the session that it then has."""
    rows: list[Row] = []
    for run in seen(runs):
        by_node: dict[str, list[SeenSession]] = defaultdict(list)
        for one in run.sessions:
            moves = run.scenario.moves_of(one.row["mn"])
            if len(moves) == 2 and one.one.at_s > moves[1].at + 1 and one.row["outcome"] == "ok":
                by_node[one.row["mn"]].append(one)
        for node, found in by_node.items():
            rows += _policies(run, node, found)
    return sorted(rows, key=lambda row: (row["between_ms"], row["backhaul_ms"], POLICIES.index(row["policy"])))


def _policies(run: Seen, node: str, found: list[SeenSession]) -> list[Row]:
    old, new = (move.to for move in run.scenario.moves_of(node))
    kinds = {
        "anchor": [one for one in found if one.one.method == "fixed" and one.row["anchor"] == old],
        "latest": [one for one in found if one.one.method == "fixed" and one.row["anchor"] == new],
        "cached": [one for one in found if one.one.method == "ddns" and _remembered(run, one)],
        "asked": [one for one in found if one.one.method == "p2p"],
    }
    if not all(kinds[kind] for kind in ("anchor", "latest", "asked")):
        return []
    connects = {kind: [one.ms("connect_ms") or 0.0 for one in kinds[kind]] for kind in kinds}
    lookups = [one.ms("lookup_ms") or 0.0 for one in kinds["asked"]]
    pairs = list(zip(lookups, connects["anchor"], connects["latest"], strict=False))
    setups = {
        "latest": [one.ms("setup_ms") or 0.0 for one in kinds["asked"]],
        "anchor": connects["anchor"],
        "cached": [one.ms("setup_ms") or 0.0 for one in kinds["cached"]],
        # Both addresses are tried at once; a race takes the first answer, a careful choice waits for both.
        "race": [lookup + min(one, two) for lookup, one, two in pairs],
        "lowest RTT": [lookup + max(one, two) + min(one, two) for lookup, one, two in pairs],
    }
    ways = {kind: stats.median(values) for kind, values in connects.items() if values}
    rtts = {"latest": ways["latest"], "anchor": ways["anchor"], "cached": ways.get("cached")}
    rtts["race"] = rtts["lowest RTT"] = min(ways["anchor"], ways["latest"])
    return [_row(run, node, old, new, policy, setups[policy], rtts[policy]) for policy in POLICIES if setups[policy]]


def _remembered(run: Seen, one: SeenSession) -> bool:
    """Whether the correspondent had the answer itself."""
    return any(event["cached"] for event in run.lookups.get(one.one.name, ())[:1])


def _row(run: Seen, node: str, old: str, new: str, policy: str, setups: list[float], rtt_ms: float | None) -> Row:
    summary, cn = stats.summary(setups), run.scenario.sessions[0].from_
    ways = [2e3 * (oracle.host_to_mn_s(run.scenario, cn, node, anchor, new) or 0.0) for anchor in (old, new)]
    lookup = 2e3 * oracle.hosts_s(run.scenario, cn, "SERVER")
    due = {
        "latest": (lookup + ways[1], ways[1]),
        "anchor": (ways[0], ways[0]),
        "cached": (ways[0], ways[0]),
        "race": (lookup + min(ways), min(ways)),
        "lowest RTT": (lookup + max(ways) + min(ways), min(ways)),
    }
    return {
        "between_ms": (oracle.inter_mr_s(run.scenario, old, new) or 0.0) * 1e3,
        "backhaul_ms": oracle.to_core_s(run.scenario, new) * 1e3,
        "old_backhaul_ms": oracle.to_core_s(run.scenario, old) * 1e3,
        **{"policy": policy, "n": summary.n, "setup_ms": summary.median, "low_ms": summary.low},
        **{"high_ms": summary.high, "p95_ms": summary.p95, "rtt_ms": rtt_ms},
        **{"expected_setup_ms": due[policy][0], "expected_rtt_ms": due[policy][1]},
    }


def check(rows: list[Row]) -> list[str]:
    found = []
    for row in rows:
        point = f"{row['policy']}, backhaul {row['backhaul_ms']:g} ms, between {row['between_ms']:g} ms"
        for column, low, high in (("setup", "low_ms", "high_ms"), ("rtt", "rtt_ms", "rtt_ms")):
            off = (row[low] - row[f"expected_{column}_ms"], row[high] - row[f"expected_{column}_ms"])
            if off[0] < -_BAND_MS or off[1] > _BAND_MS:
                found.append(f"{point}: {column} off the closed form by {off[0]:+.3f} to {off[1]:+.3f} ms")
    winners = {_winner(rows, *point) for point in {(row["between_ms"], row["backhaul_ms"]) for row in rows}}
    if not {"latest", "anchor"} <= winners:
        found.append("one address is the best everywhere: the geometry does not ask the question")
    return found


def _winner(rows: list[Row], between_ms: float, backhaul_ms: float) -> str:
    """Which of the two addresses has the lower round trip there; `equal` if neither has."""
    rtts = {
        row["policy"]: row["rtt_ms"]
        for row in rows
        if (row["between_ms"], row["backhaul_ms"]) == (between_ms, backhaul_ms)
    }
    if abs(rtts["latest"] - rtts["anchor"]) < _BAND_MS:
        return "equal"
    return "latest" if rtts["latest"] < rtts["anchor"] else "anchor"


def plot(rows: list[Row], about: About) -> Drawing:
    betweens = sorted({row["between_ms"] for row in rows})
    middle = betweens[len(betweens) // 2]
    figure, (left, centre, right) = style.figure(ncols=3, height_in=3.4)
    for axis, column, title in (
        (left, "rtt_ms", "round trip of the session (ms)"),
        (centre, "setup_ms", "set-up delay (ms)"),
    ):
        for policy in POLICIES:
            mine = [row for row in rows if row["between_ms"] == middle and row["policy"] == policy]
            if column == "rtt_ms" and policy == "race":
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
    _regions(right, rows)
    points = {(row["between_ms"], row["backhaul_ms"]) for row in rows}
    winners = [_winner(rows, *point) for point in points]
    least = min(row["n"] for row in rows)
    caption = (
        f"Which address to choose. The mobile node has moved from a router {rows[0]['old_backhaul_ms']:g} ms from "
        f"the core to one at the distance on the axis; the routers are {middle:g} ms apart (left, centre). Left: "
        "round trip of the session that each policy ends up with. Centre: its set-up delay; `latest`, `lowest "
        "RTT` and `race` ask the registration server first, `anchor` and `cached` know an address and ask nobody. "
        "A race takes whichever address answers first, `lowest RTT` waits for both answers and then opens; both "
        "are put together from the measured parts. Right: the address with the lower round trip; the line is "
        "where the new router is as far from the core as the old one and the way between them together. The "
        f"latest address wins at {winners.count('latest')} points, the first at {winners.count('anchor')}. Medians "
        f"of n = {least} sessions. {about}"
    )
    return Drawing(figure, caption)


def _regions(axis: Any, rows: list[Row]) -> None:
    points = sorted({(row["between_ms"], row["backhaul_ms"]) for row in rows})
    for winner, label in (("latest", "latest address"), ("anchor", "first address"), ("equal", "the same")):
        mine = [(backhaul, between) for between, backhaul in points if _winner(rows, between, backhaul) == winner]
        look = style.POLICIES[winner] if winner in style.POLICIES else style.SERIES[-1]
        style.line(axis, look._replace(dash="", label=label), mine, markersize=6)
    old = rows[0]["old_backhaul_ms"]
    span = [min(between for between, _ in points), max(between for between, _ in points)]
    axis.plot([old + value for value in span], span, color="black", linewidth=0.8, linestyle=":")
    axis.set_yscale("log", base=2)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_ylim(span[0] / 1.5, span[1] * 6)
    axis.set_xlabel("new router to core (ms)")
    axis.set_ylabel("old router to new router (ms)")
    axis.legend(loc="upper left")


FIGURE = FigureKind(
    id="F13",
    name="choice",
    shows="which address to choose: delay per selection policy over the geometry",
    scenarios=scenarios,
    columns=(
        *("between_ms", "backhaul_ms", "old_backhaul_ms", "policy", "n", "setup_ms", "low_ms", "high_ms", "p95_ms"),
        *("rtt_ms", "expected_setup_ms", "expected_rtt_ms"),
    ),
    key=("between_ms", "backhaul_ms", "policy"),
    measure=measure,
    plot=plot,
    check=check,
    claim=f"every policy is within {_BAND_MS} ms of the closed form, and each of the two addresses is best somewhere",
)
