"""F8: what a handover's latency is made of, and how it is distributed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import EXACT_MS, About, Drawing, FigureKind, Load, Row
from dmmlab.experiments.figures.sweep import Item, build, joined, links, ms, routers_like_first, seconds, session_entry
from dmmlab.experiments.methods import ddns, p2p
from dmmlab.experiments.oracle import moves
from dmmlab.experiments.records.recording import Recording, recordings
from dmmlab.experiments.records.rows import HandoverRow
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import CONTROLLER, RADIO, SWITCHES, Dad, Scenario

_CONTROL_MS = (1, 5, 20, 50)  # each with jitter, and one without: there the closed form is exact
_PLAIN_MS = 10
_DADS: tuple[Dad, ...] = ("off", "optimistic", "on")  # in IPv6, each with the plain one
_MOVES = 40
_SEED = 8
_PROBE_S = 0.005  # how finely an interruption is resolved


_LABELS = {
    "gap": "no radio link",
    "redirect": "attached until redirect confirmed",
    "resume": "until the first packet",
    "address": "attached until the new address",
    "register": "until the servers know it",
}
_FILLS = {
    "gap": ("#bbbbbb", ""),
    "redirect": ("#0072B2", "///"),
    "resume": ("#56B4E9", "..."),
    "address": ("#E69F00", "\\\\\\"),
    "register": ("#009E73", "xxx"),
}


def scenarios(load: Load) -> list[Scenario]:
    """A node that goes to and fro, with the controller at several distances, and in IPv6."""
    plain = [_moving(load, _PLAIN_MS, 0), *(_moving(load, _PLAIN_MS, 0, dad) for dad in _DADS)]
    return [_moving(load, control_ms, control_ms / 5) for control_ms in _CONTROL_MS] + plain


def _moving(load: Load, control_ms: float, jitter_ms: float, dad: Dad | None = None) -> Scenario:
    """MN1 goes to and fro between MR2 and MR3, at random instants, with the jitter of a real path to the controller;
    at each move a session on MR1's address is under way. It registers with both kinds of server.
    """
    base, draw = load("two-mr", {}), random.Random(_SEED)
    changes = routers_like_first(base, ("MR3",)) | joined(base, [("MR1", "MR3")])
    changes[CONTROLLER, SWITCHES] = {"delay": ms(control_ms), "jitter": ms(jitter_ms)}
    movement: list[Item] = [{"at": "0s", "node": "MN1", "to": "MR1"}]
    sessions: list[Item] = [session_entry("S", 1, method=[ddns.METHOD.name, p2p.METHOD.name])]
    for turn in range(_MOVES + 1):
        at_s = round(5 * (turn + 1) + draw.uniform(0, 1), 6)
        movement.append({"at": seconds(at_s), "node": "MN1", "to": "MR2" if turn % 2 == 0 else "MR3", "gap": "50ms"})
        lasts = "500ms" if dad is None else "2500ms"  # until the node can answer
        probes = {"interval": seconds(_PROBE_S), "duration": lasts, "anchor": "MR1"}
        sessions.append(session_entry(f"P{turn}", 5 * (turn + 1) + int((at_s % 1) * 10) / 10 - 0.1, cn="CN1", **probes))
    six: Item = {} if dad is None else {"family": "ipv6", "addresses": {"dad": dad}}
    name = f"f8-control-{control_ms:g}ms" if dad is None else f"f8-ipv6-dad-{dad}"
    return build(
        load, name, mobile_routers=["MR1", "MR2", "MR3"], links=links(base, changes),
        movement=movement, sessions=sessions, duration=f"{5 * (_MOVES + 2)}s", seed=_SEED, **six,
    )  # fmt: skip


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """One row a handover: its components in ms."""
    rows: list[Row] = []
    for run in recordings(runs):
        control = run.scenario.link(CONTROLLER, SWITCHES)
        control_ms = (control.delay if control else 0.0) * 1e3
        for number, move in enumerate(run.handovers):
            components = _components(run, move, control_ms)
            if components is not None:
                row = {"run": run.scenario.name, "number": number, **components}
                rows.append(row | {"jitter_ms": (control.jitter if control else 0.0) * 1e3})
    return rows


def _components(run: Recording, move: HandoverRow, control_ms: float) -> Row | None:
    """What the interruption is made of; None if the movement did not come to its end before the next one."""
    detach_s, attach_s, address_s = move.detach_s, move.attach_s, move.address_s
    redirect_s, first_packet_s, registered_s = move.redirect_s, move.first_packet_s, move.registered_s
    if detach_s is None or attach_s is None or address_s is None or redirect_s is None or first_packet_s is None:
        return None
    confirmed_s = max(attach_s, redirect_s)
    resumed_s = max(confirmed_s, first_packet_s)
    radio = run.scenario.link(RADIO, move.mn)
    entries = run.scenario.moves_of(move.mn)
    configured = min(entries[1:], key=lambda entry: abs(entry.at - detach_s))
    turn = entries.index(configured)
    return {
        "control_ms": control_ms,
        "detach_s": detach_s,
        "gap_ms": (attach_s - detach_s) * 1e3,
        "redirect_ms": (confirmed_s - attach_s) * 1e3,
        "resume_ms": (resumed_s - confirmed_s) * 1e3,
        "total_ms": (resumed_s - detach_s) * 1e3,
        "address_ms": (address_s - attach_s) * 1e3,
        "register_ms": None if registered_s is None else (registered_s - address_s) * 1e3,
        "lost": move.lost_packets,
        "expected_gap_ms": configured.gap * 1e3,
        "expected_redirect_ms": (radio.delay if radio else 0.0) * 1e3 + 3 * control_ms,
        "family": run.scenario.family,
        "dad": run.scenario.addresses.dad,
        "expected_address_ms": moves.address_s(run.scenario, move.mn, turn) * 1e3,
        "address_late_ms": moves.late_s(run.scenario, move.mn, turn) * 1e3,
    }


def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """A redirect takes the way to the controller three times, each with its own jitter: that bounds every one.

    In real time what the controller and the node compute comes on top, and has no closed form: nothing may be early.
    """
    found, late_ms = [], EXACT_MS if not more_ms else math.inf
    for row in rows:
        point = f"{row['run']}, handover {row['number']}"
        jitter_ms = 3 * row["jitter_ms"]
        if not -EXACT_MS <= row["gap_ms"] - row["expected_gap_ms"] <= late_ms:
            found.append(f"{point}: a gap of {row['gap_ms']:.3f} ms, {row['expected_gap_ms']:g} are due")
        if not -EXACT_MS - jitter_ms <= row["redirect_ms"] - row["expected_redirect_ms"] <= late_ms + jitter_ms:
            found.append(
                f"{point}: redirect after {row['redirect_ms']:.3f} ms, {row['expected_redirect_ms']:g} are due, "
                f"and {EXACT_MS + jitter_ms:g} allowed"
            )
        if not -EXACT_MS <= row["address_ms"] - row["expected_address_ms"] <= late_ms + row["address_late_ms"]:
            found.append(
                f"{point}: an address after {row['address_ms']:.3f} ms, {row['expected_address_ms']:g} are due"
            )
        if abs(row["gap_ms"] + row["redirect_ms"] + row["resume_ms"] - row["total_ms"]) > 1e-3:
            found.append(f"{point}: the components miss the total")
    four = [row for row in rows if row["family"] == "ipv4"]
    controls = sorted({row["control_ms"] for row in four})
    medians = [stats.median([row["total_ms"] for row in four if row["control_ms"] == control]) for control in controls]
    if medians != sorted(medians):
        found.append("the interruption does not grow with the distance of the controller")
    return found


def plot(rows: list[Row], about: About) -> Drawing:
    """Components of the latency (left), distribution of the interruption (right); IPv4 above, IPv6 below."""
    four, six = ([row for row in rows if row["family"] == family] for family in ("ipv4", "ipv6"))
    controls = sorted({row["control_ms"] for row in four})
    near = {f"{control:g} ms": [row for row in four if row["control_ms"] == control] for control in controls}
    detecting = {str(dad): found for dad in _DADS if (found := [row for row in six if row["dad"] == dad])}
    panels = [(near, "controller at", "one-way delay to the controller")] if near else []
    panels += [(detecting, "IPv6, DAD", "IPv6, duplicate address detection")] if detecting else []
    figure, axes = style.figure(nrows=len(panels), ncols=2, height_in=3.4 * len(panels), squeeze=False)
    for (bars, cdf), (groups, title, label) in zip(axes, panels, strict=True):
        _stacks(bars, groups, label)
        if groups is near or not about.own:  # whose probes may have another interval
            _distribution(cdf, groups, title, "interruption of the old session (ms)", lambda row: row["total_ms"])
        else:
            lost_ms = "probes lost times their interval (ms)"
            _distribution(cdf, groups, title, lost_ms, lambda row: row["lost"] * _PROBE_S * 1e3)
    per = [len(found) for found in (*near.values(), *detecting.values())]
    p95 = ", ".join(f"{stats.quantile([row['total_ms'] for row in found], 0.95):.1f}" for found in near.values())
    tail = f"; its 95th percentile{'s are' if len(near) > 1 else ' is'} {p95} ms" if near else ""
    to_and_fro = (
        "The node goes to and fro between two routers, so each time it finds the redirect of its last stay there "
        "until the controller has replaced it; a registration that is faster than that gets no answer and is repeated."
    )
    right = f"Right: distribution of the old session's interruption{tail}. "
    jitter = f"The path to the controller jitters by 20 % of its delay, but not at {_PLAIN_MS} ms."
    caption = (
        "Handover latency against the one-way delay between the switches and the controller. Left: medians of the "
        "components, for a session on an old address (upper bar of each pair: no radio link, until the redirect "
        "is confirmed, until its first packet arrives) and for new sessions (lower bar: no radio link, until the "
        "node has its new address, until the servers that it tells know it). The black tick is the closed form of the "
        f"redirect: gap + radio + 3 control delays. {about.designed(to_and_fro)}"
        f"{right if near or not about.own else ''}"
        f"{about.designed(jitter)}{_in_ipv6(detecting, about)}"
        f"{about.designed(f'Probes every {_PROBE_S * 1e3:g} ms;')}n = {min(per)} handovers each. {about}"
    )
    return Drawing(figure, caption)


def _in_ipv6(detecting: Mapping[str, list[Row]], about: About) -> str:
    """What the caption says of the lower half, if there is one."""
    if not detecting:
        return ""
    words = ", ".join(f"{stats.median([row['address_ms'] for row in found]):.0f} ms ({dad})"
                      for dad, found in detecting.items())  # fmt: skip
    plain = f"Below: the same in IPv6, the controller at {_PLAIN_MS} ms without jitter."
    waits = (
        "A node that waits for the detection of duplicates (RFC 4862) does so for its link-local address before it "
        "solicits the router, so that its old sessions get no answer meanwhile. "
    )
    hopes = "An optimistic node (RFC 4429) does not wait for the detection of duplicates. "
    cost = "Right: what a movement costs a session on an old address, there and back."
    return (
        f"{about.designed(plain)}{waits * ('on' in detecting)}{hopes * ('optimistic' in detecting)}"
        f"{about.designed(cost)}Median time to the new address: {words}. "
    )


def _distribution(
    axis: Any, groups: Mapping[str, list[Row]], title: str, label: str, of: Callable[[Row], float]
) -> None:
    for look, (name, found) in zip(style.SERIES, groups.items(), strict=False):
        values = sorted(map(of, found))
        shares = [(turn + 1) / len(values) for turn in range(len(values))]
        axis.step(values, shares, where="post", color=look.colour, linestyle=look.dash, label=name)
    axis.set_xlabel(label)
    axis.set_ylabel("share of handovers")
    axis.legend(title=title, title_fontsize=7.5, loc="center", bbox_to_anchor=(0.62, 0.5))


def _stacks(axis: Any, groups: Mapping[str, list[Row]], title: str) -> None:
    for place, mine in enumerate(groups.values()):
        for offset, parts in ((0.2, ("gap", "redirect", "resume")), (-0.2, ("gap", "address", "register"))):
            start = 0.0
            for part in parts:
                values = [row[f"{part}_ms"] for row in mine if row[f"{part}_ms"] is not None]
                if not values:
                    continue
                colour, hatch = _FILLS[part]
                label = _LABELS[part] if place == 0 and not (part == "gap" and offset < 0) else None
                axis.barh(
                    place + offset, stats.median(values), 0.36, left=start, color=colour, hatch=hatch,
                    edgecolor="white", linewidth=0, label=label,
                )  # fmt: skip
                start += stats.median(values)
        expected = mine[0]["expected_gap_ms"] + mine[0]["expected_redirect_ms"]
        label = "closed form of the redirect" if place == 0 else None
        axis.plot([expected, expected], [place + 0.02, place + 0.38], color="black", linewidth=1.4, label=label)
    axis.set_yticks(range(len(groups)), list(groups))
    axis.set_ylabel(title)
    axis.set_xlabel("time since the radio link went (ms)")
    axis.grid(axis="y", visible=False)
    axis.set_ylim(-0.6, 1.55 * len(groups))
    axis.legend(loc="upper left", fontsize=7)


FIGURE = FigureKind(
    entry=ENTRIES["F8"],
    scenarios=scenarios,
    columns=(
        *("run", "number", "control_ms", "jitter_ms", "detach_s", "gap_ms", "redirect_ms", "resume_ms", "total_ms"),
        *("address_ms", "register_ms", "lost", "expected_gap_ms", "expected_redirect_ms"),
        *("family", "dad", "expected_address_ms", "address_late_ms"),
    ),
    key=("run", "number"),
    subject="total_ms",
    measure=measure,
    plot=plot,
    check=check,
    claim=f"every redirect lies within {EXACT_MS} ms and three times the jitter of the closed form, every gap within "
    f"{EXACT_MS} ms, every new address too, but for the timers of the detection of duplicates; the components add up; "
    "latency grows with the control delay",
)
