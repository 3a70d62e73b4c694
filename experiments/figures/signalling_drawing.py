"""F9's picture: bytes of a move, of a session, of both against the ratio, and where methods cross."""

from __future__ import annotations

from typing import Any

from dmmlab.experiments.figures import style
from dmmlab.experiments.figures.base import About, Drawing, Row
from dmmlab.experiments.figures.signalling_costs import COSTED
from dmmlab.experiments.methods import METHODS

RESIDENCE_S = 20.0  # time between two moves
PARTS = ("set-up", "not cached", "teardown")  # of what is said for a session


def plot(rows: list[Row], about: About) -> Drawing:
    """Bytes of a move, of a session, of both against the ratio, and where methods cross."""
    figure, (moves, sessions, ratios, crossed) = style.column(4, 7.6, height_ratios=(0.8, 0.95, 1.3, 1.0))
    _bars(moves, [row for row in rows if row["panel"] == "move"])
    _stacks(sessions, [row for row in rows if row["panel"] == "session"])
    _lines(ratios, [row for row in rows if row["panel"] == "ratio"])
    _crossings(crossed, [row for row in rows if row["panel"] == "crossing"])
    n_moves = max((row["n"] for row in rows if row["panel"] == "move"), default=0)
    n = sorted({row["n"] for row in rows if row["panel"] == "ratio"})
    style.sample(
        figure, f"{n_moves} moves, {n[0] if n else 0}-{n[-1] if n else 0} sessions a point; {about.seeding}\n"
        "ticks and rings: closed forms of these runs; lines: in the long run"
    )  # fmt: skip
    return Drawing(figure, _caption(rows, about))


def _bars(axis: Any, rows: list[Row]) -> None:
    shown = [row for row in rows if row["messages"] > 0][::-1]
    for place, row in enumerate(shown):
        colour, hatch = style.PROTOCOLS[row["name"]]
        axis.barh(place, row["bytes"], 0.7, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
        if row["expected_bytes"] is not None:
            axis.plot([row["expected_bytes"]], [place], marker="|", color="black", markersize=11)
        axis.annotate(f"{row['messages']:.3g} x {row['bytes'] / row['messages']:.0f}", (row["bytes"], place),
                      xytext=(5, 0), textcoords="offset points", va="center", fontsize=7)  # fmt: skip
    axis.set_yticks(range(len(shown)), [row["name"] for row in shown], fontsize=7.5)
    axis.set_xlim(0, 1.35 * max((row["bytes"] for row in shown), default=1))
    axis.set_xlabel("bytes for a move (messages x mean size)", fontsize=8)
    axis.grid(axis="y", visible=False)


def _stacks(axis: Any, rows: list[Row]) -> None:
    methods = list(dict.fromkeys(row["name"] for row in rows))[::-1]
    hatches = {"set-up": "", "not cached": "///", "teardown": "xxx"}
    greys = {"set-up": "#56B4E9", "not cached": "#E69F00", "teardown": "#666666"}
    for place, method in enumerate(methods):
        left = due = 0.0
        for part in PARTS:
            row = next((r for r in rows if r["name"] == method and r["part"] == part), None)
            if row is None:
                continue
            axis.barh(place, row["bytes"], 0.7, left=left, color=greys[part], hatch=hatches[part], edgecolor="white",
                      linewidth=0)  # fmt: skip
            left, due = left + row["bytes"], due + (row["expected_bytes"] or 0.0)
        messages = sum(row["messages"] for row in rows if row["name"] == method)
        axis.plot([due], [place], marker="|", color="black", markersize=11)
        axis.annotate(f"{messages:.3g}", (left, place), xytext=(5, 0), textcoords="offset points", va="center",
                      fontsize=7)  # fmt: skip
    for part in PARTS:
        axis.barh(0, 0, color=greys[part], hatch=hatches[part], edgecolor="white", label=part)
    axis.set_yticks(range(len(methods)), [style.METHODS[method].label for method in methods], fontsize=7.5)
    axis.set_xlim(0, 1.3 * max((sum(r["bytes"] for r in rows if r["name"] == m) for m in methods), default=1))
    axis.set_ylim(-0.5, len(methods) + 0.3)
    axis.set_xlabel("bytes for a session (number: messages)", fontsize=8)
    axis.legend(ncols=3, loc="upper center", fontsize=6.5, columnspacing=0.8, handlelength=1.4)
    axis.grid(axis="y", visible=False)


def _lines(axis: Any, rows: list[Row]) -> None:
    from matplotlib.ticker import NullFormatter

    ttls = sorted({row["ttl_s"] for row in rows})
    for method in COSTED:
        look = style.METHODS[method]
        for turn, ttl_s in enumerate(ttls):
            mine = [row for row in rows if row["name"] == method and row["ttl_s"] == ttl_s]
            cached = METHODS[method].cached
            if not mine or (turn and not cached):  # the others know no TTL
                continue
            curve = sorted((row["ratio"], row["formula"]) for row in mine if row["formula"] is not None)
            axis.plot(*zip(*curve, strict=True) if curve else ((), ()), color=look.colour, linestyle=look.dash)
            words = f"{look.label}, TTL {ttl_s:g} s" if cached and len(ttls) > 1 else look.label
            axis.plot([row["ratio"] for row in mine], [row["bytes"] for row in mine], color=look.colour, linestyle="",
                      marker=look.marker, label=words, markerfacecolor="white" if turn else look.colour)  # fmt: skip
            style.closed_form(axis, [(row["ratio"], row["expected_bytes"]) for row in mine
                                     if row["expected_bytes"] is not None], None)  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    for scale in (axis.xaxis, axis.yaxis):
        scale.set_major_formatter(lambda value, _: f"{value:g}")
        scale.set_minor_formatter(NullFormatter())
    axis.set_xticks([0.5, 1, 2, 4, 8, 16])
    axis.set_yticks([200, 500, 1000, 2000])
    axis.set_ylim(140, 3.2 * max((row["bytes"] for row in rows), default=1000.0))
    axis.set_xlabel("sessions per move")
    axis.set_ylabel("bytes a session, all shares", fontsize=8)
    if rows:
        axis.legend(loc="upper right", fontsize=6.5, ncols=2)


def _crossings(axis: Any, rows: list[Row]) -> None:
    from matplotlib.ticker import NullFormatter

    dashes = {"central": ":", "combined": "-.", "p2p": "-"}
    for other in dict.fromkeys(row["part"] for row in rows):
        mine = sorted((row["ttl_over_stay"], row["ratio"]) for row in rows if row["part"] == other and row["ratio"])
        look = style.METHODS[other]
        if mine:
            axis.plot(*zip(*mine, strict=True), color=look.colour, linestyle=dashes[other], label=f"and {look.label}")
    axis.set_xscale("log")
    axis.set_yscale("log")
    for scale in (axis.xaxis, axis.yaxis):
        scale.set_major_formatter(lambda value, _: f"{value:g}")
        scale.set_minor_formatter(NullFormatter())
    axis.set_xlabel("TTL over time between moves")
    axis.set_ylabel("sessions per move at which\nDDNS and another cost the same", fontsize=7.5)
    most = max((row["ratio"] or 0.0 for row in rows), default=1.0)
    axis.set_ylim(0.5, 8 * most)
    if rows:
        axis.legend(loc="upper right", fontsize=7, title="above the line DDNS is the cheaper", title_fontsize=6.5)


def _caption(rows: list[Row], about: About) -> str:
    here = next((row["ttl_s"] for row in rows if row["panel"] == "ratio"), None)
    crossed = [
        f"{row['ratio']:.2g} ({style.METHODS[row['part']].label})" for row in rows
        if row["panel"] == "crossing" and row["ratio"] and here and row["ttl_over_stay"] == here / RESIDENCE_S
    ]  # fmt: skip
    above = f"{' and '.join(crossed)} sessions a move"
    at = f"; at {(here or 0.0) / RESIDENCE_S:g} DDNS is the cheaper above {above}" if crossed else ""
    return (
        "Signalling, from captures, in bytes of the messages themselves (what UDP and TCP carry; of ARP all). Top: "
        "for one move, by protocol; ARP where the node meets a router; OpenFlow, DHCP and ARP are there whatever the "
        "method. Second: for one session, by method; what the resolver asks when it has no copy, and what ends a "
        "session, apart. Third: per session, with its share of the moves in what keeps the method's server informed, "
        "of the correspondent's registration and of refreshes, against sessions per move. Bottom: the ratio at which "
        "DDNS costs as much as another method, solved for, against the records' TTL over the time between two "
        f"moves{at}. Ticks and rings: closed forms of these very runs; lines: those of sessions at random, in the "
        f"long run. {about}"
    )
