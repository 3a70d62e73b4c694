"""From a run's raw records to its tables: events, probes, handovers, sessions, signalling.

A function of files: it reads ``run.json``, ``log/`` and ``capture/`` and can be repeated at any time. Every time in a
table is that of a kernel's capture stamp or of an event; nothing is assumed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice, pairwise

from dmmlab.experiments.analysis import clock, programs, signalling, silence, validity
from dmmlab.experiments.analysis.flows import Flow, flows
from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import SERVER
from dmmlab.experiments.oracle.expectation import Expectation
from dmmlab.experiments.records import rows
from dmmlab.experiments.records.pcap import Frame
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rows import HandoverRow, ProbeRow, ProgramMoveRow, ProgramRow, SessionRow, SignallingRow
from dmmlab.experiments.scenario.sections.movement import Movement
from dmmlab.experiments.scenario.sessions import SessionSpec
from dmmlab.nodes.orders import BULK_PORT, ECHO_PORT, FIRST_LOCAL_PORT

_AFTERWARDS_S = 60.0  # what follows from a node's last movement may come that long after the scenario's end
Flows = Mapping[int, Flow]


def reduce(recording: Recording) -> None:
    """Writes ``events.jsonl`` and the tables. Raises RecordError if the raw records do not allow it."""
    run, sent = recording.run, flows(recording)
    _write_events(recording)
    rows.write(run.probes, ProbeRow, _probes(sent, recording, recording.specs))
    rows.write(run.handovers, HandoverRow, _handovers(recording, sent))
    expected = recording.oracle
    rows.write(run.sessions, SessionRow, (_session(recording, sent, s, expected.of(s)) for s in recording.specs))
    rows.write(run.signalling, SignallingRow, signalling.rows(recording))
    if any(spec.entry.run is not None for spec in recording.specs):
        rows.write(run.programs, ProgramRow, programs.rows(recording))
        rows.write(run.program_moves, ProgramMoveRow, programs.moves(recording))


def session_rows(recording: Recording, names: Collection[str]) -> list[SessionRow]:
    """The rows of the sessions of these ``names``, by what a run has left so far."""
    sent, expected = flows(recording), recording.oracle
    return [_session(recording, sent, spec, expected.of(spec)) for spec in recording.specs if spec.name in names]


def probe_rows(recording: Recording, names: Collection[str]) -> list[ProbeRow]:
    """The rows of the probes of the sessions of these ``names``, by what a run has left so far."""
    return list(_probes(flows(recording), recording, (spec for spec in recording.specs if spec.name in names)))


def problems(recording: Recording) -> list[str]:
    """What makes a run invalid: packets that a capture lost, a machine that did not keep time, paths that were not
    what is configured.
    """
    found = []
    for log in sorted(recording.run.log.glob("tcpdump-*.log")):
        dropped = re.search(r"(\d+) packets dropped by kernel", log.read_text())
        if dropped is None:
            found.append(f"{log.stem}: the capture did not end properly")
        elif int(dropped[1]):
            found.append(f"{log.stem}: {dropped[1]} packets were not captured")
    return [*found, *clock.problems(recording), *validity.problems(recording)]


def _write_events(recording: Recording) -> None:
    start_ns = recording.start_ns  # refused before the file is there
    with recording.run.events.open("w") as file:
        for event in recording.logged:
            row = {"time_s": round((event["time_ns"] - start_ns) / 1e9, 9), **event}
            del row["time_ns"]
            file.write(json.dumps(row) + "\n")


def _probes(sent: Flows, recording: Recording, specs: Iterable[SessionSpec]) -> Iterator[ProbeRow]:
    for spec in specs:
        flow = sent.get(spec.number, Flow())
        for number in range(spec.count):
            sent_ns, received_ns = flow.sent_ns.get(number), flow.received_ns.get(number)
            sent_s = received_s = rtt_ms = None
            if sent_ns is not None:
                sent_s = recording.since_start(sent_ns)
                if received_ns is not None:
                    received_s, rtt_ms = recording.since_start(received_ns), (received_ns - sent_ns) / 1e6
            yield ProbeRow(session=spec.name, seq=number, sent_s=sent_s, received_s=received_s, rtt_ms=rtt_ms)


# -- handovers -----------------------------------------------------------------------------------------------------
def _handovers(recording: Recording, sent: Flows) -> Iterator[HandoverRow]:
    scenario = recording.scenario
    for node in scenario.mobile_nodes:
        moves = scenario.moves_of(node)
        end_ns = recording.start_ns + round((scenario.duration + _AFTERWARDS_S) * 1e9)
        begin_ns = [_began_ns(recording, before, move) for before, move in pairwise(moves)]
        for turn in range(1, len(moves)):
            until_s = moves[turn + 1].at if turn + 1 < len(moves) else scenario.duration + _AFTERWARDS_S
            row = _handover(recording, sent, moves[turn - 1], moves[turn], until_s)
            since_ns, until_ns = [*begin_ns, end_ns][turn - 1 : turn + 1]
            yield replace(row, longest_silence_s=silence.longest_s(recording, sent, node, since_ns, until_ns))


def _began_ns(recording: Recording, before: Movement, move: Movement) -> int:
    """When the movement began, or was announced, ns since the epoch."""
    return [*_announced(recording, before, move), recording.start_ns + round(move.at * 1e9)][0]


def _handover(recording: Recording, sent: Flows, before: Movement, move: Movement, until_s: float) -> HandoverRow:
    node = move.node
    start_ns, end_ns = (recording.start_ns + round(at_s * 1e9) for at_s in (move.at, until_s))

    def stamps(source: str, event: str, **fields: object) -> list[int]:
        times = (found["time_ns"] for found in recording.find(source, event, **fields))
        return [time_ns for time_ns in times if start_ns <= time_ns < end_ns]

    def seconds(times_ns: list[int]) -> float | None:
        return recording.since_start(times_ns[0]) if times_ns else None

    attached, announced = stamps("runner", "attached", mn=node), _announced(recording, before, move)
    confirmed = [*stamps(node, "registered")[:1], *stamps(node, "zone_updated")[:1]]
    return HandoverRow(
        mn=node,
        from_mr=before.to,
        to_mr=move.to,
        detach_s=seconds([*stamps("runner", "detached", mn=node), *stamps("runner", "left", mn=node)]),
        attach_s=seconds(attached),
        address_s=seconds(stamps(node, "address_configured")),
        redirect_s=seconds(stamps("controller", "redirect_confirmed", mn=node)[-1:]),
        registered_s=seconds(sorted(confirmed)[-1:]),
        first_packet_s=seconds(_first_arrival(recording, node, attached[0], end_ns) if attached else []),
        lost_packets=_lost(recording, sent, node, start_ns, end_ns),
        announced_s=seconds(announced),
        buffered_packets=_buffered(recording, node, start_ns, end_ns),
    )


def _announced(recording: Recording, before: Movement, move: Movement) -> list[int]:
    """When the node announced that it would leave, ns since the epoch; empty if it did not."""
    since_ns, until_ns = (recording.start_ns + round(at_s * 1e9) for at_s in (before.at, move.at))
    told = [event["time_ns"] for event in recording.find(move.node, "handover_announced")]
    return [time_ns for time_ns in told if since_ns < time_ns <= until_ns][-1:]


def _buffered(recording: Recording, node: str, start_ns: int, end_ns: int) -> int:
    """How many packets for ``node`` waited at routers and were delivered in that time (ns since the epoch)."""
    owners = recording.plan.owners
    ended = [event for router in recording.plan.mobile_routers for event in recording.find(router.name, "buffer_ended")]
    return sum(
        int(event["packets"])
        for event in ended
        if start_ns <= event["time_ns"] < end_ns and owners.get(event["address"], ("",))[0] == node
    )


def _first_arrival(recording: Recording, node: str, since_ns: int, until_ns: int) -> list[int]:
    """When the first packet for its services, or its own sessions, reached ``node``, ns since the epoch; empty if none
    did.
    """
    wanted = {ECHO_PORT, BULK_PORT, *recording.scenario.more_services.values()}
    wanted |= {FIRST_LOCAL_PORT + session.number for session in recording.specs if session.cn == node}
    own = recording.plan.addresses(node)
    stamps = (
        frame.time_ns
        for frame in recording.frames(node)
        if since_ns <= frame.time_ns < until_ns and frame.destination_port in wanted and frame.destination in own
    )
    return list(islice(stamps, 1))


def _lost(recording: Recording, sent: Flows, node: str, start_ns: int, end_ns: int) -> int:
    """Probes to or from ``node`` that were never answered and that the move may have cost: those that were due since it
    began, and those that were under way then.
    """
    lost = 0
    for session in recording.specs:
        if node not in (session.mn, session.cn) or session.number not in sent or session.size is not None:
            continue  # a bulk transfer has no probes
        flow = sent[session.number]
        longest_ns = max((ns - flow.sent_ns[n] for n, ns in flow.received_ns.items() if n in flow.sent_ns), default=0)
        lost += sum(
            start_ns - longest_ns <= due_ns < end_ns - longest_ns
            for number, due_ns in (_due(flow, session) if session.cn == node else flow.sent_ns).items()
            if number not in flow.received_ns
        )
    return lost


def _due(flow: Flow, session: SessionSpec) -> dict[int, int]:
    """When each probe left, ns; of one that did not, as its host had no link just then, when it should have."""
    uneven = session.entry.spacing != "even"
    if flow.opened_ns is None or session.interval_s is None or uneven or session.transport != "udp":
        return flow.sent_ns
    interval_ns = round(session.interval_s * 1e9)
    return {number: flow.opened_ns + number * interval_ns for number in range(session.count)} | flow.sent_ns


# -- sessions ------------------------------------------------------------------------------------------------------
def _session(recording: Recording, sent: Flows, spec: SessionSpec, expected: Expectation | None) -> SessionRow:
    """One row: what the session was, what it took, and what it should have taken."""
    flow = sent.get(spec.number, Flow())
    lookups = recording.find(spec.cn, "lookup_ended", session=spec.name)
    address = _address(recording, spec)
    row = SessionRow(
        session=spec.name,
        method=spec.method,
        transport=spec.transport,
        cn=spec.cn,
        mn=spec.mn,
        start_s=spec.at_s,
        expected_setup_ms=None if expected is None else expected.setup_s * 1e3,
        address=address,
        anchor=recording.plan.owners.get(address, ("", ""))[1],
        serving=recording.serving(spec.mn, recording.start_ns + round(spec.at_s * 1e9)),
        mn_serving=recording.serving(spec.cn, recording.start_ns + round(spec.at_s * 1e9)),
        path="none",
        outcome=lookups[-1]["outcome"] if lookups and lookups[-1]["outcome"] != "ok" else "timeout",
    )
    if flow.opened_from:
        row = replace(row, mn_anchor=recording.plan.owners.get(flow.opened_from, ("", ""))[1])
    if spec.entry.run is not None and programs.unsupported(recording, spec):
        return replace(row, outcome="unsupported")
    if flow.opened_ns is None or flow.answered_ns is None:
        return row
    retried = len(lookups) > 1
    lookup_ms, connect_ms = _delays(recording, spec, flow.opened_ns, flow.answered_ns, retried)
    return replace(
        row,
        lookup_ms=lookup_ms,
        connect_ms=connect_ms,
        setup_ms=lookup_ms + connect_ms,
        path=_path(recording, spec, address, flow),
        outcome="retried" if retried else "ok",
    )


def _address(recording: Recording, spec: SessionSpec) -> str:
    """Which address the session was opened on in the end: its policy's choice, else that of the last lookup whose turn
    it was: each attempt takes the next one.
    """
    chosen = [event["address"] for event in recording.find(spec.cn, "address_chosen", session=spec.name)]
    lookups = recording.find(spec.cn, "lookup_ended", session=spec.name)
    found = [event["addresses"][event["attempt"] % len(event["addresses"])] for event in lookups if event["addresses"]]
    return str((chosen or found or [""])[-1])


def _delays(
    recording: Recording, spec: SessionSpec, opened_ns: int, answered_ns: int, retried: bool
) -> tuple[float, float]:
    """Lookup as the agent saw it, and connect between capture stamps, in ms.

    Of a session that was retried, both together last from its start to the first answer, and connect is all of it
    that was not spent on lookups: waiting in vain, mostly.
    """
    starts = recording.find(spec.cn, "lookup_started", session=spec.name)
    ends = recording.find(spec.cn, "lookup_ended", session=spec.name)
    lookup_ms = sum(end["time_ns"] - start["time_ns"] for start, end in zip(starts, ends, strict=False)) / 1e6
    setup_ms = (answered_ns - starts[0]["time_ns"]) / 1e6
    connect_ms = setup_ms - lookup_ms if retried else (answered_ns - opened_ns) / 1e6
    return lookup_ms, connect_ms


def _path(recording: Recording, spec: SessionSpec, address: str, flow: Flow) -> str:
    """By which routers' hands the session's first packet reached whom it was for, and its answer a mobile opener."""
    plan, port = recording.plan, flow.opened_port or FIRST_LOCAL_PORT + spec.number
    if METHODS[spec.method].relayed:
        return "relay" if address == str(plan.host(SERVER).address.ip) else "none"
    since_ns = flow.opened_ns or 0
    there = next(
        (f for f in recording.frames_from_port(spec.mn, port) if f.destination == address and f.time_ns >= since_ns),
        None,
    )
    if there is None:
        return "none"
    ends = [(spec.mn, there), *([(spec.cn, flow.answer)] if flow.answer is not None else [])]
    redirected = sum(_redirected(recording, node, frame) for node, frame in ends)
    return ("direct", "redirect", "redirect-both")[redirected]


def _redirected(recording: Recording, node: str, frame: Frame) -> bool:
    """Whether a router other than the one that serves ``node`` handed it ``frame``; a host has no such routers."""
    routers = {router.access_mac: router.name for router in recording.plan.mobile_routers}
    return node in recording.scenario.mobile_nodes and routers.get(frame.from_mac) not in (
        None,
        recording.serving(node, frame.time_ns, frame.to_mac),
    )
