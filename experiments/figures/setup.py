"""F2: how long it takes to set a session up, by each method, before and after a move."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import EXACT_MS, About, Drawing, FigureKind, Load, Row, band
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
    """What is compared, and what stands below its bars: the methods, and the answer already there."""
    cases: dict[str, str] = {}
    for name, method in METHODS.items():
        if method.cached:
            cases[name] = f"{method.tick},\ncold"
            if RESOLVER in method.needs:
                cases[f"{name}, {IN_RESOLVER}"] = f"{method.tick},\nin re-\nsolver"
            cases[f"{name}, {IN_CN}"] = f"{method.tick},\nin CN"
        else:
            cases[name] = method.tick
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
    """A pair of bars a case, before the move (left) and after it (right)."""
    phases = [phase for phase in ("before", "after") if any(row["phase"] == phase for row in rows)]
    figure, axes = style.figure(height_in=3.6, ncols=len(phases), sharey=True, squeeze=False)
    cases = [case for case in CASES if any(row["case"] == case for row in rows)]
    for axis, phase in zip(axes[0], phases, strict=True):
        for row in (row for row in rows if row["phase"] == phase):
            _bar(axis, row, cases.index(row["case"]))
        axis.set_xticks(range(len(cases)), [CASES[case] for case in cases], fontsize=6.5)
        axis.set_title(f"{phase} the move")
        axis.grid(axis="x", visible=False)
    axes[0][0].set_ylabel("set-up delay (ms)")
    _legend(axes[0][0])
    return Drawing(figure, _caption(rows, cases, about))


def _caption(rows: list[Row], cases: list[str], about: About) -> str:
    """What is drawn, and of what is not drawn nothing."""
    transports = {row["transport"] for row in rows}
    pair = "the left bar of each pair is UDP, the hatched right one TCP" if len(transports) > 1 else ""
    places = [case.partition(", ")[2] for case in cases if case.split(",")[0] == ddns.METHOD.name]
    where = [f"with the answer in the {place}" if place else "with nothing cached" for place in places]
    known = f" From the left: DDNS {', '.join(where)}." if len(where) > 1 else ""
    old = [row for row in rows if (row["phase"], row["case"]) == ("after", fixed.METHOD.name)]
    paths = {path for row in old for path in row["path"].split(", ")}
    redirected = " After the move method fixed still uses the old address, which the redirect serves."
    n = sorted({row["n"] for row in rows})
    return (
        "Session set-up delay by method: the lookup (light) and from the first packet of the user plane to the "
        f"first byte of the mobile node's service (dark); {pair or f'over {transports.pop().upper()}'}.{known} "
        "Medians, with p95 as a dot and the closed form as a black tick."
        f"{redirected if paths == {'redirect'} else ''} n = {n[0]}{f' to {n[-1]}' if len(n) > 1 else ''} "
        f"sessions a bar. {about}"
    )


def _bar(axis: Any, row: Row, place: int) -> None:
    colour = style.METHODS[row["case"].split(",")[0]].colour
    x = place + (-0.2 if row["transport"] == "udp" else 0.2)
    hatch = "" if row["transport"] == "udp" else "////"
    for bottom, height, shade in ((0.0, row["lookup_ms"], 0.4), (row["lookup_ms"], row["connect_ms"], 0.9)):
        axis.bar(x, height, 0.36, bottom=bottom, color=colour, alpha=shade, hatch=hatch, edgecolor="white", linewidth=0)
    axis.plot([x], [row["p95_ms"]], marker=".", markersize=4, color="black")
    if row["expected_ms"] is not None:
        axis.plot([x - 0.2, x + 0.2], [row["expected_ms"]] * 2, color="black", linewidth=1.2)


def _legend(axis: Any) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    axis.legend(
        handles=[
            Patch(facecolor="#999999", label="lookup"),
            Patch(facecolor="#333333", label="connect"),
            Patch(facecolor="#bbbbbb", hatch="////", edgecolor="white", label="TCP"),
            Line2D([], [], color="black", label="closed form"),
        ],
        loc="upper left",
        ncols=2,
    )


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
