"""F6's picture: stale answers by DDNS and by registration, and what became of sessions that a cache misled."""

from __future__ import annotations

from typing import Any

from dmmlab.experiments.figures import style
from dmmlab.experiments.figures.base import About, Drawing, Row
from dmmlab.experiments.figures.residences import KINDS, SIGMA
from dmmlab.experiments.methods import METHODS

FATES = ("direct", "redirect", "retried", "failed")  # what may become of a session
_LOOKS = {
    "constant": ("o", "-", "#0072B2", "always as long"),
    "exponential": ("s", "--", "#D55E00", "exponential"),
    "lognormal": ("^", ":", "#000000", "log-normal"),
}


def plot(rows: list[Row], about: About) -> Drawing:
    """Stale answers of the cache (top), of the server (middle), and what became of sessions that the cache misled."""
    figure, (top, middle, bottom) = style.column(3, 6.3, height_ratios=(1.35, 1, 1.15))
    _shares(top, [row for row in rows if METHODS[row["method"]].cached])
    top.set_ylabel("stale: DDNS (%)")
    if top.get_legend_handles_labels()[0]:
        top.legend(loc="upper right", fontsize=7)
    _shares(middle, [row for row in rows if not METHODS[row["method"]].cached and row["redirect"]])
    middle.set_ylabel("stale: registration (%)")
    kinds = [row["stay"] for row in rows if METHODS[row["method"]].cached]
    _fates(bottom, [row for row in rows if METHODS[row["method"]].cached and row["stay"] == kinds[0]])
    for axis in (top, middle):
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_ylim(bottom=0)
        axis.set_xlabel("time between two moves over TTL")
    n = {cached: [row["n"] for row in rows if METHODS[row["method"]].cached == cached] for cached in (True, False)}
    counts = " and ".join(
        f"{min(n[cached])}-{max(n[cached])} sessions by {words}"
        for cached, words in ((True, "DDNS"), (False, "registration")) if n[cached]
    )  # fmt: skip
    nodes = sorted({row["nodes"] for row in rows})
    style.sample(figure, f"a point: {'-'.join(map(str, nodes[:1] + nodes[1:][-1:]))} nodes, {about.seeding}\n{counts}")
    return Drawing(figure, _caption(rows, about))


def _shares(axis: Any, rows: list[Row]) -> None:
    """Points with their intervals, and the formula as a line; open where there is no redirect."""
    kinds = list(dict.fromkeys(row["stay"] for row in rows))
    for turn, kind in enumerate(kinds):
        marker, dash, colour, words = _LOOKS.get(kind, ("D", "-.", "#009E73", "as they move"))
        aside = 1.07 ** (turn - (len(kinds) - 1) / 2)  # the bars of three kinds must not hide each other
        mine = sorted((row for row in rows if row["stay"] == kind), key=lambda row: (row["redirect"], row["ratio"]))
        curve = [(row["ratio"], row["formula"] * 100) for row in mine if row["formula"] is not None and row["redirect"]]
        axis.plot(*zip(*curve, strict=True) if curve else ((), ()), color=colour, linestyle=dash, linewidth=1.0)
        axis.plot([], [], color=colour, linestyle=dash, marker=marker, label=words)
        for redirect, face in ((True, colour), (False, "white")):
            points = [row for row in mine if row["redirect"] == redirect]
            x = [row["ratio"] * aside * (1 if redirect else 0.86) for row in points]
            off = [[100 * abs(row[end] - row["stale"]) for row in points] for end in ("low", "high")]
            axis.errorbar(x, [100 * row["stale"] for row in points], yerr=off, fmt=marker, color=colour, capsize=1.5,
                          markerfacecolor=face, markersize=4, elinewidth=0.7)  # fmt: skip
    if any(not row["redirect"] for row in rows):
        axis.plot([], [], color="black", linestyle="", marker="o", markerfacecolor="white", label="without redirect")


def _caption(rows: list[Row], about: About) -> str:
    ttls = " or ".join(f"{ttl_s:g} s" for ttl_s in sorted({row["ttl_s"] for row in rows}))
    kinds = {
        "constant": "always the same",
        "exponential": "exponential",
        "lognormal": f"log-normal with sigma {SIGMA:g}, as that of stays in the cells of a 5G network",
    }
    stays = ", ".join(kinds[kind] for kind in KINDS if any(row["stay"] == kind for row in rows))
    replicas = about.designed(
        "Each node is a replication: it has an itinerary, sessions and, since the resolver keeps copies by name, "
        "copies of its own; DDNS's sessions are those in the life of one copy, the one that fetches it included; "
        "nothing around moves is left out."
    )
    bars = {row["redirect"] for row in rows}
    pairs = "with the redirect (left bar) and without it (right bar)"
    return (
        "Share of new sessions whose lookup gave an address that the mobile node had left, against the mean time "
        f"between two of its moves over the records' TTL ({ttls}){f'; that time is {stays}' if stays else ''}. Top: "
        "by DDNS through a caching resolver; middle: by registration, which is told within a twentieth of a second of "
        "each new address. Lines: the formulas of renewals; bars: Student's (DDNS, over nodes) and Wilson's "
        f"(registration) confidence intervals, such that all together hold with 95 %. {replicas}Bottom: what became "
        f"of the DDNS sessions{', ' + pairs if len(bars) > 1 else ''}. {about}"
    )


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
    axis.set_xlabel("the same; left bar with redirect, right without", fontsize=8)
    axis.set_ylabel("DDNS sessions (%)")
    axis.set_ylim(0, 135)
    axis.set_yticks(range(0, 101, 25))
    axis.grid(axis="x", visible=False)
    axis.legend(ncols=4, loc="upper center", fontsize=6.5, columnspacing=0.8, handlelength=1.4)
