"""F11: setting sessions up over signalling links that lose packets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import EXACT_MS, About, Drawing, FigureKind, Load, Row
from dmmlab.experiments.figures.sweep import build, links, session_entry
from dmmlab.experiments.methods import METHODS, NAMES
from dmmlab.experiments.methods.base import DDNS, RESOLVER, SERVER
from dmmlab.experiments.records.recording import RecordedSession, Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import CORE, Scenario

_LOSSES = (0, 5, 10, 15, 20, 25, 30)
_EACH, _SEEDS = 25, 4  # sessions by each method in a run; runs at each loss
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
    rows = [_row(method, loss, found) for (method, loss), found in groups.items()]
    return sorted(rows, key=lambda row: (NAMES.index(row["method"]), row["loss"]))


def _row(method: str, loss: float, found: list[tuple[Recording, RecordedSession]]) -> Row:
    worked = [session for _, session in found if session.worked]
    low, high = stats.share_interval(len(worked), len(found))
    row: Row = {
        **{"method": method, "loss": loss, "n": len(found), "success": len(worked) / len(found)},
        **{"success_low": low, "success_high": high},
        "retried": sum(session.row.outcome == "retried" for session in worked),
        "no_outcome": sum(session.row.outcome not in ("ok", "retried", "timeout", "refused") for _, session in found),
        "expected_ms": next((ms for _, session in found if (ms := session.row.expected_setup_ms) is not None), None),
    }
    if worked:
        setups = stats.summary([session.row.setup_ms or 0.0 for session in worked])
        row |= {"setup_ms": setups.median, "low_ms": setups.low, "high_ms": setups.high, "p95_ms": setups.p95}
    return row


def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """That every session has an outcome, that nothing fails without loss, and that delays grow with it."""
    found = []
    for row in rows:
        point = f"{row['method']}, loss {row['loss']:g} %"
        if row["no_outcome"]:
            found.append(f"{point}: {row['no_outcome']} sessions without an outcome")
        if (row["loss"] == 0 or not METHODS[row["method"]].asks) and row["success"] < 1:
            found.append(f"{point}: {row['success']:.2f} succeed, though nothing that they need is lost")
        if row["loss"] == 0 and not abs((row["setup_ms"] or 0) - (row["expected_ms"] or 0)) <= EXACT_MS + more_ms:
            found.append(f"{point}: {row['setup_ms']} ms, {row['expected_ms']} by the closed form")
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == method]
        first, last = mine[0], mine[-1]
        if METHODS[method].asks and len(mine) > 1 and last["setup_ms"] and last["p95_ms"] <= first["p95_ms"]:
            found.append(f"{method}: p95 of the set-up delay does not grow with loss")
    return found


def plot(rows: list[Row], about: About) -> Drawing:
    """Share of sessions that were set up (left), delay of those (right)."""
    figure, (left, right) = style.figure(ncols=2, height_in=3.4)
    for turn, (method, look) in enumerate(style.METHODS.items()):
        mine = [row for row in rows if row["method"] == method]
        shift = (turn - 2) * 0.25  # the bars of five methods must not hide each other
        points = [(row["loss"] + shift, row["success"] * 100) for row in mine]
        style.line(left, look, points, [(row["success_low"] * 100, row["success_high"] * 100) for row in mine])
        done = [row for row in mine if row["setup_ms"] is not None]
        style.line(
            right, look, [(r["loss"] + shift, r["setup_ms"]) for r in done], [(r["low_ms"], r["high_ms"]) for r in done]
        )
        tail = look._replace(dash="", label="")
        style.line(right, tail, [(r["loss"] + shift, r["p95_ms"]) for r in done], markerfacecolor="none", label=None)
    still = [(0 + (turn - 2) * 0.25, row["expected_ms"]) for turn, method in enumerate(style.METHODS)
             for row in rows if row["method"] == method and row["loss"] == 0]  # fmt: skip
    style.closed_form(right, still)
    for axis in (left, right):
        axis.set_xlabel("loss on the servers' links, each way (%)")
    left.set_ylabel("sessions that are set up (%)")
    left.set_ylim(top=101)
    right.set_yscale("log")
    right.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    right.set_ylabel("set-up delay (ms): filled median, open p95")
    left.legend(loc="lower left")
    methods = {row["method"] for row in rows}
    relayed = "Server central sends the user plane over a lossy link too. "
    each = about.designed(f"; each of {_SEEDS} runs has a resolver of its own").strip()
    resolver = (
        "A resolver that has asked in vain too often takes the DDNS server for dead for a while, so sessions by DDNS "
        f"share bad times{each}. "
    )
    caption = (
        "Setting sessions up over UDP while the links of the resolver, the DDNS server and the registration "
        "server lose packets at random, each way. Left: share of sessions that are set up, with 95 % confidence "
        "intervals (Wilson). Right: their set-up delay, median with its 95 % confidence interval and p95 (open "
        f"markers). {relayed * any(METHODS[name].relayed for name in methods)}"
        f"{resolver * any(METHODS[name].cached for name in methods)}"
        f"Ring: closed form without loss. n = {min(row['n'] for row in rows)} sessions a point. {about}"
    )
    return Drawing(figure, caption)


FIGURE = FigureKind(
    entry=ENTRIES["F11"],
    scenarios=scenarios,
    columns=(
        *("method", "loss", "n", "success", "success_low", "success_high", "retried", "no_outcome"),
        *("setup_ms", "low_ms", "high_ms", "p95_ms", "expected_ms"),
    ),
    key=("method", "loss"),
    subject="setup_ms",
    measure=measure,
    plot=plot,
    check=check,
    claim="every session has an outcome; without loss the closed form holds; p95 grows with loss; fixed is not touched",
)
