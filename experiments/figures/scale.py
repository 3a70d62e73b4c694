"""F12: what the redirect costs the network, against the number of mobile nodes and of mobile routers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

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
from dmmlab.experiments.records.recording import Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import Scenario

_NODES = (1, 2, 4, 8, 16)  # with four routers
_ROUTERS = (2, 3, 4, 6, 8)  # with four nodes
_FIXED = 4
_RESIDENCE_S, _LAPS = 20.0, 1
_MEASURES = {
    "entries_max": "flow entries, fullest switch",
    "packet_ins_per_attachment": "packet-ins per attachment",
    "flow_mods_per_move": "flow-mods per move",
    "updates_per_s": "flow-mods per second, all switches",
}


def scenarios(load: Load) -> list[Scenario]:
    """More and more mobile nodes, and more and more routers."""
    sizes = [(nodes, _FIXED) for nodes in _NODES] + [(_FIXED, routers) for routers in _ROUTERS if routers != _FIXED]
    return [_crowd(load, nodes, routers) for nodes, routers in sizes]


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
            if number:
                move["at"] = seconds(number * _RESIDENCE_S + k * _RESIDENCE_S / (2 * nodes))
        movement += moves
    drop = [name for name in base.hosts if name != "CN1"] + [n for n in base.mobile_routers if n not in names]
    return build(
        load, f"f12-{nodes}mn-{routers}mr", mobile_routers=names, links=links(base, changes, drop=drop),
        movement=movement, sessions=[], duration=seconds(until_s),
    )  # fmt: skip


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """One row a run: what the switches hold at its end, and what they were sent."""
    rows = sorted((row for run in recordings(runs) if (row := _row(run))), key=lambda row: (row["mns"], row["mrs"]))
    return rows if len({(row["mns"], row["mrs"]) for row in rows}) > 1 else []


def _row(run: Recording) -> Row | None:
    entries, counters = run.flow_entries(), run.controller_counters()
    moves = sum(len(run.scenario.moves_of(node)) - 1 for node in run.scenario.mobile_nodes)
    if not entries or not counters or not moves:
        return None
    started = [e for e in run.events if e["source"] == "controller" and e["event"] == "flow_mod_sent"]
    base = sum(event["installed"] for event in started if event["cause"] == "base")
    sums = {key: sum(one[key] for one in counters.values()) for key in ("packet_ins", "flow_mods", "barriers")}
    moved = [event for event in started if event["time_s"] > _first_move_s(run)]
    mods = sum(event["installed"] + event["removed"] for event in moved)
    return {
        "mns": len(run.scenario.mobile_nodes),
        "mrs": len(run.scenario.mobile_routers),
        "moves": moves,
        "redirected": _redirected(run),
        "entries_sum": sum(entries.values()),
        "entries_max": max(entries.values()),
        "entries_base": base,
        "packet_ins_per_attachment": sums["packet_ins"] / (moves + len(run.scenario.mobile_nodes)),
        "flow_mods_per_move": mods / moves,
        "barriers_per_attachment": sums["barriers"] / (moves + len(run.scenario.mobile_nodes)),
        "updates_per_s": mods / run.scenario.duration,
    }


def _first_move_s(run: Recording) -> float:
    """When the first node leaves its first router: what the first attachments cost is not a move's."""
    return min(run.scenario.moves_of(node)[1].at for node in run.scenario.mobile_nodes) - 1e-6


def _redirected(run: Recording) -> int:
    """Addresses that are not of the router where their node is at the end."""
    return sum(len({move.to for move in run.scenario.moves_of(node)}) - 1 for node in run.scenario.mobile_nodes)


def check(rows: list[Row], _more_ms: float = 0.0) -> list[str]:
    """State grows with the redirected addresses and with nothing else, by the same rules for each."""
    found = []
    by_nodes = [row for row in rows if row["mrs"] == _FIXED]
    slopes = [(b["entries_sum"] - a["entries_sum"]) / (b["mns"] - a["mns"]) for a, b in pairwise(by_nodes)]
    if slopes and max(slopes) - min(slopes) > 1e-9:
        found.append(
            f"flow entries are not linear in the number of mobile nodes: {min(slopes):g} to {max(slopes):g} each"
        )
    for key in ("flow_mods_per_move", "packet_ins_per_attachment"):
        values = [row[key] for row in by_nodes]
        if values and max(values) > 1.25 * min(values):
            found.append(f"{key} depends on the number of mobile nodes: {min(values):.2f} to {max(values):.2f}")
    by_routers = sorted((row for row in rows if row["mns"] == _FIXED), key=lambda row: row["mrs"])
    entries = [row["entries_sum"] for row in by_routers]
    if entries != sorted(entries):
        found.append("flow entries do not grow with the number of mobile routers")
    return found


def plot(rows: list[Row], about: About) -> Drawing:
    """Flow entries, packet-ins, flow-mods and updates against nodes and routers."""
    from matplotlib.ticker import MultipleLocator

    figure, axes = style.figure(nrows=2, ncols=2, height_in=4.6)
    for axis, (column, title) in zip(axes.flat, _MEASURES.items(), strict=True):
        for look, (x, other, name) in zip(
            style.SERIES, (("mns", "mrs", "mobile nodes"), ("mrs", "mns", "mobile routers")), strict=False
        ):
            beside = "mobile routers" if other == "mrs" else "mobile nodes"
            mine = [row for row in rows if row[other] == _FIXED]
            style.line(
                axis,
                look._replace(label=f"against {name} ({_FIXED} {beside})"),
                [(row[x], row[column]) for row in mine],
            )
        axis.set_title(title)
        axis.set_ylim(bottom=0)
        axis.set_xlim(left=0)
        axis.xaxis.set_major_locator(MultipleLocator(4))
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    figure.supxlabel("number of mobile nodes, or of mobile routers")
    tour = (
        f"Each mobile node visits every router once, {_RESIDENCE_S:g} s at each, and keeps its addresses, so that at "
        "the end all but its newest are redirected: that is why a move costs the more, the more routers there were "
        "before."
    )
    caption = (
        f"What the redirect costs. {about.designed(tour)}Flow entries are counted on the switches at the end, "
        "packet-ins and flow-mods by the controller (deletions counted as flow-mods, the switches' base rules "
        f"not). Nothing here is a matter of chance: n = 1 run a point. {about}"
    )
    return Drawing(figure, caption)


FIGURE = FigureKind(
    entry=ENTRIES["F12"],
    scenarios=scenarios,
    columns=(
        *("mns", "mrs", "moves", "redirected", "entries_sum", "entries_max", "entries_base"),
        *("packet_ins_per_attachment", "flow_mods_per_move", "barriers_per_attachment", "updates_per_s"),
    ),
    key=("mns", "mrs"),
    subject="entries_sum",
    measure=measure,
    plot=plot,
    check=check,
    claim="flow entries are linear in mobile nodes and grow with routers; what a move costs is the same in a crowd",
)
