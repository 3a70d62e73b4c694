"""F8's picture: against the controller's distance, how it is distributed, and what each time is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import style
from dmmlab.experiments.figures.base import About, Drawing, Row
from dmmlab.experiments.scenario.sections.addresses import Dad

SIX_MS = 10  # to the controller, in IPv6 and where IPv4 is drawn beside it
DADS: tuple[Dad, ...] = ("off", "optimistic", "on")
PROBE_S, EXACT_PROBE_S = 0.005, 0.006  # between two probes, with jitter and without
_TIMES = {  # what is drawn against the controller's distance: its look, and what it is
    "silence": style.SERIES[0]._replace(label="user hears nothing"),
    "redirect": style.SERIES[1]._replace(label="redirect confirmed"),
    "known": style.SERIES[2]._replace(label="both servers know"),
}
_PARTS = {  # of the bars
    "gap": ("#bbbbbb", "", "no radio link"),
    "silence": ("#0072B2", "", "until the user hears again"),
    "redirect": ("#D55E00", "///", "until redirect confirmed"),
    "address": ("#F0E442", "\\\\\\", "until the new address"),
    "known": ("#009E73", "xxx", "until both servers know"),
}


def plot(rows: list[Row], about: About) -> Drawing:
    """Against the controller's distance, exact and with jitter; distributions; and what each is made of, by family."""
    whole = [row for row in rows if None not in (row["gap_ms"], row["silence_ms"], row["redirect_ms"])]
    four = [row for row in whole if row["family"] == "ipv4"]
    exact, chance = ([row for row in four if bool(row["jitter_ms"]) == jitters] for jitters in (False, True))
    bars = _groups(whole)
    layout = [["exact", "chance"]] * bool(four) + [["redirect", "silence"]] * bool(chance) + [["bars", "bars"]]
    heights = [1.0] * (len(layout) - 1) + [0.35 + 0.33 * len(bars)]
    figure, axes = style.panels(0.7 + 1.9 * sum(heights), layout, height_ratios=heights)
    if four:
        _against_distance(axes["exact"], exact, "no jitter")
        _against_distance(axes["chance"], chance, "jitter: 20 % of it" if about.own else "with jitter")
        axes["exact"].set_ylabel("since the link went (ms)")
        handles, labels = axes["exact" if exact else "chance"].get_legend_handles_labels()
        axes["exact"].sharey(axes["chance"])
        figure.legend(handles, labels, loc="outside upper center", ncols=2)
    if chance:
        _distribution(axes["redirect"], chance, "redirect", "redirect confirmed")
        _distribution(axes["silence"], chance, "silence", "user's silence")
        axes["redirect"].set_ylabel("share of handovers")
        axes["redirect"].legend(loc="upper left", fontsize=6.5)
    _stacks(axes["bars"], bars)
    style.sample(figure, f"{_numbers(rows)}; {about.seeding}")
    return Drawing(figure, _caption(rows, chance, bars, about))


def _numbers(rows: list[Row]) -> str:
    """How many handovers stand behind a point: ``n = 9 (jitter: 41) handovers each``."""
    counts: dict[tuple[Any, ...], int] = {}
    for row in rows:
        key = (bool(row["jitter_ms"]) or row["dad"] == "on", row["run"])
        counts[key] = counts.get(key, 0) + 1
    few, many = ({n for (varies, _), n in counts.items() if varies is wanted} for wanted in (False, True))
    said = [f"{'/'.join(map(str, sorted(found)))}{words}"
            for found, words in ((few, ""), (many, " where something varies")) if found]  # fmt: skip
    return f"n = {', '.join(said)}"


def _caption(rows: list[Row], chance: list[Row], bars: Mapping[str, list[Row]], about: About) -> str:
    again = [row for row in rows if row["answered_ms"] is not None and row["server_ms"] is not None
             and row["answered_ms"] > max(row["server_ms"], row["ddns_ms"] or 0.0) + 400]  # fmt: skip
    tail = ""
    if chance:
        far = max(row["control_ms"] for row in chance)
        last = [row["silence_ms"] for row in chance if row["control_ms"] == far]
        tail = (
            "Right, and middle: the way to the controller jitters, each packet's delay drawn evenly; points are means, "
            "bars their 95 % confidence interval (bootstrap), since jitter and the phase of the probes vary. In the "
            "middle, how much longer each takes than without jitter; dotted: the closed form's distribution at the "
            "longest way, of a maximum over the switches that have to change. "
            f"The 95th percentile of the silence at {far:g} ms is {stats.quantile(last, 0.95):.0f} ms. "
        )
    retried = (
        f"The node itself hears of that later: in {len(again)} of {len(rows)} handovers the answer came to its new "
        "address before a redirect of its last stay there had been replaced, and the node asked again after 500 ms "
        "(answered_ms in the CSV; not drawn, since nobody waits for it). " if again else ""
    )  # fmt: skip
    six = "Below: what each time is made of, with the controller at " + ", ".join(
        sorted({f"{row['control_ms']:g} ms" for mine in bars.values() for row in mine})
    )
    waits = (
        "; a node that waits for the detection of duplicates (DAD, RFC 4862) does so for its link-local address before "
        "it solicits a router, and answers nobody meanwhile; its timers vary by 80 ms, medians are drawn; an "
        "optimistic one (RFC 4429) does not wait" if any("on" in name for name in bars) else ""
    )  # fmt: skip
    laid = (
        f"The node goes to and fro between two routers; probes every {EXACT_PROBE_S * 1e3:g} ms, with jitter every "
        f"{PROBE_S * 1e3:g} ms, go to its first address; a silence begins and ends with one, and so is up to two "
        "intervals longer than of a stream that never pauses. "
    )
    return (
        "Handovers against the one-way delay to the controller. A user's silence (longest time between two answers), "
        "the redirect's last confirmation, and when the registration server and the DDNS server both know the new "
        "address, by their own clocks. Rings: closed forms; in the exact ones nothing varies but the phase of the "
        f"probes. {tail}{retried}{six}{waits}. {about.designed(laid)}{_numbers(rows)}. {about}"
    )


def _groups(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows of the stacked bars: IPv4 as the exact runs have it, at one distance, and IPv6 by its detection."""
    exact = [row for row in rows if not row["jitter_ms"]]
    shown: dict[str, list[Row]] = {}
    fours = [row for row in exact if row["family"] == "ipv4"]
    if fours:
        distances = sorted({row["control_ms"] for row in fours}, key=lambda one: (one != SIX_MS, one))
        shown["IPv4"] = [row for row in fours if row["control_ms"] == distances[0]]
    for dad in DADS:
        mine = [row for row in exact if row["family"] == "ipv6" and row["dad"] == dad]
        if mine:
            shown[f"IPv6\nDAD {dad}"] = mine
    return shown or {"all": rows}


def _known(row: Row, prefix: str = "") -> float | None:
    """When the last of both servers knows, since the new link is there."""
    times = [row.get(f"{prefix}{host}_ms") for host in ("server", "ddns")]
    there = [time for time in times if time is not None]
    return max(there) if there else None


def _since_gone(row: Row, what: str, prefix: str = "") -> float | None:
    """A time of `_TIMES` since the link went."""
    value = _known(row, prefix) if what == "known" else row.get(f"{prefix}{what}_ms")
    return None if value is None else value + (0.0 if what == "silence" else row["gap_ms"])


def _against_distance(axis: Any, rows: list[Row], title: str) -> None:
    controls = sorted({row["control_ms"] for row in rows})
    for what, look in _TIMES.items():
        points, intervals, forms = [], [], []
        for control in controls:
            mine = [row for row in rows if row["control_ms"] == control]
            values = [value for row in mine if (value := _since_gone(row, what)) is not None]
            expected = [value for row in mine if (value := _since_gone(row, what, "expected_")) is not None]
            if values:
                points.append((control, stats.mean(values)))
                varies = any(row["jitter_ms"] for row in mine) and what != "known"
                intervals.append(stats.bootstrap([[value] for value in values]) if varies else points[-1][1:] * 2)
            if expected:
                forms.append((control, stats.mean(expected)))
        style.line(axis, look, points, intervals if any(low < high for low, high in intervals) else ())
        style.closed_form(axis, forms, label="closed form" if what == "known" else None)
    stream = {row["control_ms"]: row["stream_silence_ms"] for row in rows if row.get("stream_silence_ms") is not None}
    if stream:
        axis.plot(*zip(*sorted(stream.items()), strict=True), color="black", linewidth=0.8, linestyle=":",
              label="of a stream without pauses")  # fmt: skip
    axis.set_title(title)
    axis.set_xscale("log")
    axis.set_xticks(controls, [f"{control:g}" for control in controls], minor=False)
    axis.minorticks_off()
    axis.margins(y=0.1)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("to the controller (ms)")


def _distribution(axis: Any, rows: list[Row], what: str, label: str) -> None:
    """How many handovers took at most so much more than without jitter; dotted, the closed form at each of them.

    Confirmations are in units of the jitter, in which their distributions are nearly the same at every distance.
    """
    crossings = {"redirect": 3, "silence": 2}[what]  # of the way to the controller, each with its own jitter
    for look, control in zip(style.SERIES, sorted({row["control_ms"] for row in rows}), strict=False):
        mine = sorted((row for row in rows if row["control_ms"] == control), key=lambda row: row[f"{what}_ms"])
        unit = mine[0]["jitter_ms"] if what == "redirect" else 1.0
        plain = [row[f"{what}_least_ms"] + crossings * row["jitter_ms"] for row in mine]
        values = [(row[f"{what}_ms"] - least) / unit for row, least in zip(mine, plain, strict=True)]
        shares = [(turn + 1) / len(values) for turn in range(len(values))]
        axis.step(values, shares, where="post", color=look.colour, linestyle=look.dash, label=f"{control:g} ms")
        if what == "redirect" and control == max(row["control_ms"] for row in rows):
            usual = max(row["expected_redirect_ms"] for row in mine)  # a first move changes fewer switches
            law = [(value, row["redirect_below"]) for value, row in zip(values, mine, strict=True)
                   if row["expected_redirect_ms"] == usual]  # fmt: skip
            axis.plot(*zip(*law, strict=True), color="black", linewidth=0.9, linestyle=":")
    axis.set_xlabel(f"{label}:\nmore than without jitter ({'jitters' if what == 'redirect' else 'ms'})")


def _stacks(axis: Any, groups: Mapping[str, list[Row]]) -> None:
    named = set[str]()
    for place, mine in enumerate(reversed(list(groups.values()))):
        bars: Sequence[Sequence[str]] = (("gap", "address", "known"), ("gap", "redirect"), ("gap", "silence"))
        for offset, parts in zip((-0.27, 0.0, 0.27), bars, strict=True):
            start = 0.0
            for part in parts:
                ends = [value for row in mine if (value := _end(row, part)) is not None]
                if not ends:
                    continue
                colour, hatch, words = _PARTS[part]
                axis.barh(place + offset, stats.median(ends) - start, 0.25, left=start, color=colour, hatch=hatch,
                          edgecolor="white", linewidth=0, label=None if part in named else words)  # fmt: skip
                named.add(part)
                start = stats.median(ends)
    axis.set_yticks(range(len(groups)), list(groups)[::-1])
    axis.set_xscale("symlog", linthresh=100, linscale=1.2)
    axis.set_xticks([0, 50, 100, 200, 500, 1000, 2000], ["0", "50", "100", "200", "500", "1000", "2000"])
    axis.minorticks_off()
    axis.grid(axis="y", visible=False)
    axis.set_xlabel("since the link went (ms; logarithms from 100 on)")
    if named:
        axis.legend(loc="upper center", bbox_to_anchor=(0.42, -0.2), ncols=2)


def _end(row: Row, part: str) -> float | None:
    """When a part of a bar ends, since the link went."""
    if part == "gap":
        return float(row["gap_ms"])
    if part == "address":
        return None if row["address_ms"] is None else float(row["address_ms"] + row["gap_ms"])
    return _since_gone(row, part)
