"""F17: goodput of iperf3 over TCP through a move, with redirect and without, and what it takes TCP to notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dmmlab.experiments.analysis import programs
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import About, Drawing, FigureError, FigureKind, Load, Row
from dmmlab.experiments.figures.sweep import build
from dmmlab.experiments.methods.base import Look
from dmmlab.experiments.oracle.retransmission import longest_silence_s
from dmmlab.experiments.records.recording import Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.programs import SERVER

_RATE_MBPS = 10.0
_BIN_S, _LEAD_S, _TRAIL_S = 0.02, 0.2, 0.6  # of goodput, and of time around the move that is drawn
_STEADY_S = 2.0  # before the move, in which the rate must be what was asked for, less what is kept already
_ROUNDING_MS = 0.001
_SESSION = {
    "name": "T",
    "at": "5s",
    "from": "CN1",
    "to": "MN1",
    "duration": "11s",
    "run": {
        "server": "iperf3 -s -1 -p {port}",
        # a write of 1,250 bytes every millisecond: what the radio takes away is 50 of them
        "client": "iperf3 -c {address} -p {port} -t 10 -b 10M -l 1250 --json",
    },
}
_OVERLAP = [{"at": "0s", "node": "MN1", "to": "MR1"}, {"at": "10s", "node": "MN1", "to": "MR2", "overlap": "200ms"}]
CASES: Mapping[str, Mapping[str, Any]] = {
    "with redirect": {},
    "announced": {"handover": {"announce": "100ms"}},
    "announced and kept": {"handover": {"announce": "100ms", "buffer": True}},
    "two radios": {"movement": _OVERLAP},
    "without redirect": {"redirect": False},
}
LOOKS = dict(zip(CASES, (style.REDIRECT[True], *style.SERIES[2:5], style.REDIRECT[False]), strict=True))


def scenarios(load: Load) -> list[Scenario]:
    """The shipped network and its move, one session, each case."""
    keys = {"sessions": [_SESSION], "duration": "18s"}
    return [build(load, f"f17-{case.replace(' ', '-')}", **{**keys, **more}) for case, more in CASES.items()]


def _case(run: Recording) -> str:
    scenario = run.scenario
    if not scenario.redirect:
        return "without redirect"
    if any(move.overlap is not None for move in scenario.movement):
        return "two radios"
    announced = "announced and kept" if scenario.handover.buffer else "announced"
    return announced if scenario.handover.announce is not None else "with redirect"


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """Of each case its goodput around the move, in steps; its longest silence, and the closed form."""
    rows: list[Row] = []
    for run in recordings(runs):
        for spec in run.specs:
            moves = [row for row in run.program_moves if (row.session, row.role) == (spec.name, SERVER)]
            if spec.entry.run is not None and moves and moves[0].mn == spec.mn:
                rows += _rows(run, spec.name)
                break
    if runs and not rows and any(programs.unsupported(run, spec) for run in recordings(runs) for spec in run.specs):
        raise FigureError("F17: iperf3 is not installed where these runs were made")
    return rows


def _rows(run: Recording, session: str) -> list[Row]:
    (spec,) = [spec for spec in run.specs if spec.name == session]
    (move,) = [row for row in run.program_moves if (row.session, row.role) == (session, SERVER)][:1]
    before, after = run.scenario.moves_of(spec.mn)[:2]
    traffic, case = programs.traffic_of(run, spec, SERVER), _case(run)
    detach_ns = run.start_ns + round(after.at * 1e9)
    rows: list[Row] = []
    width_ns = round(_BIN_S * 1e9)
    for turn in range(-round(_LEAD_S / _BIN_S), round(_TRAIL_S / _BIN_S)):
        came = traffic.bytes_in(detach_ns + turn * width_ns, detach_ns + (turn + 1) * width_ns)
        rows.append(
            {
                "panel": "goodput",
                "case": case,
                "since_ms": round(turn * _BIN_S * 1e3, 3),
                "mbps": came * 8 / _BIN_S / 1e6,
            }
        )
    bounds = [longest_silence_s(run.scenario, spec.cn, before, after, linux) for linux in (False, True)]
    rows.append(
        {
            "panel": "silence",
            "case": case,
            "before_mbps": move.before_mbps,
            "kept_ms": _kept_s(run.scenario) * 1e3,
            "silence_ms": (move.longest_silence_s or 0.0) * 1e3,
            "rfc6298_ms": None if bounds[0] is None else bounds[0] * 1e3,
            "linux_ms": None if bounds[1] is None else bounds[1] * 1e3,
        }
    )
    return rows


def _kept_s(scenario: Scenario) -> float:
    """How long before the node leaves its router already keeps what comes for it."""
    handover = scenario.handover
    return (handover.announce or 0.0) if handover.buffer else 0.0


def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """The rate before, the silence against its bound, and that nothing comes where nothing is redirected."""
    found = [f"there is no run {case}" for case in CASES if not any(row["case"] == case for row in rows)]
    for row in (row for row in rows if row["panel"] == "silence"):
        case = row["case"]
        due_mbps = _RATE_MBPS * (1 - row["kept_ms"] / 1e3 / _STEADY_S)
        if abs(row["before_mbps"] - due_mbps) > 0.02 * _RATE_MBPS:
            found.append(f"{case}: {row['before_mbps']:.3f} Mbit/s before the move, {due_mbps:g} asked for")
        if row["linux_ms"] is not None and row["silence_ms"] > row["linux_ms"] + _ROUNDING_MS + more_ms:
            found.append(f"{case}: silent for {row['silence_ms']:.3f} ms, at most {row['linux_ms']:.3f} by the timer")
        later = [r for r in rows if r["panel"] == "goodput" and r["case"] == case and r["since_ms"] >= 0]
        if row["linux_ms"] is None and any(r["mbps"] for r in later):
            found.append(f"{case}: something arrived after the move")
        if row["linux_ms"] is not None and not any(r["mbps"] for r in later):
            found.append(f"{case}: nothing arrived after the move")
    return found


def plot(rows: list[Row], about: About) -> Drawing:
    """Goodput over time, the cases in one panel; beside it the longest silence of each, and the timer's bounds."""
    figure, (axis, beside) = style.figure(ncols=2, width_ratios=(2.2, 1))
    words = []
    for case, look in LOOKS.items():
        mine = [row for row in rows if row["panel"] == "goodput" and row["case"] == case]
        axis.step(
            [row["since_ms"] for row in mine],
            [row["mbps"] for row in mine],
            where="post",
            color=look.colour,
            linestyle=look.dash,
            label=case,
        )
        for row in (row for row in rows if row["panel"] == "silence" and row["case"] == case):
            bound = "it has no end" if row["rfc6298_ms"] is None else _bound(row)
            words.append(f"{case}, {row['silence_ms']:.0f} ms ({bound})")
    axis.axvspan(0, 50, color="#e4e4e4", zorder=0, label="no radio link (but with two)")
    axis.set_xlabel("time since the radio link went (ms)")
    axis.set_ylabel("goodput at the mobile node (Mbit/s)")
    axis.set_ylim(0, 1.5 * max(row["mbps"] for row in rows if row["panel"] == "goodput"))  # the legend is above all
    axis.legend(loc="upper right", ncols=2, fontsize=6.5, columnspacing=1.0, handlelength=1.6)
    _silences(beside, rows, LOOKS)
    caption = (
        "iperf3 sends 10 Mbit/s by TCP to the mobile node's first address, while that moves on. Goodput is what its "
        f"reader can have, in steps of {_BIN_S * 1e3:g} ms, from the kernel's capture at the mobile node: bytes behind "
        "a gap count when it is filled. The longest time without any: "
        f"{'; '.join(words)}. n = 1 each. {about}"
    )
    return Drawing(figure, caption)


def _silences(axis: Any, rows: list[Row], looks: Mapping[str, Look]) -> None:
    """A line a case: what was measured, and the bounds."""
    mine = [row for row in rows if row["panel"] == "silence"]
    for place, row in enumerate(mine):
        look = looks[row["case"]]
        marker = look.marker if row["rfc6298_ms"] is not None else ">"
        label = "measured" if place == 0 else None
        axis.plot([row["silence_ms"]], [-place], color=look.colour, marker=marker, linestyle="", label=label)
        for bound, sign, what in (
            ("linux_ms", "o", "at most, Linux's timer"),
            ("rfc6298_ms", "s", "at most, RFC 6298's"),
        ):
            if row[bound] is not None:
                axis.plot([row[bound]], [-place], marker=sign, markersize=8, markerfacecolor="none", linestyle="",
                          markeredgecolor="#000000", markeredgewidth=0.6, label=what * (place == 0))  # fmt: skip
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_yticks([-place for place in range(len(mine))], [row["case"].replace(" ", "\n", 1) for row in mine])
    axis.set_ylim(-len(mine) + 0.5, 1.8)
    axis.set_xlabel("longest silence (ms)")
    axis.legend(loc="upper left")


def _bound(row: Row) -> str:
    return (
        f"by the retransmission timer alone at most {row['rfc6298_ms']:.0f} ms with RFC 6298's least of 1 s, "
        f"{row['linux_ms']:.0f} ms with Linux's"
    )


FIGURE = FigureKind(
    entry=ENTRIES["F17"],
    scenarios=scenarios,
    columns=("panel", "case", "since_ms", "mbps", "before_mbps", "kept_ms", "silence_ms", "rfc6298_ms", "linux_ms"),
    key=("panel", "case", "since_ms"),
    subject="mbps",
    measure=measure,
    plot=plot,
    check=check,
    claim="10 Mbit/s before the move; no silence beyond the retransmission timer's; nothing without the redirect",
)
