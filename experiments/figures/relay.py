"""F10: what the server carries in central mode, and the delay that it adds, against the number of sessions."""

from __future__ import annotations

from collections.abc import Sequence

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import EXACT_MS, About, Drawing, FigureKind, Load, Row
from dmmlab.experiments.figures.sweep import Item, build, links, session_entry
from dmmlab.experiments.methods import METHODS, central, p2p
from dmmlab.experiments.methods.base import SERVER
from dmmlab.experiments.oracle import delays
from dmmlab.experiments.records import pcap
from dmmlab.experiments.records.recording import RecordedSession, Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import CORE, Scenario

_STEPS = (1, 2, 4, 8, 16, 24, 32, 36)
_STEP_S, _PAUSE_S = 10.0, 5.0
_INTERVAL_S = 0.2
_RATE_KBIT = 200  # of the server's link: what 37.9 sessions fill
# Of a probe, by family: Ethernet 14, IPv4 20 or IPv6 40, UDP 8, payload 24; what netem's rate counts.
_FRAME_BYTES = {"ipv4": 66, "ipv6": 86}
_METHODS = (central.METHOD.name, p2p.METHOD.name)


def scenarios(load: Load) -> list[Scenario]:
    """More and more sessions at once, through the relay and beside it."""
    return [_busy(load, method) for method in _METHODS]


def _busy(load: Load, method: str) -> Scenario:
    """More and more sessions at once, spread evenly over the interval between two probes."""
    base = load("two-mr", {})
    sessions: list[Item] = []
    for step, count in enumerate(_STEPS):
        for number in range(count):
            at_s = 3 + step * (_STEP_S + _PAUSE_S) + number * _INTERVAL_S / count
            sessions.append(session_entry(f"S{step}n{number}", at_s, method=method, interval="200ms", duration="10s"))
    return build(
        load, f"f10-{method}", links=links(base, {(SERVER, CORE): {"rate": f"{_RATE_KBIT}kbit"}}), sessions=sessions,
        movement=[{"at": "0s", "node": "MN1", "to": "MR1"}], seed=10,
        duration=f"{10 + len(_STEPS) * (_STEP_S + _PAUSE_S):g}s",
    )  # fmt: skip


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """One row a method and number of concurrent sessions; the first and last second of each step are left out."""
    rows: list[Row] = []
    for run in recordings(runs):
        link = run.scenario.link(SERVER, CORE)
        if link is None or link.rate != _RATE_KBIT * 1e3:
            continue
        steps: dict[str, list[RecordedSession]] = {}
        for session in run.sessions:
            if (
                session.from_host
                and session.spec.method in _METHODS
                and session.spec.count >= 20
                and session.spec.interval_s == _INTERVAL_S
                and session.spec.name.startswith("S")
            ):
                steps.setdefault(session.spec.name.split("n")[0], []).append(session)
        carried = _at_server(run) if steps else []
        rows += [_row(run, found, carried) for found in steps.values() if any(session.worked for session in found)]
    return sorted(rows, key=lambda row: (row["method"], row["sessions"]))


def _at_server(run: Recording) -> list[tuple[float, int, bool]]:
    """Time (s), bytes on the wire, and whether it arrives, of each packet at the server's interface."""
    own = str(run.plan.host(SERVER).address.ip)
    return [
        ((frame.time_ns - run.start_ns) / 1e9, frame.length + 14, frame.destination == own)
        for frame in run.frames(SERVER)
        if frame.protocol in (pcap.UDP, pcap.TCP)
    ]


def _row(run: Recording, found: list[RecordedSession], carried: list[tuple[float, int, bool]]) -> Row:
    start_s = max(session.spec.at_s for session in found) + 1
    end_s = min(session.spec.at_s for session in found) + _STEP_S - 1
    mine = [(size, arrives) for at_s, size, arrives in carried if start_s <= at_s < end_s]
    rtts = [rtt for session in found for rtt in run.rtts_ms(session.spec.name, start_s, end_s)]
    summary = stats.summary(rtts)
    session = found[0]
    node, serving = session.spec.mn, session.row.serving
    direct = delays.host_to_mn_s(run.scenario, session.spec.cn, node, serving, serving) or 0
    leg = delays.host_to_mn_s(run.scenario, SERVER, node, serving, serving) or 0.0
    relayed = METHODS[session.spec.method].relayed
    way = delays.hosts_s(run.scenario, session.spec.cn, SERVER) + leg if relayed else direct
    link = run.scenario.link(SERVER, CORE)
    # Each packet crosses the server's link twice, there and back again: four times the time that it takes to send.
    frame_bytes = _FRAME_BYTES[run.scenario.family]
    sending_ms = 4 * frame_bytes * 8 / link.rate * 1e3 if relayed and link and link.rate else 0.0
    offered = len(found) * 2 * frame_bytes * 8 / _INTERVAL_S if relayed else 0.0
    return {
        **{"method": session.spec.method, "sessions": len(found), "n": summary.n},
        "packets_per_s": sum(arrives for _, arrives in mine) / (end_s - start_s),
        "kbit_per_s": sum(size for size, arrives in mine if arrives) * 8e-3 / (end_s - start_s),
        "expected_kbit_per_s": min(offered, link.rate if link and link.rate else offered) / 1e3,
        "load": offered / link.rate if link and link.rate else None,
        **{"rtt_ms": summary.median, "low_ms": summary.low, "high_ms": summary.high, "p95_ms": summary.p95},
        "added_ms": summary.median - 2e3 * direct,
        "expected_added_ms": 2e3 * (way - direct) + sending_ms,
    }


def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """The delay that an idle server adds has a closed form; queueing comes on top, and grows."""
    found, allowed = [], EXACT_MS + more_ms
    relayed = [row for row in rows if METHODS[row["method"]].relayed]
    for row in rows:
        if row["sessions"] == 1 and abs(row["added_ms"] - row["expected_added_ms"]) > allowed:
            found.append(
                f"{row['method']}, 1 session: {row['added_ms']:.3f} ms added, {row['expected_added_ms']:.3f} due"
            )
        if abs(row["kbit_per_s"] - row["expected_kbit_per_s"]) > 0.05 * row["expected_kbit_per_s"] + 0.5:
            found.append(
                f"{row['method']}, {row['sessions']} sessions: the server carries {row['kbit_per_s']:.1f} kbit/s"
            )
        if not METHODS[row["method"]].relayed and abs(row["added_ms"]) > allowed:
            found.append(f"{row['method']}, {row['sessions']} sessions: {row['added_ms']:.3f} ms added without a relay")
    if relayed and max(row["rtt_ms"] for row in relayed) <= relayed[0]["rtt_ms"]:
        found.append("the relay's delay does not grow with the number of sessions")
    return found


def plot(rows: list[Row], about: About) -> Drawing:
    """What arrives at the server (left), what the relay adds to the round trip (right)."""
    figure, (left, right) = style.figure(ncols=2)
    for method in _METHODS:
        look = style.METHODS[method]
        mine = [row for row in rows if row["method"] == method]
        style.line(left, look, [(row["sessions"], row["kbit_per_s"]) for row in mine])
        bars = [(row["low_ms"] - row["rtt_ms"] + row["added_ms"], row["high_ms"] - row["rtt_ms"] + row["added_ms"])
                for row in mine]  # fmt: skip
        style.line(
            right, look._replace(label=f"{look.label}, median"), [(r["sessions"], r["added_ms"]) for r in mine], bars
        )
        tail = [(row["sessions"], row["p95_ms"] - row["rtt_ms"] + row["added_ms"]) for row in mine]
        style.line(right, look._replace(dash="", label=f"{look.label}, p95"), tail, markerfacecolor="none")
    style.closed_form(left, [(row["sessions"], row["expected_kbit_per_s"]) for row in rows])
    style.closed_form(right, [(r["sessions"], r["expected_added_ms"]) for r in rows], "closed form, no queue")
    left.axhline(_RATE_KBIT, color="black", linewidth=0.8, linestyle="--")
    left.annotate("rate of the server's link", (max(_STEPS), _RATE_KBIT), xytext=(0, 3), textcoords="offset points",
                  ha="right", fontsize=7)  # fmt: skip
    for axis in (left, right):
        axis.set_xlabel("concurrent sessions")
    left.set_ylim(0, 1.3 * _RATE_KBIT)
    left.set_ylabel("user plane into the server (kbit/s)")
    right.set_ylabel("round trip beyond the direct path's (ms)")
    left.legend(loc="center left")
    right.legend(loc="upper left")
    right.set_ylim(-2, 1.5 * max(row["p95_ms"] - row["rtt_ms"] + row["added_ms"] for row in rows))
    no_time = "Processing takes no time here: what a server's processor adds is not in the figure. "
    offered = next(row for row in rows if row["expected_kbit_per_s"])  # by few sessions, which the link can carry
    frame_bytes = round(offered["expected_kbit_per_s"] * 1e3 * _INTERVAL_S / 16 / offered["sessions"])
    caption = (
        f"Left: what arrives at the registration server, whose link carries {_RATE_KBIT} kbit/s, against the "
        f"number of sessions of {1 / _INTERVAL_S:g} probes ({frame_bytes} bytes on the wire) a second each. "
        "Right: how much longer the round trip is than that of the direct path: the way by the server, four times "
        "the sending of a packet on its link, and queueing as that fills. Medians with 95 % confidence intervals "
        f"and p95; n = {min(row['n'] for row in rows)} to {max(row['n'] for row in rows)} probes a point. "
        f"{no_time if all('virtual' in each for each in about.runtimes) else ''}{about}"
    )
    return Drawing(figure, caption)


FIGURE = FigureKind(
    entry=ENTRIES["F10"],
    scenarios=scenarios,
    columns=(
        *("method", "sessions", "n", "packets_per_s", "kbit_per_s", "expected_kbit_per_s", "load"),
        *("rtt_ms", "low_ms", "high_ms", "p95_ms", "added_ms", "expected_added_ms"),
    ),
    key=("method", "sessions"),
    subject="rtt_ms",
    measure=measure,
    plot=plot,
    check=check,
    claim="the load is that of the closed form within 5 %; one session's added delay within "
    f"{EXACT_MS:g} ms; P2P adds none",
)
