"""F4: set-up delay against the distances of the server, and where the methods cross."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import EXACT_MS, About, Drawing, FigureKind, Load, Row, band
from dmmlab.experiments.figures.sweep import Item, build, link_delays, links, numbered, session_entry
from dmmlab.experiments.methods import METHODS, NAMES
from dmmlab.experiments.methods.base import SERVER
from dmmlab.experiments.oracle import delays
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


def crossings(rows: list[Row], panel: str) -> list[tuple[float, float, str, str]]:
    """Where two methods' lines cross: distance, delay (ms), and the two, the one that is faster before it first."""
    lines = {
        method: sorted(
            (row["x_ms"], row["setup_ms"]) for row in rows if (row["panel"], row["method"]) == (panel, method)
        )
        for method in METHODS
    }
    found: list[tuple[float, float, str, str]] = []
    for one, two in combinations(METHODS, 2):
        for (x1, a1), (x2, a2) in pairwise(lines[one]):
            other = dict(lines[two])
            if x1 not in other or x2 not in other:
                continue
            before, after = a1 - other[x1], a2 - other[x2]
            if before * after < 0 and min(abs(before), abs(after)) > 2 * EXACT_MS:
                share = before / (before - after)
                found.append(
                    (x1 + share * (x2 - x1), a1 + share * (a2 - a1), *((one, two) if before < 0 else (two, one)))
                )
    return found


def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """Every point against its closed form; and that there is a crossing."""
    found = band(rows, "low_ms", "high_ms", "expected_ms", EXACT_MS + more_ms, "panel method x_ms")
    if not crossings(rows, "server"):
        found.append("no two methods cross as the server moves away, though P2P is faster than DDNS when it is near")
    return found


def plot(rows: list[Row], about: About) -> Drawing:
    """A panel a distance: of the server, the correspondent, the mobile node."""
    panels = [panel for panel in PANELS if any(row["panel"] == panel for row in rows)]
    figure, axes = style.figure(ncols=len(panels), height_in=3.3, sharey=True, squeeze=False)
    crossed = []
    for axis, panel in zip(axes[0], panels, strict=True):
        for method, look in style.METHODS.items():
            mine = [row for row in rows if (row["panel"], row["method"]) == (panel, method)]
            style.line(
                axis, look, [(r["x_ms"], r["setup_ms"]) for r in mine], [(r["low_ms"], r["high_ms"]) for r in mine]
            )
        style.closed_form(
            axis, [(r["x_ms"], r["expected_ms"]) for r in rows if r["panel"] == panel and r["expected_ms"]]
        )
        axis.set_xlabel(f"{PANELS[panel]} (ms)")
        for x, _, one, two in crossings(rows, panel):
            crossed.append(f"{style.METHODS[one].label} and {style.METHODS[two].label} at {x:.1f} ms ({PANELS[panel]})")
    axes[0][0].set_ylabel("set-up delay over UDP (ms)")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
    *others, last = [_DISTANCES[panel] for panel in panels]
    cold = "; DDNS with nothing cached" if any(METHODS[row["method"]].cached for row in rows) else ""
    caption = (
        f"Set-up delay against the one-way distance {', '.join(others)}{' and ' * bool(others)}{last}"
        f"{', one changed at a time' if others else ''}. Lines cross between {'; '.join(crossed) or 'none'} (before "
        f"that point the first is the faster). Medians with 95 % confidence intervals, rings the closed form{cold}. "
        f"n = {min(row['n'] for row in rows)} sessions a point. {about}"
    )
    return Drawing(figure, caption)


FIGURE = FigureKind(
    entry=ENTRIES["F4"],
    scenarios=scenarios,
    columns=("panel", "method", "x_ms", "n", "setup_ms", "low_ms", "high_ms", "p95_ms", "expected_ms"),
    key=("panel", "method", "x_ms"),
    subject="setup_ms",
    measure=measure,
    plot=plot,
    check=check,
    claim=f"the 95 % interval of every point lies within {EXACT_MS} ms of the closed form, and there is a crossing",
)
