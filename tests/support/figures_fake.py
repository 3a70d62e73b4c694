"""Run directories as a perfect laboratory would leave them: every record is the closed form, plus ``off_ms``.

Figures are tested on these without a network. What is perfect must pass a figure's check, and what is a millisecond
off must not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from manifests import manifest

from dmmlab.experiments.figures.base import digest
from dmmlab.experiments.methods.base import DDNS, SERVER
from dmmlab.experiments.oracle import delays, handover, lifetimes, moves, silence
from dmmlab.experiments.oracle import rules as flow_rules
from dmmlab.experiments.oracle.blind import Blind
from dmmlab.experiments.oracle.expectation import Oracle
from dmmlab.experiments.oracle.memo import once
from dmmlab.experiments.records import rows
from dmmlab.experiments.records.rows import HandoverRow, ProbeRow, SessionRow, SignallingRow
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import CONTROLLER, CORE, SWITCHES, Scenario
from dmmlab.experiments.scenario.network import network_plan
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of

GAP_S = 0.05
Row = dict[str, object]


def make(scenario: Scenario, folder: Path, off_ms: float = 0.0, outcome: str = "ok") -> RunDirectory:
    """A finished run of ``scenario`` in ``folder``."""
    run = RunDirectory(folder)
    resolved = scenario.model_dump(mode="json", by_alias=True)
    run.create(manifest(name=scenario.name, seed=scenario.seed, scenario=resolved))
    known = Oracle(scenario)
    sessions = sessions_of(scenario)
    rows.write(run.sessions, SessionRow, [_session(scenario, session, known, off_ms) for session in sessions])
    if scenario.name.startswith("f15"):
        blind = Blind(scenario)
        rows.write(run.sessions, SessionRow, [_blind(scenario, session, known, blind, off_ms) for session in sessions])
    probes = [row for session in sessions for row in _probes(scenario, session, known, off_ms)]
    rows.write(run.probes, ProbeRow, probes)
    rows.write(run.handovers, HandoverRow, _handovers(scenario, off_ms))
    rows.write(run.signalling, SignallingRow, _signalling(scenario))
    run.events.write_text("".join(json.dumps(event) + "\n" for event in _events(scenario, known)))
    for switch in range(1, len(scenario.mobile_routers) + 1):
        (run.log / f"s{switch}.flows").write_text(
            "cookie=0x0\n" * ((flow_rules.entries(scenario) or 8) * (switch == 1))
        )
    run.finish(outcome, None if outcome == "ok" else "a test says so")  # type: ignore[arg-type]
    return run


def _anchor(scenario: Scenario, session: SessionSpec, known: Oracle) -> str:
    return known.answer(session) or next((move.to for move in scenario.moves_of(session.mn)), "")


_plan = once(network_plan)


def _address(scenario: Scenario, session: SessionSpec, anchor: str) -> str:
    plan = _plan(scenario)
    return str(plan.mobile_node(session.mn).addresses[anchor] if anchor else plan.host(session.mn).address.ip)


def _near(scenario: Scenario, session: SessionSpec) -> str:
    """The router of the address that it is opened from; empty for a host."""
    place = moves.place(scenario, session.cn, session.at_s)
    return place.anchor if place else ""


def _place(scenario: Scenario, name: str, anchor: str, at_s: float) -> delays.Place | None:
    if name not in scenario.mobile_nodes:
        return delays.Place(name)
    at_router = moves.serving(scenario, name, at_s)
    return delays.Place(name, anchor or at_router, at_router) if at_router else None


def _way_s(scenario: Scenario, session: SessionSpec, anchor: str, at_s: float) -> float | None:
    central = session.method == "central"
    near = _place(scenario, session.cn, _near(scenario, session), at_s)
    far = _place(scenario, session.mn, "" if central else anchor, at_s)
    if near is None or far is None:
        return None
    if not central:
        return delays.path_s(scenario, near, far)
    legs = [delays.path_s(scenario, end, delays.Place(SERVER)) for end in (near, far)]
    return None if None in legs else sum(leg for leg in legs if leg is not None)


def _session(scenario: Scenario, session: SessionSpec, known: Oracle, off_ms: float) -> SessionRow:
    expected, anchor = known.of(session), _anchor(scenario, session, known)
    serving = moves.serving(scenario, session.mn, session.at_s) or ""
    row = SessionRow(
        session=session.name,
        method=session.method,
        transport=session.transport,
        cn=session.cn,
        mn=session.mn,
        start_s=session.at_s,
        address=_address(scenario, session, anchor),
        anchor=anchor,
        serving=serving,
        mn_anchor=_near(scenario, session),
        mn_serving=moves.serving(scenario, session.cn, session.at_s) or "",
        path="none",
        outcome="timeout",
    )
    way = _way_s(scenario, session, anchor, session.at_s)
    if way is None and scenario.redirect and not serving and session.method != "fixed":  # in the midst of a move
        return replace(row, setup_ms=1000.0, outcome="retried")
    if way is None:
        return row
    lookup_s, connect_s = (expected.lookup_s, expected.connect_s) if expected else (0.0, 2 * way)
    server = scenario.link(SERVER, CORE)
    lost_ms = 100 * server.loss if server and session.method != "fixed" else 0.0  # what retransmission costs
    connect_ms = connect_s * 1e3 + off_ms + lost_ms
    path = "relay" if session.method == "central" else "direct" if anchor == serving else "redirect"
    return replace(
        row,
        lookup_ms=lookup_s * 1e3,
        connect_ms=connect_ms,
        setup_ms=lookup_s * 1e3 + connect_ms,
        expected_setup_ms=expected.setup_s * 1e3 if expected else None,
        path=path,
        outcome="ok",
    )


def _blind(scenario: Scenario, session: SessionSpec, known: Oracle, blind: Blind, off_ms: float) -> SessionRow:
    row, answer = _session(scenario, session, known, off_ms), blind.of(session)
    if answer is None:  # the one thing or the other
        return replace(row, setup_ms=100.0, outcome="ok")
    if answer.setup_s is None:
        return replace(row, setup_ms=None, lookup_ms=None, connect_ms=None, path="none", outcome="timeout")
    outcome = "ok" if answer.attempts == 1 else "retried"
    setup_ms, lookup_ms = answer.setup_s * 1e3 + off_ms, answer.lookup_s * 1e3
    delays = {"setup_ms": setup_ms, "lookup_ms": lookup_ms, "connect_ms": setup_ms - lookup_ms}
    return replace(row, path="direct", outcome=outcome, **delays)  # type: ignore[arg-type]


def _probes(scenario: Scenario, session: SessionSpec, known: Oracle, off_ms: float) -> Iterator[ProbeRow]:
    anchor = _anchor(scenario, session, known)
    if scenario.name.startswith("f16"):
        yield from _probes_of_handovers(scenario, session, off_ms)
        return
    for number in range(session.count):
        sent_s = session.at_s + number * (session.interval_s or 0.0)
        way = _way_s(scenario, session, anchor, sent_s)
        redirecting = any(
            move.at - 0.01 < sent_s < move.at + move.gap + 0.004
            for end in (session.cn, session.mn)
            for move in scenario.moves_of(end)[1:]
        )
        repeated = way is None or redirecting
        if scenario.name.startswith("f7") and session.transport == "tcp" and not scenario.redirect:
            later_s = number * (session.interval_s or 0.0)
            lives = lifetimes.survives(scenario, session.mn, session.at_s, later_s, session.cn)
            way, repeated = (0.3, False) if lives else (None, True)
        if session.transport == "tcp" and scenario.redirect and repeated:
            way, repeated = 0.3, False
        link = scenario.link(session.cn, CORE)
        there_and_back = 1 - (1 - link.loss) ** 2 if link else 0.0  # spread evenly over the numbers
        repeated = repeated or (there_and_back > 0 and (number * there_and_back) % 1 < there_and_back)
        rtt_ms = None if way is None or repeated else 2e3 * way + off_ms
        received_s = None if rtt_ms is None else sent_s + rtt_ms / 1e3
        yield ProbeRow(session=session.name, seq=number, sent_s=sent_s, received_s=received_s, rtt_ms=rtt_ms)


def _probes_of_handovers(scenario: Scenario, session: SessionSpec, off_ms: float) -> Iterator[ProbeRow]:
    """Off by so much is what comes after a second of silence at the latest; a stream without a closed form is late."""
    answers = silence.answers_s(scenario, session)
    slow = answers is None
    if answers is None:
        over_udp = replace(session, transport="udp")
        answers = silence.answers_s(scenario, over_udp)
        assert answers is not None
    later_s, probes = 0.0, list[ProbeRow]()
    for number, answer_s in reversed(list(enumerate(answers))):
        sent_s = session.at_s + number * (session.interval_s or 0.0)
        if answer_s is None and slow:
            answer_s = later_s
        later_s = answer_s or later_s
        rtt_ms = None if answer_s is None else (answer_s - sent_s) * 1e3 + (off_ms if number % 2 else 0.0)
        received_s = None if rtt_ms is None else sent_s + rtt_ms / 1e3
        probes.append(ProbeRow(session=session.name, seq=number, sent_s=sent_s, received_s=received_s, rtt_ms=rtt_ms))
    yield from reversed(probes)


def _handovers(scenario: Scenario, off_ms: float) -> Iterator[HandoverRow]:
    for node in scenario.mobile_nodes:
        silences, walk = silence.longest_of_all_s(scenario, node), scenario.moves_of(node)
        control = scenario.link(CONTROLLER, SWITCHES)
        for turn, (before, move) in enumerate(pairwise(walk), 1):
            attach_s = move.at + move.gap
            laws = handover.Controlled(scenario, node, turn)
            share = (turn * 7 % len(walk) + 0.5) / len(walk)  # as evenly spread as chance would have it at its best
            chance = bool(control and control.jitter)  # else a law is one instant, in very many cells
            confirmed_s = laws.confirmed().quantile_s(share) if chance else _confirmed_s(scenario, node, move.to)
            redirect_s = attach_s + confirmed_s + off_ms / 1e3
            yield HandoverRow(
                mn=node,
                from_mr=before.to,
                to_mr=move.to,
                detach_s=move.at,
                attach_s=attach_s,
                address_s=attach_s + moves.address_s(scenario, node, turn) + off_ms / 1e3,
                redirect_s=redirect_s,
                registered_s=attach_s + 0.05,
                first_packet_s=redirect_s + 0.003,
                lost_packets=3,
                buffered_packets=9 if scenario.handover.buffer else 0,
                longest_silence_s=_silence_s(scenario, node, turn, silences.get(turn), laws) + off_ms / 1e3,
            )


def _confirmed_s(scenario: Scenario, node: str, router: str) -> float:
    return delays.radio_s(scenario, node, router) + 3 * delays.link_s(scenario, CONTROLLER, SWITCHES)


def _silence_s(scenario: Scenario, node: str, turn: int, exact_s: float | None, laws: handover.Controlled) -> float:
    if exact_s is not None:
        return exact_s
    if scenario.addresses.dad == "on":
        return handover.detected_between_s(scenario, node, turn, "MR1", 0.005)[0] + 0.001
    control, first = scenario.link(CONTROLLER, SWITCHES), scenario.moves_of(node)[0].to
    if control is None or not control.jitter:
        return scenario.moves_of(node)[turn].gap + _confirmed_s(scenario, node, first)
    return laws.silence(first).mean_s + 0.006


def _signalling(scenario: Scenario) -> Iterator[SignallingRow]:
    counts: Mapping[str, int] = {"ddns": 4, "p2p": 2, "central": 7, "combined": 4}
    for node in scenario.mobile_nodes:
        for move in scenario.moves_of(node):
            for protocol in ("openflow", "dhcp", "dns-update", "registration"):
                for turn in range(2):
                    text = ("REGISTER", "REGISTERED")[turn] if protocol == "registration" else str(turn)
                    yield _message(move.at, protocol, text, f"{node}→{move.to}@{move.at:g}s")
    for node, turn, attached_s in _attachments(scenario):
        told_s = handover.told_s(scenario, node, turn, DDNS)
        if told_s is not None:
            row = _message(attached_s + told_s, "dns-update", "answer", "refresh")
            yield replace(row, source=DDNS, destination=node)
    for session in sessions_of(scenario):
        for turn in range(counts.get(session.method, 0)):
            protocol = "dns" if session.method == "ddns" else "registration"
            yield _message(session.at_s, protocol, str(turn), session.name)


def _attachments(scenario: Scenario) -> Iterator[tuple[str, int, float]]:
    """Of the handovers whose news are looked at: the node, the movement's number, when the new link is there."""
    if scenario.name.startswith("f8"):
        for node in scenario.mobile_nodes:
            for turn, move in enumerate(scenario.moves_of(node)[1:], 1):
                yield node, turn, move.at + move.gap


def _message(time_s: float, protocol: str, text: str, cause: str) -> SignallingRow:
    ends = {"source": "a", "destination": "b"}
    return SignallingRow(time_s=time_s, protocol=protocol, message=text, bytes=100, cause=cause, **ends)


def _events(scenario: Scenario, known: Oracle) -> Iterator[Row]:
    plan = _plan(scenario)
    mod = {"source": "controller", "event": "flow_mod_sent"}
    yield {"time_s": -1.0, **mod, "installed": 8, "removed": 0, "cause": "base"}
    for node in scenario.mobile_nodes:
        for move in scenario.moves_of(node):
            router = str(plan.mobile_router(move.to).router_id)
            address = str(plan.mobile_node(node).addresses[move.to])
            lease = {"event": "address_configured", "address": address, "router": router}
            yield {"time_s": move.at, "source": node, **lease}
            turn = scenario.moves_of(node).index(move)
            due = (flow_rules.flow_mods(scenario, turn) if turn else None) or 8
            yield {"time_s": move.at + 0.06, **mod, "installed": due - 2, "removed": 2, "cause": "mn_attached"}
    for node, turn, attached_s in _attachments(scenario):
        told_s = handover.told_s(scenario, node, turn, SERVER)
        if told_s is not None:
            registered = {"source": "server", "event": "registered", "node": f"{node.lower()}.mn.dmm.test"}
            yield {"time_s": attached_s + told_s, **registered, "refresh": False}
    for session in sessions_of(scenario):
        address = _address(scenario, session, _anchor(scenario, session, known))
        expected = known.of(session)
        cached = session.method == "ddns" and expected is not None and expected.lookup_s == 0
        yield {
            **{"time_s": session.at_s, "source": session.cn, "event": "lookup_ended", "session": session.name},
            **{"outcome": "ok", "addresses": [address], "cached": cached},
        }
    moves = sum(len(scenario.moves_of(node)) for node in scenario.mobile_nodes)
    counters = {"s1": {"packet_ins": flow_rules.DHCP_MESSAGES * moves, "flow_mods": 8 * moves, "barriers": 2 * moves}}
    yield {"time_s": scenario.duration, "source": "controller", "event": "stopped", "counters": counters}


def folder_of(scenario: Scenario) -> str:
    return f"{scenario.name}-{digest(scenario)[:8]}"
