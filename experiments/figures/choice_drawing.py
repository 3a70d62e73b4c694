"""F13's picture: how often an older address is better, what each policy makes of it, at what price."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from dmmlab.experiments.figures import style
from dmmlab.experiments.figures.base import About, Drawing, FigureError, Row

_NEAR_MS = 20.0  # set-ups that are as near as this have one label
TRIPLES = "triples"  # in the place of a policy: a row of a world's triples
NEAR = "near triples"  # the same, of a world in which the two routers are near each other


def plot(rows: list[Row], about: About) -> Drawing:
    """How often, what each policy makes of it, at what price, and how much hysteresis."""
    figure, ((often, regret), (price, swept)) = style.figure(nrows=2, ncols=2, height_in=5.6)
    worlds = [row for row in rows if row["policy"] == TRIPLES]
    near = [row for row in rows if row["policy"] == NEAR]
    policies = [row for row in rows if row["policy"] not in (TRIPLES, NEAR) and row["sweep_ms"] is None]
    sweep = [row for row in rows if row["sweep_ms"] is not None]
    if not (worlds and policies and sweep):
        raise FigureError(
            "F13: runs of triples, of all policies and of hysteresis are needed; `dmmlab reproduce F13` has them"
        )
    _plot_often(often, worlds, near)
    _plot_regret(regret, policies)
    _plot_price(price, policies)
    _plot_sweep(swept, sweep)
    n = f"{worlds[0]['n']} triples a world, {policies[0]['n']} sessions a policy, {sweep[0]['n']} a hysteresis"
    style.sample(figure, f"n = {n}; {about.seeding}")
    return Drawing(figure, _caption(worlds, policies, sweep, about) + _of_near(near))


def _of_near(near: Sequence[Row]) -> str:
    if not near:
        return ""
    shares = ", ".join(f"{row['older_pct']:.1f} %" for row in near)
    return f" Where the two routers are near each other: {shares} of {near[0]['n']} triples a world."


def _plot_often(axis: Any, worlds: Sequence[Row], near: Sequence[Row]) -> None:
    measured, other = style.SERIES[0], style.SERIES[1]
    style.line(axis, measured._replace(label="older address better, of triples"), _points(worlds, "older_pct"))
    style.line(axis, other._replace(label="best address differs, of nodes"), _points(worlds, "differ_pct"))
    if near:
        style.line(axis, style.SERIES[2]._replace(label="the same, where routers are near"),
                   _points(near, "older_pct"))  # fmt: skip
    style.closed_form(axis, _points([*worlds, *near], "expected_older_pct"), "by the delays")
    axis.set_xlabel("triples that violate the triangle inequality (%)")
    axis.set_ylabel("measured share (%)")
    axis.set_ylim(0, 1.35 * max(row["differ_pct"] for row in (*worlds, *near)))
    axis.legend(loc="upper left")


def _points(rows: Sequence[Row], column: str) -> list[tuple[float, float]]:
    return [(row["violations_pct"], row[column]) for row in rows]


def _plot_regret(axis: Any, rows: Sequence[Row]) -> None:
    """Mean and 95th percentile; linear below a millisecond, since several have none."""
    for turn, row in enumerate(rows):
        look = style.POLICIES[row["policy"]]
        axis.plot([row["regret_mean_ms"], row["regret_p95_ms"]], [turn, turn], color=look.colour, linewidth=1.2)
        axis.plot([row["regret_mean_ms"]], [turn], color=look.colour, marker=look.marker)
        axis.plot([row["regret_p95_ms"]], [turn], color=look.colour, marker="|", markersize=9)
    axis.set_yticks(range(len(rows)), [row["policy"] for row in rows])
    axis.invert_yaxis()
    axis.set_xscale("symlog", linthresh=1)
    axis.set_xlim(-0.2, 1.5 * max(row["regret_p95_ms"] for row in rows))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_xlabel("regret: mean, and 95th percentile (|), ms")


def _plot_price(axis: Any, rows: Sequence[Row]) -> None:
    """Those that come to the same have one label."""
    together: dict[tuple[float, int], list[Row]] = defaultdict(list)
    for row in rows:
        style.line(axis, style.POLICIES[row["policy"]], [(row["packets"], row["setup_ms"])])
        together[round(row["packets"], 0), round(row["setup_ms"] / _NEAR_MS)].append(row)
    for found in together.values():
        words, at = (
            "\n".join(row["policy"] for row in found),
            (max(row["packets"] for row in found), found[0]["setup_ms"]),
        )
        axis.annotate(words, at, xytext=(7, 0), textcoords="offset points", va="center", fontsize=7)
    axis.set_xlabel("packets to the node's addresses, a session")
    axis.set_ylabel("median set-up (ms)")
    axis.set_xlim(0, 1.35 * max(row["packets"] for row in rows))
    axis.set_ylim(0, 1.2 * max(row["setup_ms"] for row in rows))


def _plot_sweep(axis: Any, rows: Sequence[Row]) -> None:
    right = axis.twinx()
    changes, regret = (
        style.SERIES[0]._replace(label="changes of address"),
        style.SERIES[1]._replace(label="mean regret"),
    )
    places = range(len(rows))
    style.line(axis, changes, [(place, row["changes"]) for place, row in zip(places, rows, strict=True)])
    style.line(right, regret, [(place, row["regret_mean_ms"]) for place, row in zip(places, rows, strict=True)])
    axis.set_xticks(places, [f"{row['sweep_ms']:g}" for row in rows])
    axis.set_xlabel("a change must gain more than (ms)")
    axis.set_ylabel("changes a move")
    right.set_ylabel("mean regret (ms)")
    right.spines["right"].set_visible(True)
    right.grid(visible=False)
    axis.set_ylim(0, 1.1)
    right.set_ylim(0, 1.1 * max(row["regret_mean_ms"] for row in rows) or 1)
    style.legend(axis, {"changes": changes, "regret": regret}, loc="center left")


def _caption(worlds: Sequence[Row], policies: Sequence[Row], sweep: Sequence[Row], about: About) -> str:
    shares = ", ".join(f"{row['older_pct']:.1f} %" for row in worlds)
    of = ", ".join(f"{row['violations_pct']:.2g}" for row in worlds)
    return (
        f"Which address to choose, in worlds of hosts of which {of} % of all triples violate the triangle inequality; "
        "redirects go through the core where that is shortest. Top left: in how many of "
        f"n = {worlds[0]['n']} measured triples (correspondent, old router, new router) a world the old router's "
        f"address has the shorter round trip ({shares}; rings: what the delays say of the same triples), and for how "
        "many nodes the better address is not the same for all correspondents. Top right, bottom left: at "
        f"{policies[0]['violations_pct']:.2g} %, n = {policies[0]['n']} sessions a policy, after the first and the "
        "second move: how much longer the round trip is than the best there was; and set-up, a lookup at the "
        "registration server included, against the packets that a correspondent sends to the node. Bottom right: a "
        "hysteresis that keeps an address unless another gains more, over longer walks, "
        f"n = {sweep[0]['n']} sessions a size. What varies is who stands where; each session is its closed form to a "
        f"microsecond. {about}"
    )
