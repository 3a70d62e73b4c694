"""F2: how long it takes to set a session up, by each method, before and after a move."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import EXACT_MS, About, Drawing, FigureKind, Load, Row, band, intervals
from dmmlab.experiments.figures.sweep import Item, build, session_entry
from dmmlab.experiments.methods import METHODS, ddns, fixed, short
from dmmlab.experiments.methods.base import RESOLVER
from dmmlab.experiments.records.recording import RecordedSession, Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import Scenario

_EACH = 30
_CYCLE_S = 10.0
_SEED = 2
IN_RESOLVER, IN_CN = "resolver", "correspondent"  # where a lookup's answer may be already


def _cases() -> dict[str, str]:
    """What is compared, and what stands beside its lines: the methods, and the answer already there."""
    cases: dict[str, str] = {}
    for name, method in METHODS.items():
        if method.cached:
            cases[name] = f"{method.look.label}, cold"
            if RESOLVER in method.needs:
                cases[f"{name}, {IN_RESOLVER}"] = f"{method.look.label}, in\nresolver"
            cases[f"{name}, {IN_CN}"] = f"{method.look.label}, in CN"
        else:
            cases[name] = method.look.label
    return cases


CASES = _cases()


def scenarios(load: Load) -> list[Scenario]:
    """Every method with cold caches; and DDNS with the correspondent's own."""
    return [_cold(load), _cached(load)]


def _phases() -> tuple[tuple[str, float], ...]:
    return (("b", 10.0), ("a", 30.0 + _EACH * _CYCLE_S))  # before and after the move


def _movement() -> list[Item]:
    at_s = 20 + _EACH * _CYCLE_S
    return [{"at": "0s", "node": "MN1", "to": "MR1"}, {"at": f"{at_s:g}s", "node": "MN1", "to": "MR2"}]


def _ends_s() -> float:
    return 40 + 2 * _EACH * _CYCLE_S


def _cold(load: Load) -> Scenario:
    """Every method and transport once in 10 s, each a second after the one before: no TTL of 1 s lasts that long."""
    sessions: list[Item] = []
    for phase, start_s in _phases():
        for turn, method in enumerate(METHODS):
            for place, transport in enumerate(("udp", "tcp")):
                keys: dict[str, Any] = {"method": method, "transport": transport}
                keys |= {"repeat": _EACH, "every": f"{_CYCLE_S:g}s"}
                at_s = start_s + turn + 5 * place
                sessions.append(session_entry(f"{phase}{transport[0]}{short(method, 4)}", at_s, **keys))
                if RESOLVER in METHODS[method].needs:  # again within the second: the resolver has it
                    sessions.append(session_entry(f"{phase}{transport[0]}again", at_s + 0.4, **keys))
    return build(
        load, "f2-setup", ddns={"ttl": "1s"}, movement=_movement(), sessions=sessions, duration=f"{_ends_s():g}s",
        seed=_SEED,
    )  # fmt: skip


def _cached(load: Load) -> Scenario:
    """DDNS where the correspondent caches too: each second question of a pair needs no lookup."""
    sessions: list[Item] = []
    for phase, start_s in _phases():
        for place, transport in enumerate(("udp", "tcp")):
            keys: dict[str, Any] = {
                "method": ddns.METHOD.name,
                "transport": transport,
                "repeat": _EACH,
                "every": f"{_CYCLE_S:g}s",
            }
            sessions.append(session_entry(f"{phase}{transport[0]}fill", start_s + 5 * place, **keys))
            sessions.append(session_entry(f"{phase}{transport[0]}again", start_s + 5 * place + 0.4, **keys))
    return build(
        load, "f2-setup-cn-cache", ddns={"ttl": "1s", "cn_cache": "ttl"}, movement=_movement(), sessions=sessions,
        duration=f"{_ends_s():g}s", seed=_SEED,
    )  # fmt: skip


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """Sessions by phase, case and transport. A case of DDNS is told by what its lookup cost, not by its name."""
    groups: dict[tuple[str, str, str], list[tuple[RecordedSession, float | None]]] = defaultdict(list)
    for run in recordings(runs):
        for session in run.sessions:
            if session.row.outcome != "ok" or session.spec.size is not None or not session.row.serving:
                continue
            expected = session.row.expected_setup_ms
            groups[_phase(run, session), _case(run, session), session.spec.transport].append((session, expected))
    rows = [_row(*key, found) for key, found in groups.items()]
    return sorted(rows, key=lambda r: (r["phase"] != "before", list(CASES).index(r["case"]), r["transport"] != "udp"))


def _phase(run: Recording, session: RecordedSession) -> str:
    return "before" if session.row.serving == run.scenario.moves_of(session.spec.mn)[0].to else "after"


def _case(run: Recording, session: RecordedSession) -> str:
    """Which of CASES this is, by the closed form of its lookup: nothing, one round trip, or two."""
    method = session.spec.method
    expected = run.expected(session) if METHODS[method].cached else None
    if expected is None:
        return method
    cold_s = max((e.lookup_s for other in run.sessions if (e := run.expected(other)) is not None
                  and other.spec.method == method and other.spec.cn == session.spec.cn), default=0.0)  # fmt: skip
    if expected.lookup_s == 0:
        return f"{method}, {IN_CN}"
    return method if expected.lookup_s > cold_s - 1e-9 else f"{method}, {IN_RESOLVER}"


def _row(phase: str, case: str, transport: str, found: list[tuple[RecordedSession, float | None]]) -> Row:
    setups = stats.summary([session.row.setup_ms or 0.0 for session, _ in found])
    known = [expected for _, expected in found if expected is not None]
    off = [(session.row.setup_ms or 0.0) - expected for session, expected in found if expected is not None]
    off_low, off_high = stats.median_interval(off) if off else (None, None)
    return {
        **{"phase": phase, "case": case, "transport": transport, "n": setups.n},
        "lookup_ms": stats.median([session.row.lookup_ms or 0.0 for session, _ in found]),
        "connect_ms": stats.median([session.row.connect_ms or 0.0 for session, _ in found]),
        **{"setup_ms": setups.median, "low_ms": setups.low, "high_ms": setups.high, "p95_ms": setups.p95},
        "expected_ms": stats.median(known) if known else None,
        **{"off_low_ms": off_low, "off_high_ms": off_high, "due_ms": 0.0 if known else None},
        "path": ", ".join(sorted({session.row.path for session, _ in found})),
    }


def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """The interval of (measured - closed form) of every bar."""
    return band(rows, "off_low_ms", "off_high_ms", "due_ms", EXACT_MS + more_ms, "phase case transport")


def plot(rows: list[Row], about: About) -> Drawing:
    """A dot plot: a line of each case before the move and after it, on which lookup, UDP and TCP end."""
    cases = [case for case in CASES if any(row["case"] == case for row in rows)]
    figure, axis = style.column(1, 1.3 + 0.42 * len(cases))
    varies = bool(intervals(rows, "low_ms", "high_ms", EXACT_MS))
    for row in rows:
        place, offset = cases.index(row["case"]), _OFFSETS[row["phase"]]
        look = style.METHODS[row["case"].split(",")[0]]
        filled = look.colour if row["phase"] == "before" else "white"
        axis.plot([0, row["setup_ms"]], [place + offset] * 2, color="#bbbbbb", linewidth=0.7, zorder=0)
        axis.plot([row["lookup_ms"]], [place + offset], color="black", marker="|", markersize=6)
        style.line(axis, look._replace(marker=_MARKERS[row["transport"]], dash=""),
                   [(row["setup_ms"], place + offset)], markerfacecolor=filled)  # fmt: skip
        if varies:
            axis.plot([row["low_ms"], row["high_ms"]], [place + offset] * 2, color=look.colour, linewidth=1.2)
        if row["expected_ms"] is not None:
            style.closed_form(axis, [(row["expected_ms"], place + offset)])
    axis.set_yticks(range(len(cases)), [CASES[case] for case in cases])
    axis.set_ylim(len(cases) - 0.5, -0.5)
    axis.set_xlim(left=0)
    axis.grid(axis="y", visible=False)
    axis.set_xlabel("set-up delay (ms)")
    _legend(figure, rows)
    n = sorted({row["n"] for row in rows})
    style.sample(figure, f"n = {_span(n)} sessions each; {about.seeding}")
    return Drawing(figure, _caption(rows, cases, varies, about))


_OFFSETS = {"before": -0.17, "after": 0.17}
_MARKERS = {"udp": "o", "tcp": "s"}


def _span(n: Sequence[int]) -> str:
    return f"{n[0]}{f' to {n[-1]}' if len(n) > 1 else ''}"


def _caption(rows: list[Row], cases: list[str], varies: bool, about: About) -> str:
    """What is drawn, and of what is not drawn nothing."""
    transports = {row["transport"] for row in rows}
    pair = "circles UDP, squares TCP" if len(transports) > 1 else f"over {transports.pop().upper()}"
    phases = {row["phase"] for row in rows}
    when = ", filled before the move and open after it" if len(phases) > 1 else f", {phases.pop()} the move"
    places = [case.partition(", ")[2] for case in cases if case.split(",")[0] == ddns.METHOD.name]
    where = [f"with the answer in the {place}" if place else "with nothing cached" for place in places]
    known = f" DDNS {', '.join(where)}." if len(where) > 1 else ""
    old = [row for row in rows if (row["phase"], row["case"]) == ("after", fixed.METHOD.name)]
    paths = {path for row in old for path in row["path"].split(", ")}
    redirected = " After the move method fixed still uses the old address, which the redirect serves."
    spread = (
        "medians with 95 % confidence intervals (the machine varies)" if varies else "the sessions of a dot are alike"
    )
    return (
        "Session set-up delay by method: up to the bar on each line the lookup, then from the first packet of the user "
        f"plane to the first byte of the mobile node's service; {pair}{when}.{known} Rings: closed form; {spread}."
        f"{redirected if paths == {'redirect'} else ''} n = {_span(sorted({row['n'] for row in rows}))} sessions a "
        f"dot. {about}"
    )


def _legend(figure: Any, rows: list[Row]) -> None:
    """Of the marks that are drawn."""
    from matplotlib.lines import Line2D

    transports, phases = ({row[key] for row in rows} for key in ("transport", "phase"))
    marks = [Line2D([], [], color="black", marker="|", linestyle="", label="lookup ends")]
    marks += [
        Line2D([], [], color="black", marker=marker, linestyle="", label=f"{transport.upper()}, {phase} the move",
               markerfacecolor="black" if phase == "before" else "white")
        for phase in _OFFSETS
        for transport, marker in _MARKERS.items()
        if transport in transports and phase in phases
    ]  # fmt: skip
    marks.append(Line2D([], [], color="black", marker="o", markersize=9, markerfacecolor="none", markeredgewidth=0.6,
                        linestyle="", label="closed form"))  # fmt: skip
    figure.legend(handles=marks, loc="outside upper center", ncols=2)


FIGURE = FigureKind(
    entry=ENTRIES["F2"],
    scenarios=scenarios,
    columns=(
        *("phase", "case", "transport", "n", "lookup_ms", "connect_ms", "setup_ms"),
        *("low_ms", "high_ms", "p95_ms", "expected_ms", "off_low_ms", "off_high_ms", "due_ms", "path"),
    ),
    key=("phase", "case", "transport"),
    subject="setup_ms",
    measure=measure,
    plot=plot,
    check=check,
    claim=f"the 95 % interval of every set-up delay lies within {EXACT_MS} ms of the closed form",
)
