"""F10: what the server carries in central mode, and the delay that it adds, against the number of sessions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import EXACT_MS, About, Drawing, FigureKind, Load, Row
from dmmlab.experiments.figures.sweep import Item, build, links, session_entry
from dmmlab.experiments.methods import METHODS, central, p2p
from dmmlab.experiments.methods.base import SERVER
from dmmlab.experiments.oracle import delays
from dmmlab.experiments.oracle import relay as oracle
from dmmlab.experiments.records import pcap
from dmmlab.experiments.records.recording import RecordedSession, Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import CORE, Scenario

_STEPS = {central.METHOD.name: (1, 4, 8, 16, 24, 30, 34, 44), p2p.METHOD.name: (1, 8, 24)}
_STEP_S, _PAUSE_S = 28.0, 10.0
_OPENED_S, _WINDOW_S = 4.0, 17.0  # of a step: when all are open and what was said for that is over; what is looked at
_INTERVAL_S = 0.2
_RATE_KBIT = 200  # of the server's link: what 37.9 sessions fill
# Of a probe, by family: Ethernet 14, IPv4 20 or IPv6 40, UDP 8, payload 24; what netem's rate counts.
_FRAME_BYTES = {"ipv4": 66, "ipv6": 86}
_OF_MD1 = (0.65, 1.4)  # how the wait may differ from M/D/1's: answers come back as the queue let the probes go


def scenarios(load: Load) -> list[Scenario]:
    """More and more sessions at once, through the relay and beside it."""
    return [_busy(load, method) for method in _STEPS]


def _busy(load: Load, method: str) -> Scenario:
    """More and more sessions at once, each of which sends at random times, as a Poisson process."""
    base = load("two-mr", {})
    sessions: list[Item] = []
    for step, count in enumerate(_STEPS[method]):
        for number in range(count):
            at_s = 3 + step * (_STEP_S + _PAUSE_S) + number * 2.0 / count
            keys = {"interval": "200ms", "spacing": "random", "duration": f"{_STEP_S:g}s"}
            sessions.append(session_entry(f"S{step}n{number}", at_s, method=method, **keys))
    return build(
        load, f"f10-{method}", links=links(base, {(SERVER, CORE): {"rate": f"{_RATE_KBIT}kbit"}}), sessions=sessions,
        movement=[{"at": "0s", "node": "MN1", "to": "MR1"}], seed=10,
        duration=f"{10 + len(_STEPS[method]) * (_STEP_S + _PAUSE_S):g}s",
    )  # fmt: skip


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """One row a method and number of concurrent sessions; of each step the time in which all of them are open."""
    rows: list[Row] = []
    for run in recordings(runs):
        link = run.scenario.link(SERVER, CORE)
        if link is None or link.rate != _RATE_KBIT * 1e3:
            continue
        steps: dict[str, list[RecordedSession]] = defaultdict(list)
        for session in run.sessions:
            entry = session.spec.entry
            own = session.spec.name.startswith("S") and session.from_host and session.spec.method in _STEPS
            if own and entry.spacing == "random" and session.spec.interval_s == _INTERVAL_S:
                steps[session.spec.name.split("n")[0]].append(session)
        carried = _at_server(run) if steps else []
        rows += [_row(run, found, carried) for found in steps.values() if any(session.worked for session in found)]
    return sorted(rows, key=lambda row: (row["method"], row["sessions"]))


def _at_server(run: Recording) -> list[tuple[float, int]]:
    """When (s) each packet arrives at the server, and its bytes on the wire."""
    own = str(run.plan.host(SERVER).address.ip)
    return [
        ((frame.time_ns - run.start_ns) / 1e9, frame.length + 14)
        for frame in run.frames(SERVER)
        if frame.protocol in (pcap.UDP, pcap.TCP) and frame.destination == own
    ]


def _row(run: Recording, found: list[RecordedSession], carried: list[tuple[float, int]]) -> Row:
    start_s = min(session.spec.at_s for session in found) + _OPENED_S
    end_s = start_s + _WINDOW_S
    scenario, spec = run.scenario, found[0].spec
    relayed = METHODS[spec.method].relayed
    link = scenario.link(SERVER, CORE)
    sending_s = _FRAME_BYTES[scenario.family] * 8 / link.rate if link and link.rate else 0.0
    load = len(found) * 2 * sending_s / _INTERVAL_S if relayed else 0.0  # each probe comes to it, and its answer
    serving = found[0].row.serving
    direct_s = delays.host_to_mn_s(scenario, spec.cn, spec.mn, serving, serving) or 0.0
    before_s = delays.hosts_s(scenario, spec.cn, SERVER)
    beyond_s = delays.host_to_mn_s(scenario, SERVER, spec.mn, serving, serving) or 0.0
    base_s = 2 * (before_s + beyond_s) + oracle.SENDINGS * sending_s if relayed else 2 * direct_s
    sent = sorted((probe.sent_s, probe.rtt_ms) for session in found for probe in run.probes[session.spec.name])
    due_s = (
        oracle.round_trips_s([at_s for at_s, _ in sent], before_s, beyond_s, sending_s) if relayed
        else [base_s] * len(sent)
    )  # fmt: skip
    looked_at = [(at_s, rtt_ms, due * 1e3) for (at_s, rtt_ms), due in zip(sent, due_s, strict=True)
                 if start_s <= at_s < end_s and rtt_ms is not None]  # fmt: skip
    seconds: dict[int, list[float]] = defaultdict(list)
    for at_s, rtt_ms, _ in looked_at:
        seconds[int(at_s - start_s)].append(rtt_ms - 2e3 * direct_s)
    low, high = stats.ratio_interval([(sum(values), len(values)) for values in seconds.values()], 0.01)
    added = [rtt_ms - 2e3 * direct_s for _, rtt_ms, _ in looked_at]
    arrived = [size for at_s, size in carried if start_s <= at_s < end_s]
    wait_s = oracle.waiting_s(load, sending_s)
    return {
        **{"method": spec.method, "sessions": len(found), "n": len(added), "load": load},
        "kbit_per_s": sum(arrived) * 8e-3 / _WINDOW_S,
        "expected_kbit_per_s": min(load, 1.0) * _RATE_KBIT,
        **{"added_ms": stats.mean(added), "low_ms": low, "high_ms": high, "p95_ms": stats.quantile(added, 0.95)},
        "expected_added_ms": stats.mean([due - 2e3 * direct_s for _, _, due in looked_at]),
        "off_max_ms": max(abs(rtt_ms - due) for _, rtt_ms, due in looked_at),
        "still_ms": 1e3 * (base_s - 2 * direct_s),  # without a queue
        "md1_added_ms": None if wait_s is None else 1e3 * (base_s - 2 * direct_s + 2 * wait_s * relayed),
        "growth": _slope([(at_s, rtt_ms / 1e3) for at_s, rtt_ms, _ in looked_at]),
        "expected_growth": oracle.growth(load) if load > 1 else None,
        "lost": sum(rtt_ms is None for at_s, rtt_ms in sent if start_s <= at_s < end_s),
    }


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line that is nearest (least squares)."""
    middle_x, middle_y = (stats.mean([point[axis] for point in points]) for axis in (0, 1))
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / sum((x - middle_x) ** 2 for x, _ in points)


def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """Every probe waits as the queue has it; means are M/D/1's; more sessions wait longer; overload grows by the
    line.
    """
    found, allowed = [], EXACT_MS + more_ms
    relayed = [row for row in rows if METHODS[row["method"]].relayed]
    for row in rows:
        point = f"{row['method']}, {row['sessions']} sessions"
        if row["load"] < 1 and row["off_max_ms"] > allowed:
            found.append(f"{point}: a probe is {row['off_max_ms']:.3f} ms off the queue's closed form")
        if abs(row["kbit_per_s"] - row["expected_kbit_per_s"]) > 0.1 * row["expected_kbit_per_s"] + 0.5:
            found.append(f"{point}: the server carries {row['kbit_per_s']:.1f} kbit/s")
        if not METHODS[row["method"]].relayed and abs(row["added_ms"]) > allowed:
            found.append(f"{point}: {row['added_ms']:.3f} ms added without a relay")
        if row["md1_added_ms"] is not None:
            still_ms, wait_ms = row["still_ms"], row["md1_added_ms"] - row["still_ms"]
            least, most = (still_ms + share * wait_ms for share in _OF_MD1)
            if row["high_ms"] < least - allowed or row["low_ms"] > most + allowed:
                found.append(f"{point}: {row['added_ms']:.3f} ms added, {row['md1_added_ms']:.3f} by M/D/1")
        if row["expected_growth"] is not None and abs(row["growth"] / row["expected_growth"] - 1) > _GROWTH:
            found.append(f"{point}: the round trip grows by {row['growth']:.3f} s/s, {row['expected_growth']:.3f} due")
    if any(after["added_ms"] <= before["added_ms"] for before, after in pairwise(relayed)):
        found.append("the relay's delay does not grow with the number of sessions")
    if not any(row["load"] > 1 for row in relayed):
        found.append("no step with more than the link can carry")
    return found


_GROWTH = 0.35  # a queue of chance, for so short a time


def plot(rows: list[Row], about: About) -> Drawing:
    """What arrives at the server (top), what the relay adds to the round trip (bottom)."""
    figure, (top, bottom) = style.column(2, 4.6, height_ratios=(1, 1.5))
    for method in _STEPS:
        look = style.METHODS[method]
        mine = [row for row in rows if row["method"] == method]
        style.line(top, look._replace(dash=""), [(row["sessions"], row["kbit_per_s"]) for row in mine])
        if METHODS[method].relayed:  # the others add nothing, which a logarithm cannot show
            bars = [(row["low_ms"], row["high_ms"]) for row in mine]
            points = [(row["sessions"], row["added_ms"]) for row in mine]
            style.line(bottom, look._replace(dash="", label=f"{look.label}, mean"), points, bars)
    relayed = [row for row in rows if METHODS[row["method"]].relayed]
    style.closed_form(
        bottom, [(row["sessions"], row["expected_added_ms"]) for row in relayed], "closed form of the queue"
    )
    most = max((row["sessions"] for row in relayed), default=1)
    counts = [count / 10 for count in range(1, 10 * most)]
    carried = [(count, row["load"] / row["sessions"] * count) for row in relayed[:1] for count in counts]
    offered = [min(load, 1.0) * _RATE_KBIT for _, load in carried]
    words = "offered, up to the link's rate"
    top.plot([x for x, _ in carried], offered, color="black", linewidth=0.8, label=words)
    if relayed:
        first = relayed[0]
        unit_s = first["load"] / first["sessions"] * _INTERVAL_S / 2  # of sending one packet
        still = first["still_ms"]
        curve = [
            (x, still + 2e3 * wait) for x, load in carried if (wait := oracle.waiting_s(load, unit_s)) and load < 0.985
        ]
        bottom.plot(*zip(*curve, strict=True), color="black", linewidth=0.9, label="M/D/1")
        full = first["sessions"] / first["load"]
        for axis in (top, bottom):
            axis.axvline(full, color="black", linewidth=0.6, linestyle="--")
        bottom.annotate("link full", (full, 45), xytext=(-3, 0), textcoords="offset points", rotation=90, ha="right",
                        va="bottom", fontsize=7)  # fmt: skip
    bottom.set_yscale("log")
    bottom.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    bottom.set_ylim(bottom=40)
    if any(not METHODS[row["method"]].relayed and row["added_ms"] < EXACT_MS for row in rows):
        bottom.text(0.03, 0.04, "P2P adds nothing", transform=bottom.transAxes, fontsize=7)
    bottom.set_ylabel("added to the round trip (ms)")
    bottom.set_xlabel("concurrent sessions")
    top.set_ylabel("into the server (kbit/s)")
    top.legend(loc="upper left", fontsize=6.5)
    bottom.legend(loc="upper left", bbox_to_anchor=(0.0, 0.97), fontsize=6.5)
    n = [row["n"] for row in rows] or [0]
    style.sample(figure, f"{min(n)}-{max(n)} probes a point, at random times; {about.seeding}")
    return Drawing(figure, _caption(rows, about))


def _caption(rows: list[Row], about: About) -> str:
    over = [row for row in rows if row["load"] > 1]
    grows = (
        f"With {over[0]['sessions']} sessions more comes than the link can carry, the queue grows for as long as that "
        f"lasts, and the round trip by {over[0]['growth']:.2g} s each second ({over[0]['expected_growth']:.2g} by the "
        "closed form). "
        if over else ""
    )  # fmt: skip
    no_time = "Processing takes no time here: what a server's processor adds is not in the figure. "
    return (
        f"Top: what arrives at the registration server, whose link carries {_RATE_KBIT} kbit/s, against the number of "
        f"sessions, each of {1 / _INTERVAL_S:g} probes a second at random times (Poisson). Bottom: how much longer the "
        "round trip is than that of the direct path: the way by the server, four times the sending of a packet on its "
        "link, and waiting as that fills. Means with 99 % confidence intervals (Student's, over seconds); rings: the "
        "queue that these probes make, packet by packet; line: the mean wait of M/D/1, twice, which it is not quite, "
        f"since answers come to the queue as it let the probes go. {grows}"
        f"{no_time if all('virtual' in each for each in about.runtimes) else ''}{about}"
    )


FIGURE = FigureKind(
    entry=ENTRIES["F10"],
    scenarios=scenarios,
    columns=(
        *("method", "sessions", "n", "load", "kbit_per_s", "expected_kbit_per_s"),
        *("added_ms", "low_ms", "high_ms", "p95_ms", "expected_added_ms", "off_max_ms", "still_ms", "md1_added_ms"),
        *("growth", "expected_growth", "lost"),
    ),
    key=("method", "sessions"),
    subject="added_ms",
    measure=measure,
    plot=plot,
    check=check,
    claim=f"every probe's round trip is that of the queue within {EXACT_MS:g} ms; the mean wait is {_OF_MD1[0]:g} "
    f"to {_OF_MD1[1]:g} times that of M/D/1; the delay grows with every step, and in overload by the closed "
    "form's line; P2P adds none",
)
