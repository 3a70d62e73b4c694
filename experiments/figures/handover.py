"""F8: how long a handover keeps a user waiting, how long the signalling behind it takes, and who knows of it when."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES
from dmmlab.experiments.figures.base import EXACT_MS, FigureKind, Load, Row
from dmmlab.experiments.figures.handover_drawing import DADS, EXACT_PROBE_S, PROBE_S, SIX_MS, plot
from dmmlab.experiments.figures.sweep import Item, build, joined, links, ms, routers_like_first, seconds, session_entry
from dmmlab.experiments.methods import ddns, p2p
from dmmlab.experiments.methods.base import DDNS, SERVER
from dmmlab.experiments.oracle import handover, moves
from dmmlab.experiments.oracle.delays import hosts_s, radio_s
from dmmlab.experiments.oracle.silence import longest_of_all_s
from dmmlab.experiments.records.recording import Recording, recordings
from dmmlab.experiments.records.rows import HandoverRow
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import CONTROLLER, SWITCHES, Scenario
from dmmlab.experiments.scenario.sections.addresses import Dad
from dmmlab.experiments.scenario.sessions import sessions_of

_EXACT_MS = (1, 5, 10, 20, 50)  # to the controller, without jitter: there all is exact
_JITTERED_MS = (1, 5, 20, 50)  # and with 20 % of it
_FEW, _MANY = 9, 41  # movements where nothing is left to chance, and where something is
_SEED = 8
_GAP_S = 0.05
# Exact silences need probes that meet no switch in the 5 ms after a change in which it may do what it has cached: one
# comes so long after.
_CLEAR_S = (0.0051, 0.0059)
_STANDARD_ERRORS = 3  # that a mean may be off its expectation


def scenarios(load: Load) -> list[Scenario]:
    """A node that goes to and fro, the controller at several distances, without jitter and with it, and in IPv6."""
    exact = [_moving(load, f"f8-control-{control_ms}ms", control_ms, _FEW) for control_ms in _EXACT_MS]
    chance = [
        _moving(load, f"f8-control-{control_ms}ms-jitter", control_ms, _MANY, jitter_ms=control_ms / 5)
        for control_ms in _JITTERED_MS
    ]
    six = [_moving(load, f"f8-ipv6-dad-{dad}", SIX_MS, _MANY if dad == "on" else _FEW, dad=dad) for dad in DADS]
    return [*exact, *chance, *six]


def _moving(
    load: Load, name: str, control_ms: float, turns: int, jitter_ms: float = 0.0, dad: Dad | None = None
) -> Scenario:
    """MN1 goes to and fro between MR2 and MR3, at random instants; at each move a session on MR1's address is under
    way. It registers with both kinds of server.
    """
    base, draw = load("two-mr", {}), random.Random(_SEED)
    changes = routers_like_first(base, ("MR3",)) | joined(base, [("MR1", "MR3")])
    changes[CONTROLLER, SWITCHES] = {"delay": ms(control_ms), "jitter": ms(jitter_ms)}
    movement: list[Item] = [{"at": "0s", "node": "MN1", "to": "MR1"}]
    sessions: list[Item] = [session_entry("S", 1, method=[ddns.METHOD.name, p2p.METHOD.name])]
    exact = not jitter_ms and dad != "on"
    probes: Item = {"interval": seconds(EXACT_PROBE_S if exact else PROBE_S), "anchor": "MR1"}
    probes["duration"] = "2500ms" if dad == "on" else "500ms"  # until the node can answer
    for turn in range(turns):
        at_s = round(5 * (turn + 1) + draw.uniform(0, 1), 6)
        gap = seconds(_GAP_S)
        movement.append({"at": seconds(at_s), "node": "MN1", "to": "MR2" if turn % 2 == 0 else "MR3", "gap": gap})
        starts_s = round(at_s - 0.1 - draw.uniform(0, PROBE_S), 6)
        if exact:
            changed_s = at_s + _GAP_S + radio_s(base, "MN1", "MR2") + 2 * control_ms / 1e3
            passes_s = changed_s + draw.uniform(*_CLEAR_S) - hosts_s(base, "CN1", "MR1")
            starts_s = round(passes_s - math.ceil((passes_s - at_s + 0.1) / EXACT_PROBE_S) * EXACT_PROBE_S, 6)
        sessions.append(session_entry(f"P{turn}", starts_s, cn="CN1", **probes))
    six: Item = {} if dad is None else {"family": "ipv6", "addresses": {"dad": dad}}
    return build(
        load, name, mobile_routers=["MR1", "MR2", "MR3"], links=links(base, changes),
        movement=movement, sessions=sessions, duration=f"{5 * (turns + 1)}s", seed=_SEED, **six,
    )  # fmt: skip


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """One row a handover: how long everything took, in ms, and its closed form."""
    rows: list[Row] = []
    for run in recordings(runs):
        if not run.scenario.redirects:
            continue
        control = run.scenario.link(CONTROLLER, SWITCHES)
        about: Row = {"run": run.scenario.name, "family": run.scenario.family, "dad": run.scenario.addresses.dad}
        about["control_ms"], about["jitter_ms"] = (control.delay * 1e3, control.jitter * 1e3) if control else (0.0, 0.0)
        silences = {node: longest_of_all_s(run.scenario, node) for node in run.scenario.mobile_nodes}
        turns = dict.fromkeys(run.scenario.mobile_nodes, 0)
        for number, move in enumerate(run.handovers):
            turns[move.mn] += 1
            measured, turn = _measured(run, move), turns[move.mn]
            forms = _closed_forms(run.scenario, move.mn, turn, measured, silences[move.mn].get(turn))
            rows.append({**about, "number": number, **measured, **forms})
    return rows


def _measured(run: Recording, move: HandoverRow) -> Row:
    """Times since the new link is there, but the silence; None for what did not come before the next movement."""

    def since(end_s: float | None, start_s: float | None = move.attach_s) -> float | None:
        return None if end_s is None or start_s is None else (end_s - start_s) * 1e3

    return {
        "detach_s": move.detach_s,
        "gap_ms": since(move.attach_s, move.detach_s),
        "silence_ms": None if move.longest_silence_s is None else move.longest_silence_s * 1e3,
        "redirect_ms": since(move.redirect_s),
        "address_ms": since(move.address_s),
        "server_ms": since(_told(run, move, _registered(run, move.mn))),
        "ddns_ms": since(_told(run, move, _updated(run, move.mn))),
        "answered_ms": since(move.registered_s),
        "lost": move.lost_packets,
    }


def _told(run: Recording, move: HandoverRow, times_s: Iterator[float]) -> float | None:
    """The first of ``times_s`` after the attachment and before the node's next movement."""
    if move.attach_s is None:
        return None
    later = [other.begins_s for other in run.handovers if other.mn == move.mn and other.begins_s is not None]
    until_s = min((begins_s for begins_s in later if begins_s > move.attach_s), default=math.inf)
    return next((time_s for time_s in times_s if move.attach_s <= time_s < until_s), None)


def _registered(run: Recording, node: str) -> Iterator[float]:
    """When the registration server noted an address of ``node`` that it did not know, by its own clock."""
    for event in run.events:
        told = (event["source"], event["event"]) == ("server", "registered") and not event["refresh"]
        if told and event["node"].partition(".")[0] == node.lower():
            yield event["time_s"]


def _updated(run: Recording, node: str) -> Iterator[float]:
    """When the DDNS server has changed its zone: its answer to the update leaves it in the same instant."""
    for row in run.signalling:
        done = (row.protocol, row.source, row.destination, row.message) == ("dns-update", DDNS, node, "answer")
        if done and row.time_s is not None:
            yield row.time_s


def _closed_forms(scenario: Scenario, node: str, turn: int, measured: Row, silence_s: float | None) -> Row:
    laws = handover.Controlled(scenario, node, turn)
    confirmed = laws.confirmed()
    late_ms = moves.late_s(scenario, node, turn) * 1e3
    told_s = {host: handover.told_s(scenario, node, turn, host) for host in (SERVER, DDNS) if host in scenario.hosts}
    forms: Row = {
        "expected_gap_ms": scenario.moves_of(node)[turn].gap * 1e3,
        "expected_redirect_ms": confirmed.mean_s * 1e3,
        "redirect_sd_ms": confirmed.sd_s * 1e3,
        "redirect_least_ms": confirmed.least_s * 1e3,
        "redirect_most_ms": confirmed.most_s * 1e3,
        "expected_address_ms": moves.address_s(scenario, node, turn) * 1e3,
        "address_late_ms": late_ms,
        "expected_server_ms": _ms(told_s.get(SERVER)),
        "expected_ddns_ms": _ms(told_s.get(DDNS)),
    }
    if confirmed.sd_s and measured["redirect_ms"] is not None:
        forms["redirect_below"] = confirmed.below(measured["redirect_ms"] / 1e3)
    return forms | _silence_forms(scenario, node, turn, laws, silence_s)


def _silence_forms(scenario: Scenario, node: str, turn: int, laws: handover.Controlled, silence_s: float | None) -> Row:
    """Its closed form. Where chance decides: the expectation, and between what each lies."""
    move = scenario.moves_of(node)[turn]
    probing = [one for one in sessions_of(scenario) if one.mn == node and one.interval_s is not None]
    probing = [one for one in probing if one.at_s < move.at < one.at_s + (one.duration_s or 0.0)]
    exactly: Row = {} if silence_s is None else {"expected_silence_ms": silence_s * 1e3}
    if len(probing) != 1 or probing[0].transport != "udp" or move.overlap is not None or scenario.handover.announce:
        return exactly
    anchor, interval_s = probing[0].anchor, probing[0].interval_s
    if anchor is None or interval_s is None or scenario.handover.buffer:
        return exactly
    if scenario.addresses.dad == "on":
        low_s, high_s = handover.detected_between_s(scenario, node, turn, anchor, interval_s)
        return {"silence_least_ms": low_s * 1e3, "silence_most_ms": high_s * 1e3}
    law = laws.silence(anchor)
    stream: Row = {"stream_silence_ms": law.mean_s * 1e3}
    if silence_s is not None:
        return stream | exactly
    low_s, high_s = handover.silence_between_s(law, interval_s)
    return stream | {
        "expected_silence_ms": (law.mean_s + interval_s) * 1e3,
        "silence_sd_ms": handover.silence_sd_s(law, interval_s) * 1e3,
        "silence_least_ms": low_s * 1e3,
        "silence_most_ms": high_s * 1e3,
    }


def _ms(value_s: float | None) -> float | None:
    return None if value_s is None else value_s * 1e3


def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """Nothing is missing; what is exact is exact, and what chance decides lies where it can, its means near their
    expectations.

    In real time what the controller and the node compute comes on top, and has no closed form: nothing may be early,
    and no silence shorter than that of a stream without pauses, whatever the phase of its probes is.
    """
    late_ms = EXACT_MS if not more_ms else math.inf
    found = [sentence for row in rows for sentence in _of_one(row, late_ms, more_ms)]
    chance: dict[float, list[Row]] = {}
    for row in rows:
        if row["jitter_ms"]:
            chance.setdefault(row["control_ms"], []).append(row)
    for control_ms, mine in chance.items():
        for what in ("redirect", "silence"):
            found += _of_mean(mine, what, f"{control_ms:g} ms with jitter", late_ms, more_ms)
    exact = [row for row in rows if row["family"] == "ipv4" and not row["jitter_ms"] and row["silence_ms"] is not None]
    for group in (exact, [row for mine in chance.values() for row in mine if row["silence_ms"] is not None]):
        by = {row["control_ms"]: [one["silence_ms"] for one in group if one["control_ms"] == row["control_ms"]]
              for row in sorted(group, key=lambda row: row["control_ms"])}  # fmt: skip
        medians = [stats.median(values) for values in by.values()]
        if medians != sorted(medians):
            found.append("a user's silence does not grow with the distance of the controller")
    return found


_DUE = {"redirect": "a redirect confirmed", "address": "a new address", "server": "the registration server told",
        "ddns": "the DDNS server told", "silence": "a silence"}  # fmt: skip


def _of_one(row: Row, late_ms: float, early_ms: float) -> Iterator[str]:
    point = f"{row['run']}, handover {row['number']}"
    for what, words in {"gap": "a gap", **_DUE}.items():
        wanted = row.get(f"expected_{what}_ms") is not None or what == "silence"
        if row[f"{what}_ms"] is None and wanted:
            yield f"{point}: {words} is missing"
            continue
        low_ms, high_ms, timers_ms = _allowed(row, what)
        if low_ms is None:
            continue
        least_ms = low_ms
        if early_ms and what == "silence":
            least_ms = min(low_ms, row.get("stream_silence_ms") or low_ms) - early_ms
        if not least_ms - EXACT_MS <= row[f"{what}_ms"] <= high_ms + timers_ms + late_ms:
            due = f"{low_ms:.3f}" if high_ms == low_ms else f"{low_ms:.3f} to {high_ms:.3f}"
            yield f"{point}: {words} after {row[f'{what}_ms']:.3f} ms, {due} are due"


def _allowed(row: Row, what: str) -> tuple[float | None, float, float]:
    """Between what it must lie, and how much later the timers of the node's kernel may make it."""
    low_ms, high_ms = row.get(f"{what}_least_ms"), row.get(f"{what}_most_ms")
    if low_ms is None or high_ms is None:
        low_ms = high_ms = row.get(f"expected_{what}_ms")
    timers_ms = row["address_late_ms"] if what in ("address", "server", "ddns") else 0.0
    return low_ms, high_ms or 0.0, timers_ms


def _of_mean(rows: list[Row], what: str, point: str, late_ms: float, early_ms: float) -> Iterator[str]:
    """Of several handovers with jitter: their mean beside its expectation. For 5 ms switches may do as before."""
    mine = [row for row in rows if row[f"{what}_ms"] is not None and row[f"expected_{what}_ms"] is not None]
    if not mine:
        return
    off_ms = stats.mean([row[f"{what}_ms"] - row[f"expected_{what}_ms"] for row in mine])
    error_ms = _STANDARD_ERRORS * math.sqrt(sum(row[f"{what}_sd_ms"] ** 2 for row in mine)) / len(mine)
    high_ms = error_ms + (moves.FORGOTTEN_S * 1e3 if what == "silence" else 0.0) + late_ms
    if not -error_ms - EXACT_MS - (early_ms if what == "silence" else 0.0) <= off_ms <= high_ms:
        allowed = f"{-error_ms:.3f} to {high_ms:.3f} allowed"
        yield f"{point}: the mean {what} is {off_ms:+.3f} ms off its expectation, {allowed}"


FIGURE = FigureKind(
    entry=ENTRIES["F8"],
    scenarios=scenarios,
    columns=(
        *("run", "number", "family", "dad", "control_ms", "jitter_ms", "detach_s", "gap_ms", "silence_ms"),
        *("redirect_ms", "address_ms", "server_ms", "ddns_ms", "answered_ms", "lost"),
        *("expected_gap_ms", "expected_silence_ms", "stream_silence_ms"),
        *("silence_sd_ms", "silence_least_ms", "silence_most_ms"),
        *("expected_redirect_ms", "redirect_sd_ms", "redirect_least_ms", "redirect_most_ms", "redirect_below"),
        *("expected_address_ms", "address_late_ms", "expected_server_ms", "expected_ddns_ms"),
    ),
    key=("run", "number"),
    subject="silence_ms",
    measure=measure,
    plot=plot,
    check=check,
    claim=f"without jitter every silence, redirect and gap lies within {EXACT_MS} ms of its closed form, and so does "
    "when each server knows of every new address, but for the timers of the detection of duplicates; with jitter every "
    f"one lies where it can, the means within {_STANDARD_ERRORS} standard errors of their expectation (a silence up to "
    "5 ms above, in which a switch does what it has cached); nothing is missing; silences grow with the control delay",
)
