"""F19: which method wins, and what decides it: computed by the cost model, and settings played with real packets."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from dmmlab.experiments.costmodel.sensitivity import QUESTIONS, RANGES, indices
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import About, Drawing, FigureError, FigureKind, Row
from dmmlab.experiments.figures.which_method_runs import come, points, scenarios
from dmmlab.experiments.records.recording import recordings
from dmmlab.experiments.records.rundir import RunDirectory

INDEX, POINT = "index", "point"  # the two kinds of rows: computed, and measured beside what is computed
_TIE = 0.1  # nearer than this share of each other, by the model, the two best have no winner
_WITHIN = 0.25  # how far the computed cost may be off the interval of the measured mean, or off what was counted
_SMALL = 0.02  # an index below it is not drawn
_DIGITS = 3


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """The model's indices; and of each point, question and method what was measured and what the model computes."""
    played: list[Row] = []
    for run in recordings(runs):
        if run.scenario.name not in points():
            continue
        found = come(run)
        for name, question in QUESTIONS.items():
            for method in question.methods:
                played.append(
                    {
                        **dict.fromkeys(FIGURE.columns),
                        **{"part": POINT, "question": name, "name": run.scenario.name, "method": method},
                        **{"n": found.calls, "measured": found.measured[name][method].value},
                        **{"low": found.measured[name][method].low, "high": found.measured[name][method].high},
                        "computed": question.cost(found.setting, method),
                    }
                )
    if not played:
        return []
    computed: list[Row] = [
        {
            **dict.fromkeys(FIGURE.columns),
            **{"part": INDEX, "question": one.question, "name": one.parameter, "method": one.winner},
            **{"share": round(one.share, _DIGITS), "first": _rounded(one.first), "total": _rounded(one.total)},
            **{"first_conf": _rounded(one.first_conf), "total_conf": _rounded(one.total_conf)},
        }
        for one in indices()
    ]
    order = {name: turn for turn, name in enumerate(points())}
    return computed + sorted(played, key=lambda row: order[row["name"]])


def _rounded(value: float) -> float:
    return round(value, _DIGITS) + 0.0


# -- judging -------------------------------------------------------------------------------------------------------
def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """Indices that can be; and each point's winner, measured, is the model's, unless the two best come to the same, by
    the model or as far as so many calls can tell.
    """
    found: list[str] = []
    for row in (row for row in rows if row["part"] == INDEX):
        low, high = row["total"] - row["total_conf"], row["total"] + row["total_conf"]
        if row["first"] - row["first_conf"] > high or low > 1 or row["first"] + row["first_conf"] < -_SMALL:
            found.append(f"{row['question']}, {row['method']}, {row['name']}: first-order index {row['first']:.3f}, "
                         f"total {row['total']:.3f}: no shares of a variance")  # fmt: skip
    for question, method in _decided(rows):
        mine = [row for row in rows if (row["part"], row["question"], row["method"]) == (INDEX, question, method)]
        together, give = sum(row["first"] for row in mine), sum(row["first_conf"] for row in mine)
        if together - give > 1:
            found.append(f"{question}, {method}: first-order indices come to {together:.3f}: more than 1")
    played = _by_point(rows)
    for (name, question), mine in played.items():
        if not _same_winner(mine) and not _tied(mine) and not _by_chance(mine):
            due, came = (min(mine, key=itemgetter(column))["method"] for column in ("computed", "measured"))
            found.append(f"{name}, {question}: {came} won, {due} by the model")
        found += [
            f"{name}, {question}, {row['method']}: {row['measured']:.4g} measured, {row['computed']:.4g} computed"
            for row in mine
            if not _near(row, more_ms)
        ]
    if len({name for name, _ in played}) < len(points()):
        found.append(f"{len({name for name, _ in played})} points were played, {len(points())} are due")
    return found


def _decided(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Questions, and methods that win sometimes."""
    return list(dict.fromkeys((row["question"], row["method"]) for row in rows if row["part"] == INDEX))


def _by_point(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in (row for row in rows if row["part"] == POINT):
        found.setdefault((row["name"], row["question"]), []).append(row)
    return found


def _near(row: Row, more_ms: float) -> bool:
    low, high = (row["measured"] if row[end] is None else row[end] for end in ("low", "high"))
    return bool(
        low - _WITHIN * row["computed"] - more_ms <= row["computed"] <= high + _WITHIN * row["computed"] + more_ms
    )


def _by_chance(mine: Sequence[Row]) -> bool:
    """Whether the interval of the model's winner reaches that of the measured one: so few calls cannot tell them."""
    due, came = (min(mine, key=itemgetter(column)) for column in ("computed", "measured"))
    return due["low"] is not None and due["low"] <= came["high"]


def _same_winner(mine: Sequence[Row]) -> bool:
    due, came = (min(mine, key=itemgetter(column)) for column in ("computed", "measured"))
    return due is came


def _tied(mine: Sequence[Row]) -> bool:
    first, second, *_ = sorted(row["computed"] for row in mine)
    return bool(second < (1 + _TIE) * first)


# -- drawing -------------------------------------------------------------------------------------------------------
def plot(rows: list[Row], about: About) -> Drawing:
    """A panel a question: what decides whether P2P wins; and the points, measured against computed."""
    if not _by_point(rows):
        raise FigureError("F19: points that were played are needed; `dmmlab reproduce F19` has them")
    figure, axes = style.figure(nrows=2, ncols=2, height_in=6.4)
    panels = [*axes.flat]
    for axis, (name, question) in zip(panels, QUESTIONS.items(), strict=False):
        mine = [row for row in rows if (row["part"], row["question"], row["method"]) == (INDEX, name, "p2p")]
        _plot_indices(axis, [row for row in mine if row["total"] + row["total_conf"] > _SMALL])
        axis.set_title(f"P2P: {question.words} in {100 * mine[0]['share']:.0f} %" if mine else question.words)
    _plot_points(panels[-1], [row for row in rows if row["part"] == POINT])
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return Drawing(figure, _caption(rows, about))


def _plot_indices(axis: Any, rows: Sequence[Row]) -> None:
    """Total and first-order index of each parameter that has one, the largest first."""
    ranked = sorted(rows, key=lambda row: -row["total"])
    whole, alone = style.SERIES[0], style.SERIES[1]
    for place, row in enumerate(ranked):
        axis.barh(place, row["total"], 0.62, color="#bbbbbb", xerr=row["total_conf"], ecolor=whole.colour, capsize=2,
                  error_kw={"elinewidth": 0.9}, label="total (with interactions)" if not place else None)  # fmt: skip
        axis.errorbar([row["first"]], [place], xerr=[row["first_conf"]], fmt=alone.marker, color=alone.colour,
                      elinewidth=0.9, capsize=2, label="first order (alone)" if not place else None)  # fmt: skip
    axis.set_yticks(range(len(ranked)), [RANGES[row["name"]].words for row in ranked], fontsize=7)
    axis.invert_yaxis()
    axis.set_xlim(-0.08, 1)
    axis.set_xlabel("Sobol index")
    axis.grid(axis="y", visible=False)


def _plot_points(axis: Any, rows: Sequence[Row]) -> None:
    values = [row[column] for row in rows for column in ("computed", "measured") if row[column]]
    ends = (0.7 * min(values), 1.4 * max(values))
    axis.plot(ends, ends, color="#888888", linewidth=0.8, zorder=1)
    looks = {name: style.METHODS[name]._replace(dash="") for name in style.METHODS}
    for row in rows:
        look = looks[row["method"]]
        filled = look.colour if row["question"] != "bytes" else "none"
        axis.plot([row["computed"]], [row["measured"]], marker=look.marker, markersize=4, linestyle="",
                  markerfacecolor=filled, markeredgecolor=look.colour, markeredgewidth=0.7)  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("computed (ms; hollow: bytes/s)")
    axis.set_ylabel("measured")
    axis.set_title("12 settings played")
    style.legend(axis, looks, loc="upper left", fontsize=6.5)


def _caption(rows: Sequence[Row], about: About) -> str:
    shares = {(row["question"], row["method"]): row["share"] for row in rows if row["part"] == INDEX}
    wins = "; ".join(
        f"{question.words}: "
        + ", ".join(f"{style.METHODS[m].label} in {100 * share:.0f} %" for (q, m), share in shares.items() if q == name)
        for name, question in QUESTIONS.items()
    )
    ranges = ", ".join(f"{found.words} {_span(name)}" for name, found in RANGES.items())
    played, calls = _by_point(rows), sorted({row["n"] for row in rows if row["part"] == POINT})
    right, open_ones = sum(map(_same_winner, played.values())), [m for m in played.values() if not _same_winner(m)]
    ties = sum(_tied(mine) for mine in open_ones)
    return (
        "Which method wins, and what decides it. Three panels are computed, not measured, from the cost model "
        f"(docs/cost-model.md): Sobol's indices, with 95 % intervals, of whether P2P does, over {ranges}; stays are "
        "exponential. "
        f"Over all of that, {wins}. Who completes first may also be who uses an old address that it knows (fixed). "
        f"Bottom right, measured: {len(points())} settings of these ranges played, {calls[0]} to {calls[-1]} "
        f"calls each by every method, means against what the model computes. In {right} of {len(played)} cases the "
        f"winner is the model's; in {ties} of the other {len(open_ones)} its two best are within {100 * _TIE:.0f} % "
        f"of each other. {about}"
    )


def _span(name: str) -> str:
    low, high, _ = RANGES[name]
    if name.endswith("_s") and high < 1:
        return f"{1e3 * low:g} to {1e3 * high:g} ms"
    if name.endswith("_s"):
        return f"{low:g} to {high:g} s"
    return f"{100 * low:g} to {100 * high:g} %" if name == "loss" else f"{low:g} to {high:g}"


FIGURE = FigureKind(
    entry=ENTRIES["F19"],
    scenarios=scenarios,
    columns=(
        *("part", "question", "name", "method", "n", "computed", "measured", "low", "high"),
        *("share", "first", "first_conf", "total", "total_conf"),
    ),
    key=("part", "question", "name", "method"),
    subject="measured",
    measure=measure,
    plot=plot,
    check=check,
    claim="indices are shares of a variance; in every setting that is played the winner is the model's, if so "
    f"few calls can tell, and every cost within {_WITHIN:.0%} of what is measured and its interval",
)
