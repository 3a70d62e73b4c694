"""F11: setting sessions up over signalling links that lose packets."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import EXACT_MS, About, Drawing, FigureKind, Load, Row
from dmmlab.experiments.figures.sweep import build, links, session_entry
from dmmlab.experiments.methods import METHODS, NAMES
from dmmlab.experiments.methods.base import DDNS, RESOLVER, SERVER
from dmmlab.experiments.oracle import loss as oracle
from dmmlab.experiments.records.recording import RecordedSession, Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import CORE, Scenario

_LOSSES = (0, 5, 10, 20, 30)
_EACH, _SEEDS = 100, 3  # sessions by each method in a run; runs at each loss
_CYCLE_S = 6.0
_SEED = 11
_SIGNALLING = (SERVER, RESOLVER, DDNS)


def scenarios(load: Load) -> list[Scenario]:
    """Every method at each loss rate, several runs each."""
    return [_lossy(load, loss, turn) for loss in _LOSSES for turn in range(_SEEDS)]


def _lossy(load: Load, loss: float, turn: int) -> Scenario:
    """The links of the three servers lose packets, each way; those of the user plane lose none.

    Several runs, each with a resolver of its own: one that has asked in vain too often takes the server for dead.
    """
    base = load("two-mr", {})
    changes = {(host, CORE): {"loss": f"{loss:g}%"} for host in _SIGNALLING}
    sessions = [
        session_entry(f"S{place}", 5 + 1.1 * place, method=method, repeat=_EACH, every=f"{_CYCLE_S:g}s")
        for place, method in enumerate(METHODS)
    ]
    movement = [{"at": "0s", "node": "MN1", "to": "MR1"}]
    return build(
        load, f"f11-loss-{loss:g}-{turn}", links=links(base, changes), movement=movement, sessions=sessions,
        ddns={"ttl": "1s"}, duration=f"{30 + _EACH * _CYCLE_S:g}s", seed=_SEED + turn,
    )  # fmt: skip


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """Sessions over UDP by method and by the loss of the server's link."""
    groups: dict[tuple[str, float], list[tuple[Recording, RecordedSession]]] = defaultdict(list)
    for run in recordings(runs):
        link = run.scenario.link(SERVER, CORE)
        for session in run.sessions:
            if session.spec.transport == "udp" and session.spec.size is None and link is not None:
                groups[session.spec.method, round(link.loss * 100, 6)].append((run, session))
    if len({loss for _, loss in groups}) < 2:
        return []
    level = 0.05 / (3 * len(groups))  # of all intervals together 95 times in 100 none misses
    rows = [_row(method, loss, found, level) for (method, loss), found in groups.items()]
    return sorted(rows, key=lambda row: (NAMES.index(row["method"]), row["loss"]))


def _row(method: str, loss: float, found: list[tuple[Recording, RecordedSession]], level: float) -> Row:
    worked = [session.row.setup_ms or 0.0 for _, session in found if session.worked]
    run, any_session = found[0]
    still = next((ms for _, session in found if (ms := session.row.expected_setup_ms) is not None), None)
    due = oracle.setup(run.scenario, any_session.spec)
    least = sum(still is not None and abs(setup_ms - still) <= EXACT_MS for setup_ms in worked)
    low, high = stats.share_interval(len(worked), len(found), level)
    least_low, least_high = stats.share_interval(least, len(found), level)
    row: Row = {
        **{"method": method, "loss": loss, "n": len(found), "success": len(worked) / len(found)},
        **{"success_low": low, "success_high": high, "expected_success": oracle.works(due) if due else None},
        **{"at_once": least / len(found), "at_once_low": least_low, "at_once_high": least_high},
        "expected_at_once": oracle.at_once(run.scenario, any_session.spec),
        "retried": sum(session.row.outcome == "retried" for _, session in found),
        "no_outcome": sum(session.row.outcome not in ("ok", "retried", "timeout", "refused") for _, session in found),
        "expected_ms": still,
    }
    if worked:
        mean_low, mean_high = stats.ratio_interval([(setup_ms, 1.0) for setup_ms in worked], level)
        row |= {"setup_ms": stats.median(worked), "p95_ms": stats.quantile(worked, 0.95), "mean_ms": stats.mean(worked)}
        row |= {"mean_low_ms": mean_low, "mean_high_ms": mean_high}
        row |= {"expected_mean_ms": oracle.mean_s(due) * 1e3, **_distance(worked, due, level)} if due else {}
    return dict.fromkeys(_COLUMNS) | row


def _distance(worked: Sequence[float], due: oracle.Delays, level: float) -> Row:
    """How far apart the two distributions are at the most, how far chance may bring them (Massart, 1990), and how many
    delays are none of those that there can be.
    """
    n, atoms = len(worked), [at / 1e6 for at in sorted(due)]
    apart = max(abs(sum(ms <= atom + EXACT_MS for ms in worked) / n - oracle.within(due, atom)) for atom in atoms)
    odd = sum(all(abs(ms - atom) > EXACT_MS for atom in atoms) for ms in worked)
    return {"apart": apart, "may_be_apart": math.sqrt(math.log(2 / level) / (2 * n)), "odd": odd}


def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """Every session has an outcome, and every delay is one that the schedules of retransmission make, as often as
    due.
    """
    found = []
    for row in rows:
        point = f"{row['method']}, loss {row['loss']:g} %"
        if row["no_outcome"]:
            found.append(f"{point}: {row['no_outcome']} sessions without an outcome")
        if (row["loss"] == 0 or not METHODS[row["method"]].asks) and row["success"] < 1:
            found.append(f"{point}: {row['success']:.2f} succeed, though nothing that they need is lost")
        if row["loss"] == 0 and not abs((row["setup_ms"] or 0) - (row["expected_ms"] or 0)) <= EXACT_MS + more_ms:
            found.append(f"{point}: {row['setup_ms']} ms, {row['expected_ms']} by the closed form")
        if row["odd"] and not more_ms:
            found.append(f"{point}: {row['odd']} delays that no schedule of retransmission makes")
        if row["expected_success"] is not None:
            found += _outside(point, "are set up", row, "success", "success_low", "success_high", "expected_success")
        if row["expected_mean_ms"] is not None and row["loss"]:
            found += _outside(
                point, "ms in the mean", row, "mean_ms", "mean_low_ms", "mean_high_ms", "expected_mean_ms"
            )
        if row["apart"] is not None and row["apart"] > row["may_be_apart"] and not more_ms:
            apart, allowed = row["apart"], row["may_be_apart"]
            found.append(f"{point}: {apart:.3f} off the closed form's distribution, {allowed:.3f} allowed")
        if row["at_once_low"] > row["expected_at_once"] + 1e-6:  # and for who shares bad times it may be less
            found.append(f"{point}: {row['at_once']:.3f} at once, {row['expected_at_once']:.3f} can be at the most")
        if not METHODS[row["method"]].cached and not more_ms:
            found += _outside(point, "at once", row, "at_once", "at_once_low", "at_once_high", "expected_at_once")
    return found


def _outside(point: str, what: str, row: Row, value: str, low: str, high: str, due: str) -> list[str]:
    if row[low] - 1e-6 <= row[due] <= row[high] + 1e-6:
        return []
    return [f"{point}: {row[value]:.4g} {what} ({row[low]:.4g} to {row[high]:.4g}), {row[due]:.4g} due"]


def plot(rows: list[Row], about: About) -> Drawing:
    """Share of sessions that are set up (top), at once (middle), and the mean delay of those that are (bottom)."""
    figure, (top, middle, bottom) = style.column(3, 6.4)
    for turn, (method, look) in enumerate(style.METHODS.items()):
        mine = [row for row in rows if row["method"] == method]
        aside = (turn - 2) * 0.3  # the bars of five methods must not hide each other
        for axis, scale, columns in (
            (top, 100, ("success", "success_low", "success_high", "expected_success")),
            (middle, 100, ("at_once", "at_once_low", "at_once_high", "expected_at_once")),
            (bottom, 1, ("mean_ms", "mean_low_ms", "mean_high_ms", "expected_mean_ms")),
        ):
            value, low, high, due = columns
            points = [row for row in mine if row[value] is not None]
            still = look._replace(dash="")
            style.line(axis, still, [(row["loss"] + aside, row[value] * scale) for row in points], markersize=3.5)
            drawn = [row for row in points if row["loss"] and METHODS[method].asks]  # else nothing is left to chance
            style.line(
                axis, still._replace(marker=""), [(row["loss"] + aside, row[value] * scale) for row in drawn],
                [(row[low] * scale, row[high] * scale) for row in drawn], label=None,
            )  # fmt: skip
            curve = [(row["loss"], row[due] * scale) for row in mine if row[due] is not None]
            axis.plot(*zip(*curve, strict=True) if curve else ((), ()), color=look.colour, linestyle=look.dash,
                      linewidth=0.9, zorder=1)  # fmt: skip
    top.set_ylabel("set up (%)")
    top.set_ylim(top=102)
    methods = {row["method"] for row in rows}
    style.legend(top, {m: look for m, look in style.METHODS.items() if m in methods}, loc="lower left", fontsize=6.5,
                 handlelength=3.2)  # fmt: skip
    middle.set_ylabel("set up at once (%)")
    middle.set_ylim(bottom=0)
    bottom.set_yscale("log")
    bottom.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    bottom.set_ylabel("mean set-up delay (ms)")
    bottom.set_xlabel("loss on the servers' links, each way (%)")
    n = sorted({row["n"] for row in rows})
    sessions = " to ".join(map(str, n[:1] + n[1:][-1:]))
    style.sample(figure, f"n = {sessions} sessions a point, {about.seeding}; lines: closed forms")
    return Drawing(figure, _caption(rows, about))


def _caption(rows: list[Row], about: About) -> str:
    methods = {row["method"] for row in rows}
    relayed = "Server central sends the user plane over a lossy link too. "
    each = about.designed(f"; each of {_SEEDS} runs at a loss has a resolver of its own").strip()
    resolver = (
        "How long the resolver waits for the DDNS server, and whether it asks it at all, follows from what it has "
        f"asked in vain before, so sessions by DDNS share bad times{each}; they have no closed form but for how often "
        "nothing is lost. "
    )
    return (
        "Setting sessions up over UDP while the links of the resolver, the DDNS server and the registration server "
        "lose packets at random, each way. Top: share of sessions that are set up; middle: share of those that take "
        "the least time, since nothing that they need was lost; bottom: mean delay of those that are set up. Bars: "
        "confidence intervals (Wilson's, Student's), over sessions, such that all together hold with 95 %; without "
        "loss, and for who signals nothing, nothing varies. Lines: closed forms, from the schedules of retransmission. "
        f"{relayed * any(METHODS[name].relayed for name in methods)}"
        f"{resolver * any(METHODS[name].cached for name in methods)}{about}"
    )


_COLUMNS = (
    *("method", "loss", "n", "success", "success_low", "success_high", "expected_success"),
    *("at_once", "at_once_low", "at_once_high", "expected_at_once", "retried", "no_outcome", "expected_ms", "setup_ms"),
    *("p95_ms", "mean_ms", "mean_low_ms", "mean_high_ms", "expected_mean_ms", "apart", "may_be_apart", "odd"),
)

FIGURE = FigureKind(
    entry=ENTRIES["F11"],
    scenarios=scenarios,
    columns=_COLUMNS,
    key=("method", "loss"),
    subject="mean_ms",
    measure=measure,
    plot=plot,
    check=check,
    claim="every session has an outcome; every delay of registration is one that the schedules of retransmission "
    "make; shares, means and whole distributions are the closed forms', within intervals that hold together with 95 %",
)
