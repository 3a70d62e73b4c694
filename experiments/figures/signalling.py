"""F9: what is said for each move and for each session, and which method says less."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise
from typing import Any

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import About, Drawing, FigureKind, Load, Row
from dmmlab.experiments.figures.sweep import Item, build, seconds, session_entry, tour, uniform
from dmmlab.experiments.methods import METHODS, NAMES, short
from dmmlab.experiments.records.recording import Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import Scenario

_RATIOS = (0.5, 2, 6, 16)  # sessions of each method per move
_RESIDENCE_S, _MOVES = 20.0, 20
_SEED = 9


_LEGS = "legs"
RELAYED = [name for name, method in METHODS.items() if method.relayed]
_ByCause = dict[str, list[tuple[str, int]]]  # by cause: protocol and bytes of each message


def scenarios(load: Load) -> list[Scenario]:
    """Sessions of all methods at each ratio of sessions to moves."""
    return [_mix(load, ratio) for ratio in _RATIOS]


def _mix(load: Load, ratio: float) -> Scenario:
    """MN1 to and fro; sessions of every method at random times, none within a second of a move."""
    duration_s = _RESIDENCE_S * (_MOVES + 1)
    count = round(ratio * _MOVES)
    sessions: list[Item] = []
    for turn, method in enumerate(METHODS):
        times = uniform(_SEED * 100 + round(ratio * 4) * 10 + turn, count, 1, duration_s - 20)
        for number, at_s in enumerate(times):
            into_s = at_s % _RESIDENCE_S
            at_s += 1.0 - into_s if into_s < 1.0 else -1.0 if into_s > _RESIDENCE_S - 1 else 0.0
            sessions.append(session_entry(f"{short(method, 2)}{number}", at_s, method=method))
    return build(
        load, f"f9-ratio-{ratio:g}", ddns={"ttl": "5s"}, movement=tour("MN1", ("MR1", "MR2"), _RESIDENCE_S, duration_s),
        sessions=sessions, duration=seconds(duration_s), seed=_SEED,
    )  # fmt: skip


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """Messages and bytes by what they were for; of runs that have both several moves and sessions of methods."""
    usable = [run for run in recordings(runs) if run.run.signalling.is_file() and len(run.handovers) >= 2]
    per_move: dict[tuple[str, str], list[list[int]]] = defaultdict(list)  # by protocol, of each move: bytes
    per_session: dict[str, list[list[float]]] = defaultdict(list)
    ratios: list[Row] = []
    for run in usable:
        by_cause = _by_cause(run)
        moves = [cause for cause in by_cause if _is_move(cause, run)]
        configuring = ("nd",) if run.scenario.family == "ipv6" else ("dhcp", "arp")
        for protocol in ("openflow", *configuring, "dns-update", "registration", "dns"):
            for cause in moves:
                per_move["all", protocol].append([size for name, size in by_cause[cause] if name == protocol])
        for session in run.sessions:
            if session.row.outcome == "ok":
                per_session[session.spec.method].append([size for _, size in by_cause.get(session.spec.name, ())])
        for method in RELAYED:
            _add_legs(run, by_cause, moves, method, per_session[method])
        ratios += _ratios(run, by_cause, moves)
    rows = [_counted("move", protocol, found) for (_, protocol), found in per_move.items()]
    rows += [_counted("session", method, per_session[method]) for method in METHODS if per_session[method]]
    return rows + sorted(_expected(ratios, rows), key=lambda row: (NAMES.index(row["name"]), row["ratio"]))


def _by_cause(run: Recording) -> _ByCause:
    found: _ByCause = defaultdict(list)
    for row in run.signalling:
        # A leg is opened for a relayed session, at a move: it is that session's, not what keeps the server informed.
        legs = row.protocol == "registration" and "→" in row.cause and not row.message.startswith("REGISTER")
        found[row.cause].append((_LEGS if legs else row.protocol, row.bytes))
    return found


def _add_legs(run: Recording, by_cause: _ByCause, moves: Iterable[str], method: str, sizes: list[list[float]]) -> None:
    """Shares what was said of legs at moves among the run's sessions by ``method``, the last in ``sizes``."""
    legs = [size for cause in moves for protocol, size in by_cause[cause] if protocol == _LEGS]
    mine = sum(session.spec.method == method and session.row.outcome == "ok" for session in run.sessions)
    for number, size in enumerate(legs if mine else ()):
        sizes[len(sizes) - mine + number % mine].append(size)


def _is_move(cause: str, run: Recording) -> bool:
    """A movement's name (``MN1→MR2@10s``), but not the first attachment's."""
    first = {f"{node}→{moves[0].to}@{moves[0].at:g}s" for node in run.scenario.mobile_nodes
             if (moves := run.scenario.moves_of(node))}  # fmt: skip
    return "→" in cause and cause not in first


def _counted(panel: str, name: str, found: Sequence[Sequence[float]]) -> Row:
    """Means over moves or sessions, with a bootstrapped interval; each is a draw of its own."""
    counts, sizes = [float(len(one)) for one in found], [float(sum(one)) for one in found]
    low, high = stats.bootstrap([[size] for size in sizes], rounds=500)
    return {
        **{"panel": panel, "name": name, "ratio": None, "n": len(found), "messages": stats.mean(counts)},
        **{"bytes": stats.mean(sizes), "low": low, "high": high, "expected": None},
    }


def _ratios(run: Recording, by_cause: _ByCause, moves: Iterable[str]) -> list[Row]:
    """Of each method: all bytes that it cost in this run, for the node's moves and for the sessions, per session."""
    causes, rows = list(moves), []
    for method in METHODS:
        names = [session.spec.name for session in run.sessions if session.spec.method == method]
        if not names or not causes:
            continue
        for_moves = sum(
            size
            for cause in causes
            for protocol, size in by_cause[cause]
            if protocol in METHODS[method].signalling.updates
        )
        legs = [
            size for cause in causes for protocol, size in by_cause[cause] if protocol == _LEGS and method in RELAYED
        ]
        for_sessions = sum(size for name in names for _, size in by_cause.get(name, ())) + sum(legs)
        messages = sum(p in METHODS[method].signalling.updates for cause in causes for p, _ in by_cause[cause])
        messages += sum(len(by_cause.get(name, ())) for name in names) + len(legs)
        total = (for_moves + for_sessions) / len(names)
        rows.append(
            {"panel": "ratio", "name": method, "ratio": round(len(names) / len(causes), 4), "n": len(names),
             "messages": messages / len(names), "bytes": total, "low": None, "high": None}
        )  # fmt: skip
    return rows


def _expected(ratios: list[Row], counted: list[Row]) -> list[Row]:
    """What the means of moves and sessions make of each ratio: per move / ratio + per session.

    Not where answers are cached: what a session costs there depends on how often others ask.
    """
    return [
        {**row, "expected": None if METHODS[row["name"]].cached else _per_session(counted, row["name"], row["ratio"])}
        for row in ratios
    ]


def _per_session(rows: list[Row], method: str, ratio: float) -> float:
    moves = sum(
        row["bytes"] for row in rows if row["panel"] == "move" and row["name"] in METHODS[method].signalling.updates
    )
    own = next((row["bytes"] for row in rows if row["panel"] == "session" and row["name"] == method), 0.0)
    return float(moves / ratio + own)


def crossings(rows: list[Row]) -> list[tuple[float, str, str]]:
    """At how many sessions a move two methods' lines cross: that ratio, the cheaper one below it, the other.

    Between two measured ratios the lines are straight where both scales are logarithmic, as they are drawn.
    """
    lines = {
        method: {row["ratio"]: row["bytes"] for row in rows if row["panel"] == "ratio" and row["name"] == method}
        for method in METHODS
        if METHODS[method].asks
    }
    found: list[tuple[float, str, str]] = []
    for one, two in combinations(lines, 2):
        for left, right in pairwise(sorted(set(lines[one]) & set(lines[two]))):
            gaps = [math.log(lines[one][ratio] / lines[two][ratio]) for ratio in (left, right)]
            if gaps[0] * gaps[1] < 0:
                at = left * (right / left) ** (gaps[0] / (gaps[0] - gaps[1]))
                found.append((at, *((one, two) if gaps[0] < 0 else (two, one))))
    return found


def check(rows: list[Row], _more_ms: float = 0.0) -> list[str]:
    """Messages of a session and of a move; bytes at each ratio against the means."""
    found = []
    for row in rows:
        if row["panel"] == "session" and not _within(row["messages"], METHODS[row["name"]].signalling.messages):
            least, most = METHODS[row["name"]].signalling.messages
            found.append(f"a session by {row['name']} costs {row['messages']:.2f} messages, {least} to {most} are due")
        if row["panel"] == "move" and row["name"] in ("dns-update", "registration") and row["messages"] < 2:
            found.append(f"a move costs {row['messages']:.2f} messages of {row['name']}, at least 2 are due")
        if row["panel"] == "ratio" and row["expected"] and abs(row["bytes"] / row["expected"] - 1) > 0.1:
            found.append(f"{row['name']} at {row['ratio']:g} sessions a move: {row['bytes']:.0f} bytes a session, "
                         f"{row['expected']:.0f} by the means")  # fmt: skip
    return found


def _within(value: float, bounds: tuple[int, int]) -> bool:
    return bounds[0] - 0.05 <= value <= bounds[1] + 0.05


def plot(rows: list[Row], about: About) -> Drawing:
    """Bytes of a move (left), of a session (centre), and of both against the ratio (right)."""
    from matplotlib.ticker import NullLocator

    figure, (left, middle, right) = style.figure(ncols=3, height_in=3.3, width_ratios=(1, 1, 1.3))
    moves = [row for row in rows if row["panel"] == "move" and row["messages"] > 0]
    _bars(left, [(row["name"], row, *style.PROTOCOLS[row["name"]]) for row in moves], "bytes for a move")
    own = [row for row in rows if row["panel"] == "session"]
    _bars(middle, [(style.METHODS[r["name"]].label, r, style.METHODS[r["name"]].colour, "") for r in own],
          "bytes for a session")  # fmt: skip
    for method, look in style.METHODS.items():
        mine = [row for row in rows if row["panel"] == "ratio" and row["name"] == method and row["bytes"] > 0]
        if mine:
            style.line(right, look, [(row["ratio"], row["bytes"]) for row in mine])
    style.closed_form(right, [(r["ratio"], r["expected"]) for r in rows if r["expected"]], "by the means")
    right.set_xscale("log")
    right.set_yscale("log")
    most = max((row["bytes"] for row in rows if row["panel"] == "ratio"), default=1000.0)
    right.set_ylim(60, 1.3 * most)
    right.set_yticks([value for value in (100, 200, 500, 1000, 2000, 5000) if value <= most])
    right.yaxis.set_minor_locator(NullLocator())
    for axis in (right.xaxis, right.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    right.set_xlabel("sessions per move")
    right.set_ylabel("bytes for a session, its share of moves included", fontsize=7.5)
    right.legend(loc="lower left", fontsize=6.5)
    labels = {method: look.label for method, look in style.METHODS.items()}
    crossed = [
        f"{labels[one]} is cheaper than {labels[two]} below {ratio:.2g} sessions a move, dearer above"
        for ratio, one, two in crossings(rows)
    ]
    n_moves, n_sessions = max((r["n"] for r in moves), default=0), sorted({r["n"] for r in own})
    legs = "; server central's legs, opened at moves, are its sessions'"
    caption = (
        "Signalling, from captures. Left: for one move, by protocol (bytes; the numbers are messages); "
        f"{_whatever(row['name'] for row in moves)}. Middle: for one session, by method"
        f"{legs if any(row['name'] in RELAYED for row in own) else ''}. Right: per session, with the moves' "
        "share in what keeps the method's server informed, against "
        f"sessions per move: {'; '.join(crossed) or 'no two methods cross'}. Means with 95 % confidence intervals "
        f"(bootstrap); n = {n_moves} moves, {' to '.join(map(str, n_sessions[:1] + n_sessions[1:][-1:]))} sessions "
        f"of each method. {about}"
    )
    return Drawing(figure, caption)


def _whatever(protocols: Iterable[str]) -> str:
    """Which of ``protocols`` are there whatever the method, and why the others are."""
    there = set(protocols)
    names = {"dhcp": "DHCP", "arp": "ARP", "nd": "neighbour discovery", "openflow": "OpenFlow"}
    kept = {"dns-update": "DNS updates", "registration": "registrations"}
    always = [words for name, words in names.items() if name in there]
    told = [words for name, words in kept.items() if name in there]
    *others, last = always or ["nothing"]
    said = f"{', '.join(others)}{' and ' * bool(others)}{last} {'are' if others else 'is'} there whatever the method"
    both = "because both kinds of server are kept informed" if len(told) > 1 else "because the server is kept informed"
    return f"{said}, {' and '.join(told)} {both}" if told else said


def _bars(axis: Any, bars: Sequence[tuple[str, Row, str, str]], title: str) -> None:
    for place, (_, row, colour, hatch) in enumerate(bars):
        off = [[max(0.0, row["bytes"] - row["low"])], [max(0.0, row["high"] - row["bytes"])]]
        axis.bar(place, row["bytes"], 0.7, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
        axis.errorbar(place, row["bytes"], yerr=off, fmt="none", ecolor="black", elinewidth=0.8, capsize=2)
        axis.annotate(f"{row['messages']:.3g}", (place, row["high"]), xytext=(0, 2), textcoords="offset points",
                      ha="center", fontsize=7)  # fmt: skip
    axis.set_xticks(range(len(bars)), [name for name, *_ in bars], rotation=60, ha="right", rotation_mode="anchor",
                    fontsize=7)  # fmt: skip
    axis.set_ylabel(title)
    axis.grid(axis="x", visible=False)


FIGURE = FigureKind(
    entry=ENTRIES["F9"],
    scenarios=scenarios,
    columns=("panel", "name", "ratio", "n", "messages", "bytes", "low", "high", "expected"),
    key=("panel", "name", "ratio"),
    subject="bytes",
    measure=measure,
    plot=plot,
    check=check,
    claim="P2P costs 2 messages a session, combined 4, server central 7, DDNS 4 to 8; bytes at each "
    "ratio are within 10 % of the means (not by DDNS, whose cache depends on the ratio)",
)
