"""F14: what the laboratory says of itself: measured against configured, on every path."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import EXACT_MS, REAL_MS, About, Drawing, FigureKind, Load, Row
from dmmlab.experiments.figures.sweep import Item, build, links, ms, numbered, session_entry
from dmmlab.experiments.methods import fixed
from dmmlab.experiments.oracle import delays
from dmmlab.experiments.records.recording import RecordedSession, Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import CORE, RADIO, Scenario

_CN_MS = (0.1, 1, 3, 10, 30, 100, 250)
_RADIO_MS = (0.5, 2, 20)
_LOSS = (1, 2, 5, 10, 20, 30)
_PROBES = 30
_LOSS_PROBES = 1000
_SEED = 14


def scenarios(load: Load) -> list[Scenario]:
    """Paths of many delays, and links of six loss rates."""
    return [_delays(load), _losses(load)]


def _delays(load: Load) -> Scenario:
    """Each correspondent to each mobile node, directly and by the redirect: every sum of delays that there is."""
    base = load("two-mr", {})
    nodes = numbered("MN", len(_RADIO_MS))
    cns = numbered("CN", len(_CN_MS))
    changes = {(cn, CORE): {"delay": ms(delay)} for cn, delay in zip(cns, _CN_MS, strict=True)}
    changes |= {(RADIO, node): {"delay": ms(delay)} for node, delay in zip(nodes, _RADIO_MS, strict=True)}
    movement: list[Item] = []
    sessions: list[Item] = []
    for node in nodes:
        movement += [{"at": "0s", "node": node, "to": "MR1"}, {"at": "20s", "node": node, "to": "MR2"}]
        for cn in cns:
            for at, anchor in ((2, "MR1"), (22, "MR1"), (22, "MR2")):
                keys: dict[str, Any] = {"anchor": anchor, "interval": "500ms", "duration": f"{_PROBES * 0.5:g}s"}
                sessions.append(session_entry(f"C{cn[2:]}M{node[2:]}a{at}{anchor[1:]}", at + 0.1, node, cn, **keys))
    drop = ("RESOLVER", "DDNS", "SERVER")
    return build(
        load, "f14-delay", links=links(base, changes, drop), movement=movement, sessions=sessions, duration="40s",
        seed=_SEED,
    )  # fmt: skip


def _losses(load: Load) -> Scenario:
    """Each correspondent behind a link that loses its share, each way."""
    base = load("two-mr", {})
    cns = numbered("CN", len(_LOSS))
    changes = {(cn, CORE): {"delay": "10ms", "loss": f"{share}%"} for cn, share in zip(cns, _LOSS, strict=True)}
    length = {"interval": "100ms", "duration": f"{_LOSS_PROBES / 10:g}s"}
    sessions = [session_entry(f"L{cn[2:]}", 2, cn=cn, **length) for cn in cns]
    drop = ("RESOLVER", "DDNS", "SERVER")
    return build(
        load, "f14-loss", links=links(base, changes, drop), movement=[{"at": "0s", "node": "MN1", "to": "MR1"}],
        sessions=sessions, duration=f"{_LOSS_PROBES / 10 + 10:g}s", seed=_SEED,
    )  # fmt: skip


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """Paths without loss by their delay (ms), those with loss by the share that is lost (%); UDP, method `fixed`."""
    delays: dict[tuple[str, float], list[float]] = defaultdict(list)
    losses: dict[float, list[bool]] = defaultdict(list)
    for run in recordings(runs):
        for session in run.sessions:
            path = _steady_path(run, session)
            if path is None:
                continue
            kind, configured_ms, lost = path
            if lost:
                losses[round(lost, 9)] += [probe.rtt_ms is None for probe in run.probes[session.spec.name]]
            else:
                delays[kind, round(configured_ms, 6)] += run.rtts_ms(session.spec.name)
    rows = [_delay_row(kind, configured_ms, values) for (kind, configured_ms), values in delays.items() if values]
    rows += [_loss_row(share, lost) for share, lost in losses.items()]
    return sorted(rows, key=lambda row: (row["panel"], row["path"], row["configured"]))


def _steady_path(run: Recording, session: RecordedSession) -> tuple[str, float, float] | None:
    """Of a session that no move disturbs: direct or redirect, configured RTT in ms, configured loss there and back."""
    scenario, entry = run.scenario, session.spec.entry
    end_s = session.spec.at_s + (entry.duration or 0.0) + 1
    anchor, serving = session.row.anchor, session.row.serving
    moved = any(
        session.spec.at_s - 0.1 < move.at < end_s for end in (entry.from_, entry.to) for move in scenario.moves_of(end)
    )
    if (
        session.spec.method != fixed.METHOD.name
        or session.spec.transport != "udp"
        or moved
        or not (serving or session.row.mn_serving)
        or session.spec.count < _PROBES
    ):
        return None
    if any(link.jitter or link.rate for link in scenario.links):
        return None
    near = delays.Place(entry.from_, session.row.mn_anchor, session.row.mn_serving)
    way = delays.path_s(scenario, near, delays.Place(entry.to, anchor, serving))
    if way is None:
        return None
    ends = [(end, other) for end in (entry.from_, entry.to) for other in (CORE, RADIO)]
    ends += [(router, CORE) for router in dict.fromkeys((near.anchor, anchor)) if router]
    passed = 1.0
    for link in (scenario.link(*end) for end in ends):
        passed *= (1 - link.loss) ** 2 if link else 1.0
    direct = anchor == serving and near.anchor == near.serving
    return "direct" if direct else "redirect", 2e3 * way, 1 - passed


def _delay_row(kind: str, configured_ms: float, values: list[float]) -> Row:
    off = stats.summary([value - configured_ms for value in values])
    return {
        **{"panel": "delay", "path": kind, "configured": configured_ms, "n": off.n, "measured": stats.median(values)},
        **{"low": off.low + configured_ms, "high": off.high + configured_ms, "off_median": off.median},
        **{"off_p95": off.p95, "off_max": max(value - configured_ms for value in values)},
    }


def _loss_row(share: float, lost: list[bool]) -> Row:
    low, high = stats.share_interval(sum(lost), len(lost))
    measured = sum(lost) / len(lost)
    return {
        **{"panel": "loss", "path": "direct", "configured": share * 100, "n": len(lost), "measured": measured * 100},
        **{"low": low * 100, "high": high * 100, "off_median": (measured - share) * 100},
        **{"off_p95": None, "off_max": None},
    }


def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """Every path's interval against the configured round trip; every loss against its interval."""
    found = []
    for row in rows:
        if row["panel"] == "delay":
            off = (row["low"] - row["configured"], row["high"] - row["configured"])
            if max(-off[0], off[1]) > EXACT_MS + more_ms:
                found.append(
                    f"{row['path']} path of {row['configured']:g} ms: off by {off[0]:+.4f} to {off[1]:+.4f} ms"
                )
    losses = [row for row in rows if row["panel"] == "loss"]
    missed = [row for row in losses if not row["low"] <= row["configured"] <= row["high"]]
    if len(missed) > 1:  # of intervals that hold 95 times in 100, one of six may miss
        found += [f"loss of {row['configured']:.2f} %: {row['measured']:.2f} % measured" for row in missed]
    return found


def plot(rows: list[Row], about: About) -> Drawing:
    """Measured against configured round trips (above), residuals of loss (below)."""
    delays, losses = ([row for row in rows if row["panel"] == panel] for panel in ("delay", "loss"))
    shown = [bool(delays), bool(losses)]
    figure, axes = style.column(sum(shown), 0.8 + 2.4 * sum(shown), squeeze=False)
    places = iter(axes[:, 0])
    if delays:
        _plot_delays(next(places), delays)
    if losses:
        _plot_losses(next(places), losses)
    least = min((row["n"] for row in delays), default=0)
    n = [f"≥ {least} probes a path"] * bool(delays)
    n += [f"{min((row['n'] for row in losses), default=0)} a loss"] * bool(losses)
    style.sample(figure, f"n {', '.join(n) if delays else f'= {n[0]}'}; {about.seeding}")
    loss = (
        "Below: measured minus configured share of probes without an answer, with 95 % confidence intervals (Wilson): "
        f"which probes are lost is random. n = {min((row['n'] for row in losses), default=0)} each. "
    )
    return Drawing(
        figure,
        "What is measured against what is configured. "
        + f"Above: round trips of probes against the sum of the configured delays on their path, {len(delays)} sums, "
        f"medians of n ≥ {least} probes each; the line is where both are equal, and the largest distance from it of "
        f"any probe stands beside it. " * bool(delays) + f"{loss if losses else ''}{about}",
    )


def _plot_delays(axis: Any, rows: list[Row]) -> None:
    ends = [min(row["configured"] for row in rows), max(row["configured"] for row in rows)]
    axis.plot(ends, ends, color="black", linewidth=0.8, linestyle=":", label="equal")
    for look, kind in zip(style.SERIES, ("direct", "redirect"), strict=False):
        mine = [row for row in rows if row["path"] == kind]
        name = "direct path" if kind == "direct" else "path through the anchor"
        points = [(row["configured"], row["measured"]) for row in mine]
        style.line(axis, look._replace(dash="", label=name), points, markerfacecolor="none")
    if ends[1] > 10 * ends[0]:
        axis.set_xscale("log")
        axis.set_yscale("log")
        for scale in (axis.xaxis, axis.yaxis):
            scale.set_major_formatter(lambda value, _: f"{value:g}")
    most_us = max(max(abs(row["off_max"]), abs(row["off_median"])) for row in rows) * 1e3
    axis.text(0.97, 0.06, f"largest residual: {most_us:.3f} µs", transform=axis.transAxes, ha="right")
    axis.set_xlabel("configured round trip (ms)")
    axis.set_ylabel("measured (ms)")
    axis.legend(loc="upper left")


def _plot_losses(axis: Any, rows: list[Row]) -> None:
    points = [(row["configured"], row["measured"] - row["configured"]) for row in rows]
    bars = [(row["low"] - row["configured"], row["high"] - row["configured"]) for row in rows]
    axis.axhline(0, color="black", linewidth=0.8, linestyle=":")
    style.line(axis, style.SERIES[0]._replace(dash="", label="measured"), points, bars)
    axis.set_xlabel("configured loss, there and back (%)")
    axis.set_ylabel("measured minus\nconfigured (points)")


FIGURE = FigureKind(
    entry=ENTRIES["F14"],
    scenarios=scenarios,
    columns=("panel", "path", "configured", "n", "measured", "low", "high", "off_median", "off_p95", "off_max"),
    key=("panel", "path", "configured"),
    subject="measured",
    measure=measure,
    plot=plot,
    check=check,
    claim=f"each path's median round trip lies within {EXACT_MS} ms of the configured one; loss within its interval",
    real=lambda row: REAL_MS if row["panel"] == "delay" else 0.0,
)
