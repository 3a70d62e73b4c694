"""F12: what the redirect costs the network, against the number of mobile nodes and of mobile routers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any

from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import About, Drawing, FigureKind, Load, Row
from dmmlab.experiments.figures.sweep import (
    Item,
    build,
    joined,
    links,
    nodes_like_first,
    numbered,
    routers_like_first,
    seconds,
    tour,
)
from dmmlab.experiments.oracle import rules
from dmmlab.experiments.records.recording import Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import Scenario

_NODES = (1, 2, 4, 8, 16)  # with four routers
_ROUTERS = (2, 3, 4, 6, 8)  # with four nodes
_FIXED = 4
_CROWD = (200, 2)  # a crowd; each of it moves once
_RESIDENCE_S, _LAPS = 20.0, 1
_ALONE_S = 1.0  # of moves so far apart each has its own changes of rules
_COUNTED = ("entries_sum", "flow_mods", "packet_ins")


def scenarios(load: Load) -> list[Scenario]:
    """More and more mobile nodes, and more and more routers."""
    sizes = [(nodes, _FIXED) for nodes in _NODES] + [(_FIXED, routers) for routers in _ROUTERS if routers != _FIXED]
    return [_crowd(load, nodes, routers) for nodes, routers in (*sizes, _CROWD)]


def _crowd(load: Load, nodes: int, routers: int) -> Scenario:
    """``nodes`` mobile nodes go round ``routers`` routers, fully meshed, each visiting every one and coming to rest
    at its last; they keep all their addresses, so that each ends with ``routers`` - 1 redirected ones.
    """
    base, names = load("two-mr", {}), numbered("MR", routers)
    changes = routers_like_first(base, names) | joined(base, combinations(names, 2))
    changes |= nodes_like_first(base, numbered("MN", nodes))
    movement: list[Item] = []
    until_s = _RESIDENCE_S * routers * _LAPS
    for k in range(nodes):
        start = k % routers
        moves = tour(f"MN{k + 1}", names[start:] + names[:start], _RESIDENCE_S, until_s)
        for number, move in enumerate(moves):  # not all at once: each has its own turn within a residence time
            if number or nodes == _CROWD[0]:
                move["at"] = seconds(number * _RESIDENCE_S + k * _RESIDENCE_S / (2 * nodes))
        movement += moves
    drop = [name for name in base.hosts if name != "CN1"] + [n for n in base.mobile_routers if n not in names]
    return build(
        load, f"f12-{nodes}mn-{routers}mr", mobile_routers=names, links=links(base, changes, drop=drop),
        movement=movement, sessions=[], duration=seconds(until_s),
    )  # fmt: skip


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """A row a run: what the switches hold at its end, and what they were sent; one a number of addresses: what a move
    of a node costs that has so many.
    """
    totals: list[Row] = []
    moves: dict[int, list[tuple[int, int | None]]] = defaultdict(list)
    for run in recordings(runs):
        if row := _row(run):
            totals.append(row)
            for addresses, changed in _moves(run):
                moves[addresses].append((changed, rules.flow_mods(run.scenario, addresses)))
    if len({(row["mns"], row["mrs"]) for row in totals}) < 2:
        return []
    rows = [
        {
            **{"panel": "move", "addresses": addresses, "n": len(found), "flow_mods_low": min(c for c, _ in found)},
            **{"flow_mods_high": max(c for c, _ in found), "expected_flow_mods": found[0][1]},
        }
        for addresses, found in sorted(moves.items())
    ]
    empty = dict.fromkeys(_COLUMNS)
    return [empty | row for row in (*sorted(totals, key=lambda row: (row["mns"], row["mrs"])), *rows)]


def _row(run: Recording) -> Row | None:
    entries, counters, scenario = run.flow_entries(), run.controller_counters(), run.scenario
    moves = sum(len(scenario.moves_of(node)) - 1 for node in scenario.mobile_nodes)
    if not entries or not counters or not moves:
        return None
    changes = [event for event in run.events if event["event"] == "flow_mod_sent" and event["time_s"] > _first_s(run)]
    attachments = moves + len(scenario.mobile_nodes)
    shown = rules.packet_ins(scenario)
    return {
        "panel": "total",
        "mns": len(scenario.mobile_nodes),
        "mrs": len(scenario.mobile_routers),
        "moves": moves,
        "n": 1,
        "entries_sum": sum(entries.values()),
        "entries_max": max(entries.values()),
        "expected_entries_sum": rules.entries(scenario),
        "flow_mods": sum(event["installed"] + event["removed"] for event in changes),
        "expected_flow_mods": rules.flow_mods_in_all(scenario),
        "packet_ins": sum(one["packet_ins"] for one in counters.values()),
        "expected_packet_ins": None if shown is None else shown * attachments,
        "attachments": attachments,
    }


def _first_s(run: Recording) -> float:
    """When the first node leaves its first router: what the first attachments cost is not a move's."""
    moves = [run.scenario.moves_of(node) for node in run.scenario.mobile_nodes]
    return min(each[1].at for each in moves if len(each) > 1) - 1e-6


def _moves(run: Recording) -> list[tuple[int, int]]:
    """Of each move that no other is near: how many addresses the node has, and how many rules were changed."""
    scenario = run.scenario
    moves = sorted(
        (move.at, turn) for node in scenario.mobile_nodes for turn, move in enumerate(scenario.moves_of(node))
    )
    found = []
    for place, (at_s, turn) in enumerate(moves):
        end_s = moves[place + 1][0] if place + 1 < len(moves) else scenario.duration
        alone = end_s - at_s >= _ALONE_S and (place == 0 or at_s - moves[place - 1][0] >= _ALONE_S)
        if turn and alone:
            mine = [e for e in run.events if e["event"] == "flow_mod_sent" and at_s <= e["time_s"] < end_s]
            found.append((turn, sum(event["installed"] + event["removed"] for event in mine)))
    return found


def check(rows: list[Row], _more_ms: float = 0.0) -> list[str]:
    """Every count is the closed form: not one rule more or less, and not one message."""
    found = []
    for row in rows:
        for column in _COUNTED if row["panel"] == "total" else ():
            if row[f"expected_{column}"] is not None and row[column] != row[f"expected_{column}"]:
                found.append(
                    f"{row['mns']} nodes, {row['mrs']} routers: {column} {row[column]}, {row[f'expected_{column}']} due"
                )
        ends, due = (row["flow_mods_low"], row["flow_mods_high"]), row["expected_flow_mods"]
        if row["panel"] == "move" and due is not None and set(ends) != {due}:
            found.append(
                f"a move with {row['addresses']} addresses changes {ends[0]} to {ends[1]} rules, "
                f"{row['expected_flow_mods']} due"
            )
    if not any(row["expected_entries_sum"] is not None for row in rows):
        found.append("no run has a closed form")
    return found


def plot(rows: list[Row], about: About) -> Drawing:
    """Rules against nodes and against routers, changes of a move against its addresses, messages in a crowd."""
    from matplotlib.ticker import MultipleLocator, NullFormatter

    figure, axes = style.figure(3.35, 4.6, nrows=2, ncols=2)
    (by_nodes, by_routers), (by_addresses, by_crowd) = axes
    totals = [row for row in rows if row["panel"] == "total"]
    few = sorted({row["mrs"] for row in totals})
    for look, routers in zip(style.SERIES, (_FIXED, *(r for r in few if r != _FIXED)), strict=False):
        mine = [row for row in totals if row["mrs"] == routers]
        if len(mine) > 1:
            words = look._replace(label=f"{routers} routers", dash="")
            _counted(by_nodes, words, [(row["mns"], row["entries_sum"], row["expected_entries_sum"]) for row in mine])
            each = [(row["mns"], *(None if row[c] is None else row[c] / row["moves"]
                                   for c in ("flow_mods", "expected_flow_mods"))) for row in mine]  # fmt: skip
            _counted(by_crowd, words._replace(label=f"flow-mods a move, {routers} routers"), each)
    shown = [(row["mns"], *(None if row[c] is None else row[c] / row["attachments"]
                            for c in ("packet_ins", "expected_packet_ins"))) for row in totals]  # fmt: skip
    _counted(by_crowd, style.SERIES[2]._replace(label="packet-ins an attachment", dash=""), sorted(set(shown)))
    beside = [(row["mrs"], row["entries_sum"], row["expected_entries_sum"]) for row in totals if row["mns"] == _FIXED]
    _counted(by_routers, style.SERIES[3]._replace(label=f"{_FIXED} nodes", dash=""), sorted(beside))
    moves = [(row["addresses"], row["flow_mods_high"], row["expected_flow_mods"])
             for row in rows if row["panel"] == "move"]  # fmt: skip
    _counted(by_addresses, style.SERIES[0]._replace(label="a move", dash=""), moves)
    for axis in (by_nodes, by_crowd):
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_xlabel("mobile nodes")
    by_nodes.set_yscale("log")
    by_nodes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    by_nodes.yaxis.set_minor_formatter(NullFormatter())
    for axis in (by_routers, by_addresses):
        axis.xaxis.set_major_locator(MultipleLocator(2))
    for axis in (by_routers, by_addresses, by_crowd):
        axis.set_ylim(bottom=0)
    by_crowd.set_ylim(top=1.7 * max((y for _, y, _ in (*shown, *([(0, 34, 0)])) if y), default=1.0))
    by_routers.set_xlabel("mobile routers")
    by_addresses.set_xlabel("addresses it has")
    by_nodes.set_ylabel("rules, all switches")
    by_routers.set_ylabel("rules, all switches")
    by_addresses.set_ylabel("flow-mods of a move")
    by_crowd.set_ylabel("messages")
    for axis in axes.flat:
        axis.legend(loc="upper left", fontsize=6, handlelength=1.0, borderpad=0.2)
    style.sample(figure, f"n = 1 run a point, {about.seeding} (nothing is left to chance)\nlines: closed forms")
    return Drawing(figure, _caption(about))


def _counted(axis: Any, look: Any, points: Sequence[tuple[float, float | None, float | None]]) -> None:
    """Counts as points, their closed form as a line."""
    style.line(axis, look, [(x, y) for x, y, _ in points if y is not None])
    ends = sorted({(x, y) for x, _, y in points if y is not None})
    due = [  # a straight line, whatever the axes' scales
        (x + part * (after_x - x), y + part * (after_y - y))
        for (x, y), (after_x, after_y) in pairwise(ends) for part in (0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1)
    ]  # fmt: skip
    axis.plot(*zip(*due, strict=True) if due else ((), ()), color=look.colour, linewidth=0.8, zorder=1)


def _caption(about: About) -> str:
    tour = about.designed(
        f"Each mobile node visits every router once, {_RESIDENCE_S:g} s at each, and keeps its addresses, so that at "
        "the end all but its newest are redirected."
    )
    return (
        "What the redirect costs. Top: rules in all switches at the end, against mobile nodes and against mobile "
        "routers. Bottom left: changes of rules for one move of a node that has so many addresses: each of the old "
        "ones is redirected anew. Bottom right: changes of rules a move, and what the controller is shown of an "
        f"attachment, in a crowd. {tour}Rules are counted on the switches, packet-ins and flow-mods by the controller "
        "(deletions count as flow-mods). Lines: the closed forms, counted from the table of rules. Nothing here is a "
        f"matter of chance. {about}"
    )


_COLUMNS = (
    *("panel", "mns", "mrs", "addresses", "moves", "attachments", "n", "entries_sum", "entries_max"),
    *("expected_entries_sum", "flow_mods", "flow_mods_low", "flow_mods_high", "expected_flow_mods"),
    *("packet_ins", "expected_packet_ins"),
)

FIGURE = FigureKind(
    entry=ENTRIES["F12"],
    scenarios=scenarios,
    columns=_COLUMNS,
    key=("panel", "mns", "mrs", "addresses"),
    subject="entries_sum",
    measure=measure,
    plot=plot,
    check=check,
    claim="rules, changes of rules and packet-ins are, each and all, the closed form: 2R(R + 2) + N(13R - 11) rules, "
    "19a - 4 changes for a move with a addresses, 4 packet-ins an attachment (IPv4)",
)
