"""F4: set-up delay against the distances of the server, and where the methods cross."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import EXACT_MS, About, Drawing, FigureKind, Load, Row, band, intervals
from dmmlab.experiments.figures.sweep import Item, build, link_delays, links, numbered, session_entry
from dmmlab.experiments.methods import METHODS, NAMES
from dmmlab.experiments.methods.base import SERVER
from dmmlab.experiments.oracle import delays
from dmmlab.experiments.oracle.crossings import Crossing, solve
from dmmlab.experiments.records.recording import RecordedSession, Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import CORE, RADIO, Scenario

_SERVER_MS = (1, 5, 10, 20, 40, 80)
_ENDS_MS = (1, 5, 10, 20, 40, 80)
_EACH = 5  # nothing here is a matter of chance
PANELS = {
    "server": "server to core",
    "cn": "correspondent to core",
    "mn": "mobile node's radio hop",
}
_DISTANCES = {"server": "of the server", "cn": "of the correspondent", "mn": "of the mobile node"}


def scenarios(load: Load) -> list[Scenario]:
    """The server at each distance; and correspondents and nodes at each, in one run."""
    return [*(_server(load, delay_ms) for delay_ms in _SERVER_MS), _ends(load)]


def _server(load: Load, delay_ms: float) -> Scenario:
    base = load("two-mr", {})
    keys: dict[str, Any] = {"method": list(METHODS), "repeat": _EACH, "every": "4s"}
    return build(
        load, f"f4-server-{delay_ms:g}ms", links=links(base, link_delays({(SERVER, CORE): delay_ms})),
        ddns={"ttl": "1s"}, movement=[{"at": "0s", "node": "MN1", "to": "MR1"}],
        sessions=[session_entry("S", 2, **keys)], duration="24s",
    )  # fmt: skip


def _ends(load: Load) -> Scenario:
    """Correspondents at all distances to MN1, and CN3 to mobile nodes at all distances. No two ask for the same name
    within a TTL: what one asks must not be there for the next.
    """
    base, cns, mns = load("two-mr", {}), numbered("CN", len(_ENDS_MS)), numbered("MN", len(_ENDS_MS))
    changes = link_delays({(cn, CORE): d for cn, d in zip(cns, _ENDS_MS, strict=True)})
    base_radio = base.link(RADIO, "MN1")
    far = link_delays({(RADIO, mn): d for mn, d in zip(mns[1:], _ENDS_MS[1:], strict=True)})
    changes |= far | {("CN7", CORE): {"delay": "10ms"}}
    assert base_radio is not None
    sessions: list[Item] = []
    for turn, cn in enumerate(cns):
        sessions.append(
            session_entry(f"C{turn}", 3 + 4 * turn, "MN1", cn, method=list(METHODS), repeat=_EACH, every="24s")
        )
    for turn, mn in enumerate(mns[1:]):
        at_s = 5 + 4 * turn
        sessions.append(session_entry(f"M{turn}", at_s, mn, "CN7", method=list(METHODS), repeat=_EACH, every="24s"))
    sessions.append(session_entry("M9", 125, "MN1", "CN7", method=list(METHODS), repeat=_EACH, every="4s"))
    movement = [{"at": "0s", "node": mn, "to": "MR1"} for mn in mns]
    return build(
        load, "f4-ends", links=links(base, changes), ddns={"ttl": "1s"}, movement=movement, sessions=sessions,
        duration="150s",
    )  # fmt: skip


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """UDP sessions to a node at its first router, by the three distances; a panel holds what differs in one of them."""
    groups: dict[tuple[float, float, float, str], list[tuple[float, float | None]]] = defaultdict(list)
    for run in recordings(runs):
        for session in run.sessions:
            if (
                session.from_host
                and session.spec.transport == "udp"
                and session.row.outcome == "ok"
                and session.row.path != "redirect"
            ):
                setup, expected = session.row.setup_ms, session.row.expected_setup_ms
                if setup is not None and not _cached(run, session):
                    groups[(*_distances(run, session), session.spec.method)].append((setup, expected))
    points = {key[:3] for key in groups}
    rows = []
    for axis, panel in enumerate(PANELS):
        line = _line(points, axis)
        for (*where, method), found in groups.items():
            if tuple(where) in line:
                rows.append(_row(panel, where, axis, method, found))
    return sorted(rows, key=lambda row: (list(PANELS).index(row["panel"]), NAMES.index(row["method"]), row["x_ms"]))


def _distances(run: Recording, session: RecordedSession) -> tuple[float, float, float]:
    """Of server, correspondent and mobile node, one-way, in ms."""
    radio = run.scenario.link(RADIO, session.spec.mn)
    server_ms, cn_ms = (delays.to_core_s(run.scenario, name) * 1e3 for name in (SERVER, session.spec.cn))
    return round(server_ms, 6), round(cn_ms, 6), round((radio.delay if radio else 0.0) * 1e3, 6)


def _cached(run: Recording, session: RecordedSession) -> bool:
    expected = run.expected(session)
    full_s = 2 * (
        delays.hosts_s(run.scenario, session.spec.cn, "RESOLVER") + delays.hosts_s(run.scenario, "RESOLVER", "DDNS")
    )
    return METHODS[session.spec.method].cached and expected is not None and expected.lookup_s < full_s - 1e-9


def _line(points: set[tuple[float, float, float]], axis: int) -> set[tuple[float, float, float]]:
    """The largest set of points that differ along ``axis`` alone."""
    lines: dict[tuple[float, ...], set[tuple[float, float, float]]] = defaultdict(set)
    for point in points:
        lines[point[:axis] + point[axis + 1 :]].add(point)
    longest = max(lines.values(), key=lambda line: (len(line), sorted(line)), default=set())
    return longest if len(longest) > 2 else set()


def _row(panel: str, where: Sequence[float], axis: int, method: str, found: list[tuple[float, float | None]]) -> Row:
    summary = stats.summary([setup for setup, _ in found])
    known = [expected for _, expected in found if expected is not None]
    return {
        **{"panel": panel, "method": method, "x_ms": where[axis], "n": summary.n, "setup_ms": summary.median},
        **{"low_ms": summary.low, "high_ms": summary.high, "p95_ms": summary.p95},
        "expected_ms": stats.median(known) if known else None,
    }


def crossed(rows: list[Row], panel: str) -> list[Crossing]:
    """Where the closed forms of two methods cross in a panel."""
    return solve(
        {
            method: [
                (row["x_ms"], row["expected_ms"])
                for row in rows
                if (row["panel"], row["method"]) == (panel, method) and row["expected_ms"] is not None
            ]
            for method in METHODS
        }
    )


def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """Every point against its closed form; that there is a crossing; that the measured order changes at each."""
    found = band(rows, "low_ms", "high_ms", "expected_ms", EXACT_MS + more_ms, "panel method x_ms")
    if not crossed(rows, "server"):
        found.append("no two methods cross as the server moves away, though P2P is faster than DDNS when it is near")
    for panel in PANELS:
        for crossing in crossed(rows, panel):
            lines = [
                {row["x_ms"]: row["setup_ms"] for row in rows if (row["panel"], row["method"]) == (panel, name)}
                for name in (crossing.before, crossing.after)
            ]
            for x in lines[0].keys() & lines[1].keys():
                sooner = (lines[0][x] - lines[1][x]) * (1 if x < crossing.at_ms else -1)
                if abs(x - crossing.at_ms) > EXACT_MS and sooner > EXACT_MS + more_ms:
                    found.append(f"{panel}={x:g}: {crossing.before} and {crossing.after} are in the wrong order")
    return found


def plot(rows: list[Row], about: About) -> Drawing:
    """A panel a distance: of the server, the correspondent, the mobile node."""
    panels = [panel for panel in PANELS if any(row["panel"] == panel for row in rows)]
    figure, axes = style.column(len(panels), 0.9 + 1.9 * len(panels), squeeze=False)
    words, varies = [], False
    for (axis,), panel in zip(axes, panels, strict=True):
        for method, look in style.METHODS.items():
            mine = [row for row in rows if (row["panel"], row["method"]) == (panel, method)]
            bars = intervals(mine, "low_ms", "high_ms", EXACT_MS)
            style.line(axis, look, [(r["x_ms"], r["setup_ms"]) for r in mine], bars)
            varies = varies or bool(bars)
        style.closed_form(
            axis, [(r["x_ms"], r["expected_ms"]) for r in rows if r["panel"] == panel and r["expected_ms"]]
        )
        axis.set_xlabel(f"{PANELS[panel]} (ms, one way)")
        axis.set_ylabel("set-up over UDP (ms)")
        axis.set_yscale("log")
        axis.set_xscale("log")
        ticks = sorted({row["x_ms"] for row in rows if row["panel"] == panel})
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_yticks([50, 100, 200, 500], ["50", "100", "200", "500"])
        axis.minorticks_off()
        for crossing in crossed(rows, panel):
            words.append(f"{_label(crossing.before)} and {_label(crossing.after)} at {crossing.at_ms:.1f} ms "
                         f"({PANELS[panel]})")  # fmt: skip
            axis.axvline(crossing.at_ms, color="black", linewidth=0.7, linestyle=":", zorder=0)
            axis.plot([crossing.at_ms], [crossing.delay_ms], marker="*", markersize=8, color="black", linestyle="")
            axis.text(crossing.at_ms, 1.0, f"{crossing.at_ms:.1f}", transform=axis.get_xaxis_transform(), ha="center",
                      va="top", backgroundcolor="white", fontsize=8)  # fmt: skip
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    n = min(row["n"] for row in rows)
    style.sample(figure, f"n = {n} sessions a point; {about.seeding}")
    *others, last = [_DISTANCES[panel] for panel in panels]
    cold = "; DDNS with nothing cached" if any(METHODS[row["method"]].cached for row in rows) else ""
    points = (
        "Medians with 95 % confidence intervals (the machine varies)" if varies else "Sessions of a point are alike"
    )
    caption = (
        f"Set-up delay against the one-way distance {', '.join(others)}{' and ' * bool(others)}{last}"
        f"{', one changed at a time' if others else ''}. The closed forms, which are straight lines (bent by the "
        f"logarithmic scales), cross between {'; '.join(words) or 'none'} (stars; before that point the first is the "
        f"faster). {points}, rings are the closed form{cold}. n = {n} sessions a point. {about}"
    )
    return Drawing(figure, caption)


def _label(method: str) -> str:
    return style.METHODS[method].label


FIGURE = FigureKind(
    entry=ENTRIES["F4"],
    scenarios=scenarios,
    columns=("panel", "method", "x_ms", "n", "setup_ms", "low_ms", "high_ms", "p95_ms", "expected_ms"),
    key=("panel", "method", "x_ms"),
    subject="setup_ms",
    measure=measure,
    plot=plot,
    check=check,
    claim=f"the 95 % interval of every point lies within {EXACT_MS} ms of the closed form; there is a crossing; the "
    "measured order of two methods changes where their closed forms cross",
)
