"""F15: what becomes of sessions that are opened while their node moves, and before the servers know that it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import EXACT_MS, About, Drawing, FigureKind, Load, Row
from dmmlab.experiments.figures.sweep import Item, build, links, nodes_like_first, seconds, session_entry
from dmmlab.experiments.methods import METHODS, combined, ddns, fixed, p2p
from dmmlab.experiments.methods.base import SERVER
from dmmlab.experiments.oracle.blind import Blind
from dmmlab.experiments.oracle.handover import told_s
from dmmlab.experiments.oracle.moves import redirected_s
from dmmlab.experiments.records.recording import recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import Scenario

_GAP_S = 0.05
_EVERY_S, _FIRST_S = 20, 12  # between moves, so that no cache remembers the last one, and nobody still tries
_OFF_MS = 2  # so that few packets meet a switch while it may do what it has cached
_NEAR_MS, _FAR_MS = range(-100, 160, 10), range(160, 401, 40)
_INSTANTS_MS = tuple(at_ms + _OFF_MS for at_ms in (*_NEAR_MS, *_FAR_MS))  # since the movement began
_CACHED = "ddns-cached"
_SPAN_MS = (-150.0, 450.0)  # what counts as near a movement
_LABELS = {name: method.look.label for name, method in METHODS.items()} | {
    ddns.METHOD.name: "DDNS, cold",
    _CACHED: "DDNS, cached",
}
_ORDER = [one for name in METHODS for one in ((name, _CACHED) if name == ddns.METHOD.name else (name,))]
SERIES = {name: _LABELS[name] for name in _ORDER}


def scenarios(load: Load) -> list[Scenario]:
    """A node that goes to and fro, with a session by each method at another instant of each movement."""
    return [_scenario(load, redirect) for redirect in (True, False)]


def _scenario(load: Load, redirect: bool) -> Scenario:
    """MN2 does as MN1 does, half a period later; somebody has asked the DNS for it a second before."""
    base = load("two-mr", {})
    movement: list[Item] = []
    sessions: list[Item] = []
    for node, later_s in (("MN1", 0.0), ("MN2", _EVERY_S / 2)):
        movement.append({"at": "0s", "node": node, "to": "MR1"})
        starts_s = [4.0, 8.0, *(_FIRST_S + _EVERY_S * turn + later_s for turn in range(1, len(_INSTANTS_MS) + 1))]
        for turn, at_s in enumerate(starts_s):
            to, left = ("MR2", "MR1") if turn % 2 == 0 else ("MR1", "MR2")
            movement.append({"at": seconds(at_s), "node": node, "to": to, "gap": seconds(_GAP_S)})
            if turn < 2:  # until it knows both routers
                continue
            opened_s = at_s + _INSTANTS_MS[turn - 2] / 1e3
            if node == "MN1":
                named = [name for name in METHODS if name != fixed.METHOD.name]
                sessions.append(session_entry(f"S{turn}", opened_s, node, method=named))
                sessions.append(session_entry(f"F{turn}", opened_s, node, anchor=left))
            else:
                sessions.append(session_entry(f"W{turn}", at_s - 1, node, cn="CN2", method=ddns.METHOD.name))
                sessions.append(session_entry(f"C{turn}", opened_s, node, method=ddns.METHOD.name))
    return build(
        load, f"f15-redirect-{'on' if redirect else 'off'}", links=links(base, nodes_like_first(base, ["MN2"])),
        movement=movement, sessions=sessions, redirect=redirect,
        duration=seconds(_FIRST_S + _EVERY_S * (len(_INSTANTS_MS) + 1)),
    )  # fmt: skip


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """One row a session that was opened near a movement: when, since that began, and what came of it."""
    rows: list[Row] = []
    for run in recordings(runs):
        scenario, blind = run.scenario, None
        for session in run.sessions:
            spec = session.spec
            moves = scenario.moves_of(spec.mn)
            near = [turn for turn, move in enumerate(moves) if turn and _near_ms(spec.at_s, move.at) is not None]
            if not near or spec.count != 1 or spec.transport != "udp" or not session.from_host:
                continue
            turn, blind = near[-1], blind or Blind(scenario)
            move, expected = moves[turn], blind.of(spec)
            known_s = told_s(scenario, spec.mn, turn, SERVER)
            row: Row = {
                "redirect": scenario.redirect,
                "method": spec.method if not _warm(run.sessions, session) else _CACHED,
                "opened_ms": _near_ms(spec.at_s, move.at),
                "setup_ms": session.row.setup_ms,
                "outcome": session.row.outcome,
                "path": session.row.path,
                "gap_ms": move.gap * 1e3,
                "redirected_ms": (redirected_s(scenario, spec.mn, move.at) - move.at) * 1e3,
                "known_ms": None if known_s is None else (move.gap + known_s) * 1e3,
                "closed_form": expected is not None,
            }
            if expected is not None:
                row["expected_ms"] = None if expected.setup_s is None else expected.setup_s * 1e3
                row["expected_attempts"], row["late_ms"] = expected.attempts, expected.late_s * 1e3
            rows.append(row)
    order = list(SERIES)
    return sorted(rows, key=lambda row: (not row["redirect"], order.index(row["method"]), row["opened_ms"]))


def _near_ms(at_s: float, moves_s: float) -> float | None:
    """When a session is opened, since a movement began; None if that is far away."""
    opened_ms = round((at_s - moves_s) * 1e3, 6)
    return opened_ms if _SPAN_MS[0] <= opened_ms <= _SPAN_MS[1] else None


def _warm(sessions: Sequence[Any], session: Any) -> bool:
    """Whether another asked the DNS for the same node a second before."""
    return session.spec.method == ddns.METHOD.name and any(
        other.spec.method == ddns.METHOD.name
        and other.spec.mn == session.spec.mn
        and 0.5 < session.spec.at_s - other.spec.at_s < 2
        for other in sessions
    )


def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """Every set-up is its closed form, and what nobody can answer nobody does; what combined is for holds."""
    found = []
    for row in rows:
        point = f"{SERIES[row['method']]}, redirect {'on' if row['redirect'] else 'off'}, {row['opened_ms']:+g} ms"
        if not row["closed_form"]:
            continue
        measured_ms, expected_ms = row["setup_ms"], row["expected_ms"]
        if (measured_ms is None) != (expected_ms is None):
            found.append(
                f"{point}: {'nobody' if measured_ms is None else 'somebody'} answered, against the closed form"
            )
        elif measured_ms is not None and not (
            -EXACT_MS - more_ms <= measured_ms - expected_ms <= row["late_ms"] + EXACT_MS + more_ms
        ):
            found.append(f"{point}: set up in {measured_ms:.3f} ms, {expected_ms:.3f} are due")
    if sum(not row["closed_form"] for row in rows) > 0.1 * len(rows):
        found.append("more than a tenth of the sessions have no closed form")
    asked = [row for row in rows if row["method"] == combined.METHOD.name and _unknown(row)]
    if any(row["outcome"] != "ok" for row in asked):
        found.append("in combined mode a session that was opened after the move began was tried again, or not set up")
    return found


def _unknown(row: Row) -> bool:
    """Whether it was opened after the movement had begun and before the servers knew of it."""
    return row["known_ms"] is not None and 0 <= row["opened_ms"] <= row["known_ms"]


def plot(rows: list[Row], about: About) -> Drawing:
    """Small multiples: a row for each method, with the redirect on the left and without it on the right."""
    names = [name for name in SERIES if any(row["method"] == name for row in rows)]
    ways = [way for way in (True, False) if any(row["redirect"] == way for row in rows)]
    figure, axes = style.panels(
        0.9 + 0.95 * len(names), nrows=len(names), ncols=len(ways), sharex=True, sharey=True, squeeze=False
    )
    for line, name in enumerate(names):
        for place, way in enumerate(ways):
            mine = [row for row in rows if (row["method"], row["redirect"]) == (name, way)]
            _panel(axes[line][place], name, mine)
            if place == 0:
                axes[line][place].set_ylabel(SERIES[name].replace(" ", "\n", 1))
    for place, way in enumerate(ways):
        axes[0][place].set_title(f"set-up (ms), {style.REDIRECT[way].label}")
        axes[-1][place].set_xlabel("since the move began (ms)")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    style.sample(figure, f"n = 1 each, {len(rows)} in all; {about.seeding}")
    return Drawing(figure, _caption(rows, about))


_NEVER_MS = 40_000.0  # where it is drawn


def _panel(axis: Any, name: str, rows: list[Row]) -> None:
    look = METHODS[ddns.METHOD.name if name == _CACHED else name].look
    if rows:
        axis.axvspan(0, rows[0]["gap_ms"], color="#dddddd", linewidth=0, label="no radio link")
        if rows[0]["redirect"]:
            axis.axvline(rows[0]["redirected_ms"], color="#555555", linewidth=0.9, linestyle="--",
                         label="redirect in force")  # fmt: skip
        else:
            axis.plot([], [], color="#555555", linewidth=0.9, linestyle="--", label="redirect in force")
        axis.axvline(rows[0]["known_ms"], color="#555555", linewidth=0.9, linestyle=":", label="servers know")
    there = [(row["opened_ms"], row["setup_ms"]) for row in rows if row["setup_ms"] is not None]
    never = [(row["opened_ms"], _NEVER_MS) for row in rows if row["setup_ms"] is None]
    style.line(axis, look._replace(marker=".", dash="", label="measured"), there, markersize=4)
    style.line(axis, style.LOST._replace(marker="x", label="never"), never)
    exact = [(row["opened_ms"], row["expected_ms"]) for row in rows if row.get("expected_ms") is not None]
    exact += [(row["opened_ms"], _NEVER_MS) for row in rows if row["closed_form"] and row["expected_ms"] is None]
    style.closed_form(axis, exact, size=6.5)
    axis.set_yscale("log")
    axis.set_ylim(20, 90_000)
    axis.set_yticks([50, 200, 1000, 5000, _NEVER_MS], ["50", "200", "1000", "5000", "never"])
    axis.minorticks_off()


def _caption(rows: list[Row], about: About) -> str:
    without = sum(not row["closed_form"] for row in rows)
    none = f" ({without} sessions have none: a packet of theirs meets a switch as its rules change)" * bool(without)
    return (
        "Sessions that are opened while their node moves, and before the servers know of it. Set-up against the "
        "instant at which a session is opened, by each method, over UDP, one request each. Grey: the node has no radio "
        "link; dashed: the redirect is in force; dotted: registration server and DDNS server know the new address. "
        f"Rings: the closed form{none}. A correspondent that hears nothing for a second looks the node up again and "
        "tries the next address of the answer, three times in all; with fixed, which asks nobody, it waits for six. "
        "In combined and central mode the server asks the node, and asks it anew as soon as it registers: what is "
        "opened after the move has begun waits for that and for no timer, and no answer is stale. But their lookup is "
        "the longest, and so they are hit earliest by a move that comes meanwhile. "
        f"{_longest(rows)}Nothing varies, so there are no intervals. {about}"
    )


def _longest(rows: list[Row]) -> str:
    """What P2P and combined come to, opened from the move on until the servers know."""
    said = []
    for way in (True, False):
        for name in (p2p.METHOD.name, combined.METHOD.name):
            mine = [row["setup_ms"] for row in rows
                    if (row["method"], row["redirect"]) == (name, way) and _unknown(row)]  # fmt: skip
            if mine and None not in mine:
                said.append(f"{SERIES[name]} {stats.mean(mine):.0f} ms {style.REDIRECT[way].label}")
    return f"Means of those opened from the move on until the servers know: {', '.join(said)}. " if said else ""


FIGURE = FigureKind(
    entry=ENTRIES["F15"],
    scenarios=scenarios,
    columns=(
        *("redirect", "method", "opened_ms", "setup_ms", "outcome", "path", "gap_ms", "redirected_ms", "known_ms"),
        *("closed_form", "expected_ms", "late_ms", "expected_attempts"),
    ),
    key=("redirect", "method", "opened_ms"),
    subject="setup_ms",
    measure=measure,
    plot=plot,
    check=check,
    claim=f"every set-up lies within {EXACT_MS} ms of its closed form (a node that comes back without the redirect may "
    "have to ask for its router's MAC first), and nobody answers where that says so; at most a tenth of the sessions "
    "have none; in combined mode all that is opened after the move began is set up at once",
)
