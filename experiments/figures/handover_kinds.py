"""F16: kinds of handover, and the longest time that a user hears nothing in each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from dmmlab.experiments.analysis import silence
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import EXACT_MS, About, Drawing, FigureKind, Load, Row
from dmmlab.experiments.figures.sweep import Item, build, links, ms, seconds, session_entry
from dmmlab.experiments.methods.base import Look
from dmmlab.experiments.oracle.silence import longest_by_movement_s
from dmmlab.experiments.records.recording import Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import RADIO, Scenario


class Kind(NamedTuple):
    """A kind of handover: its title, its look where gaps are swept, the key ``handover``, the radio delay at MR2."""

    title: str
    look: Look | None
    handover: Item
    radio_ms: float | None = None


_ANNOUNCE_MS, _OVERLAP_MS, _SLOW_MS = 100, 200, 20
_TOLD, _KEPT = {"announce": ms(_ANNOUNCE_MS)}, {"buffer": True}
KINDS = {
    "break": Kind("break before make", Look("#000000", "o", "-", "break before make"), {}),
    "announced": Kind("announced", Look("#0072B2", "s", "--", "announced"), _TOLD),
    "buffered": Kind("buffered", Look("#E69F00", "^", "-.", "buffered"), _KEPT),
    "both": Kind("announced, buffered", Look("#009E73", "D", ":", "announced, buffered"), {**_TOLD, **_KEPT}),
    "overlap": Kind("make before break", None, {}),
    "vertical": Kind("the same, to a slow radio", None, {}, _SLOW_MS),
}
LOSSLESS = ("both", "overlap", "vertical")  # of a session that a host opens
IN_ORDER = ("both", "overlap")  # from a slow radio to a fast one, what is sent later may arrive before
_GAPS_MS = (0, 20, 200, 50, 1000, 5000)  # in the order in which a node has them, there and back
_DRAWN_MS = 200
_FIRST_S, _EVERY_S, _PROBE_S = 4, 3, 0.02
# Probes that meet no switch in the 5 ms after a redirect in which it may still do what it has cached: else there would
# be no closed form.
_SESSION_S = 2.006
_LEAD_S, _TRAIL_S = 0.2, 0.5  # around the movement that is drawn


def scenarios(load: Load) -> list[Scenario]:
    """Each kind in IPv4 and in IPv6: a node goes there and back, with each gap once, or an overlap."""
    return [_scenario(load, kind, family) for family in ("ipv4", "ipv6") for kind in KINDS]


def _scenario(load: Load, kind: str, family: str) -> Scenario:
    how, base, at_s = KINDS[kind], load("two-mr", {}), float(_FIRST_S)
    movement: list[Item] = [{"at": "0s", "node": "MN1", "to": "MR1"}]
    for turn, gap_ms in enumerate(_GAPS_MS if how.look is not None else (_OVERLAP_MS, _OVERLAP_MS)):
        link = {"gap": ms(gap_ms)} if how.look is not None else {"overlap": ms(gap_ms)}
        movement.append({"at": seconds(at_s), "node": "MN1", "to": "MR2" if turn % 2 == 0 else "MR1", **link})
        at_s += _EVERY_S + gap_ms / 1e3
    probes: Item = {
        "interval": seconds(_PROBE_S),
        "duration": seconds(at_s - _FIRST_S + 2),
        "transport": ["udp", "tcp"],
    }
    radios: list[Item] = []
    if how.radio_ms is not None:
        radios.append({"between": [RADIO, "MN1"], "at": "MR2", "delay": ms(how.radio_ms)})
    return build(
        load,
        f"f16-{kind}-{family}",
        family=family,
        links=[*links(base, {}), *radios],
        movement=movement,
        handover=how.handover,
        sessions=[session_entry("P", _SESSION_S, cn="CN1", **probes | {"transport": ["udp", "tcp"]})],
        duration=seconds(at_s + 2),
    )


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """The longest silence of each session in each movement, and the probes around the one that is drawn."""
    rows: list[Row] = []
    for run in recordings(runs):
        kind = _kind(run.scenario)
        if kind is not None:
            about: Row = {"kind": kind, "family": run.scenario.family}
            rows += [{**about, **row} for row in (*_silences(run), *_drawn(run, kind))]
    return rows


def _kind(scenario: Scenario) -> str | None:
    """Which kind its movements are; None if it has none."""
    moves = scenario.moves_of(scenario.mobile_nodes[0])[1:]
    if not moves:
        return None
    if moves[0].overlap is not None:
        return "vertical" if any(link.at for link in scenario.links) else "overlap"
    told, kept = scenario.handover.announce is not None, scenario.handover.buffer
    return {(False, False): "break", (True, False): "announced", (False, True): "buffered"}.get((told, kept), "both")


def _silences(run: Recording) -> Iterator[Row]:
    scenario = run.scenario
    for session in run.sessions:
        spec = session.spec
        if spec.interval_s is None or spec.mn not in scenario.mobile_nodes:
            continue
        moves, expected = scenario.moves_of(spec.mn), longest_by_movement_s(scenario, spec)
        handovers = [row for row in run.handovers if row.mn == spec.mn]  # one a movement, in order
        answers = [row for row in run.probe_rows if row.session == spec.name]
        times = [row.received_s for row in answers if row.received_s is not None]
        for turn in range(1, len(moves)):
            move = moves[turn]
            lead_s = scenario.handover.announce or 0.0 if move.overlap is None else 0.0
            until_s = moves[turn + 1].at - lead_s if turn + 1 < len(moves) else math.inf
            measured_s = silence.longest(times, spec.transport == "tcp", move.at - lead_s, until_s)
            if measured_s is None:
                continue
            expected_s = expected.get(turn)
            mine = [row for row in answers if row.sent_s is None or move.at - lead_s - 1 < row.sent_s < until_s - 1]
            came = [row.received_s for row in mine if row.received_s is not None]
            yield {
                "panel": "silence",
                "transport": spec.transport,
                "number": turn,
                "gap_ms": (move.gap if move.overlap is None else -move.overlap) * 1e3,
                "silence_ms": measured_s * 1e3,
                "expected_ms": None if expected_s is None else expected_s * 1e3,
                "lost": len(mine) - len(came),
                "disordered": sum(after < before for before, after in pairwise(came)),
                "buffered": handovers[turn - 1].buffered_packets,
            }


def _drawn(run: Recording, kind: str) -> Iterator[Row]:
    """The probes of the session over UDP around the movement whose gap or overlap is that which is drawn."""
    scenario = run.scenario
    wanted_s = (_DRAWN_MS if KINDS[kind].look is not None else _OVERLAP_MS) / 1e3
    node = scenario.mobile_nodes[0]
    move = next((m for m in scenario.moves_of(node)[1:] if (m.overlap or m.gap) == wanted_s), None)
    session = next((one.spec for one in run.sessions if one.spec.transport == "udp" and one.spec.interval_s), None)
    if move is None or session is None or scenario.family != "ipv4":
        return
    for probe in run.probes[session.name]:
        if -_LEAD_S <= probe.sent_s - move.at <= _TRAIL_S:
            yield {
                "panel": "probes",
                "transport": session.transport,
                "number": probe.seq,
                "sent_s": round(probe.sent_s - move.at, 9),
                "rtt_ms": probe.rtt_ms,
            }


def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """Silences are those of the closed form; nothing is lost where nothing need be; a stream is no faster.

    In real time what programs compute comes on top: nothing may be early.
    """
    found, late_ms = [], EXACT_MS if not more_ms else math.inf
    silences = [row for row in rows if row["panel"] == "silence"]
    for row in silences:
        point = f"{row['kind']}, {row['family']}, {row['transport']}, movement {row['number']}"
        timed = bool(more_ms) and row["transport"] == "tcp"  # in real time nobody knows where its timers' ticks are
        expected_ms = row["expected_ms"]
        if (
            expected_ms is not None
            and not timed
            and not -EXACT_MS - more_ms <= row["silence_ms"] - expected_ms <= late_ms
        ):
            found.append(f"{point}: silent for {row['silence_ms']:.3f} ms, {expected_ms:.3f} are due")
        if expected_ms is None:
            found.append(f"{point}: no closed form")
        if row["kind"] in LOSSLESS and row["lost"]:
            found.append(f"{point}: {row['lost']} probes lost")
        if row["kind"] in IN_ORDER and row["disordered"]:
            found.append(f"{point}: {row['disordered']} answers out of order")
        if KINDS[row["kind"]].handover.get("buffer") and row["gap_ms"] >= _DRAWN_MS and not row["buffered"]:
            found.append(f"{point}: no packet was kept")
    udp = {_key(row): row["silence_ms"] for row in silences if row["transport"] == "udp"}
    for row in silences:
        if row["transport"] == "tcp" and row["silence_ms"] < udp.get(_key(row), 0.0) - EXACT_MS - more_ms:
            found.append(f"{row['kind']}, {row['family']}, movement {row['number']}: TCP is faster than UDP")
    return found


def _key(row: Row) -> tuple[Any, ...]:
    return row["kind"], row["family"], row["number"]


def plot(rows: list[Row], about: About) -> Drawing:
    """A picture of each kind, and below them the longest silence against the gap, over UDP and over TCP."""
    layout = [["break", "announced", "buffered"], ["both", "overlap", "vertical"]]
    figure, axes = style.figure(nrows=3, ncols=3, height_in=6.4, gridspec_kw={"height_ratios": [1, 1, 1.25]})
    silences = [row for row in rows if row["panel"] == "silence" and row["family"] == "ipv4"]
    for line, names in enumerate(layout):
        for place, kind in enumerate(names):
            axis = axes[line][place]
            _picture(axis, kind, [r for r in rows if r["kind"] == kind and r["panel"] == "probes"], silences)
            axis.tick_params(labelbottom=line > 0, labelleft=place == 0)
    axes[0][0].set_ylabel("round trip (ms)")
    axes[1][0].set_ylabel("round trip (ms)")
    axes[1][1].set_xlabel("time a probe was sent, since the movement began (s)")
    for axis in axes[2]:
        axis.remove()
    grid = axes[2][0].get_gridspec()
    below = grid[2, :].subgridspec(1, 2)
    for place, transport in enumerate(("udp", "tcp")):
        _against_gap(figure.add_subplot(below[place]), transport, silences, first=place == 0)
    lossless = "; ".join(KINDS[kind].title for kind in LOSSLESS)
    caption = (
        f"Kinds of handover. Above: round trips of probes over UDP every {_PROBE_S * 1e3:g} ms, from CN1 to the "
        f"address that MN1 has from MR1, while it moves to MR2: without a link for {_DRAWN_MS} ms (grey), or with both "
        f"links for {_OVERLAP_MS} ms (hatched). A node that announces says so {_ANNOUNCE_MS} ms before (dotted line), "
        "and the redirect stands when it arrives; a router that buffers keeps what comes, in order, until the node is "
        "heard at its new place: what it kept has a longer round trip. The title has the longest time without an "
        "answer. Below: that time against the gap, there and back; rings are the closed form, over TCP by both ends' "
        "timers and acknowledgements as Linux has them. Of this session, nothing is lost by: "
        f"{lossless}. IPv6, which is checked as well, is in the CSV. n = 1 movement each. {about}"
    )
    return Drawing(figure, caption)


def _picture(axis: Any, kind: str, probes: list[Row], silences: list[Row]) -> None:
    how = KINDS[kind]
    swept = how.look is not None
    span_s = (_DRAWN_MS if swept else _OVERLAP_MS) / 1e3
    shade: Item = {"color": "#e4e4e4"} if swept else {"facecolor": "none", "edgecolor": "#bbbbbb", "hatch": "///"}
    axis.axvspan(0, span_s, zorder=0, linewidth=0, **shade)
    if "announce" in how.handover:
        axis.axvline(-_ANNOUNCE_MS / 1e3, color="#555555", linewidth=0.9, linestyle=":")
    answered = [(row["sent_s"], row["rtt_ms"]) for row in probes if row["rtt_ms"] is not None]
    lost = [(row["sent_s"], 0.0) for row in probes if row["rtt_ms"] is None]
    look = how.look or style.SERIES[3]
    style.line(axis, look._replace(dash=""), answered, markersize=2.5)
    style.line(axis, style.LOST._replace(dash=""), lost, markersize=7)
    axis.set_xlim(-_LEAD_S - 0.02, _TRAIL_S + 0.02)
    axis.set_ylim(-15, 390)
    wanted = _DRAWN_MS if swept else -_OVERLAP_MS
    mine = [r for r in silences if r["kind"] == kind and r["transport"] == "udp" and round(r["gap_ms"]) == wanted]
    said = f"{mine[0]['silence_ms']:.0f} ms" if mine else ""
    axis.set_title(f"{how.title}: {said}", fontsize=8)


def _against_gap(axis: Any, transport: str, silences: list[Row], first: bool) -> None:
    gaps = sorted(_GAPS_MS)
    for kind, how in KINDS.items():
        mine = [row for row in silences if row["kind"] == kind and row["transport"] == transport]
        if how.look is None or not mine:
            continue
        points = [(gaps.index(round(row["gap_ms"])), row["silence_ms"]) for row in mine]
        style.line(axis, how.look, points)
        exact = [(gaps.index(round(r["gap_ms"])), r["expected_ms"]) for r in mine if r["expected_ms"] is not None]
        style.closed_form(axis, exact, label="closed form" if kind == "both" else None)
    axis.set_yscale("log")
    axis.set_ylim(10, 20_000)
    axis.set_xticks(range(len(gaps)), [f"{gap:g}" for gap in gaps])
    axis.set_xlabel(f"gap (ms), {style.TRANSPORTS[transport].label}")
    if first:
        axis.set_ylabel("longest silence (ms)")
        if axis.get_legend_handles_labels()[0]:
            axis.legend(loc="upper left", fontsize=7)


FIGURE = FigureKind(
    entry=ENTRIES["F16"],
    scenarios=scenarios,
    columns=(
        *("panel", "kind", "family", "transport", "number", "gap_ms", "silence_ms", "expected_ms", "lost"),
        *("disordered", "buffered", "sent_s", "rtt_ms"),
    ),
    key=("panel", "kind", "family", "transport", "number"),
    subject="silence_ms",
    measure=measure,
    plot=plot,
    check=check,
    claim=f"every longest silence, over UDP and TCP, lies within {EXACT_MS} ms of its closed form; with an "
    "overlap, or announced and buffered, no probe is lost, and none out of order but to a faster radio; routers that "
    "buffer have kept packets; TCP is nowhere faster than UDP",
)
