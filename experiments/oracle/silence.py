"""How long a user hears nothing while a mobile node changes links: worked out probe by probe, from the scenario alone.

Where a probe and its answer go and whether they arrive follows from the times of links, addresses and redirects
(`ways`); over TCP, what the timers of both ends do where something is lost (`tcp`). What is between two answers is
silence.

There is no closed form where chance, or a timer of a program, decides: with loss, jitter or a rate on a link, with
`dad: on`, and where a packet comes when a switch has a new rule and may still do what it has cached.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from itertools import accumulate, pairwise
from math import inf, isnan, nan

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.oracle.delays import radio_s, to_core_s
from dmmlab.experiments.oracle.faults import touches
from dmmlab.experiments.oracle.memo import once
from dmmlab.experiments.oracle.moves import place
from dmmlab.experiments.oracle.tcp.segments import Beyond, Fate
from dmmlab.experiments.oracle.tcp.sender import WINDOW
from dmmlab.experiments.oracle.tcp.stream import Fates, Stream, keeps_its_route
from dmmlab.experiments.oracle.ways import Undecided, Way, Ways
from dmmlab.experiments.scenario.model import CONTROLLER, Scenario
from dmmlab.experiments.scenario.sections.movement import Movement
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of

_NEVER = float("inf")
_SEGMENT_BYTES = {"ipv4": 1448, "ipv6": 1428}  # of 1500, less the headers and timestamps
_UNDER_WAY_S = {"udp": 1.0, "tcp": inf}  # longer than any packet is; a stream says again what was lost


def answers_s(scenario: Scenario, session: SessionSpec) -> list[float | None] | None:
    """When the answer to each of the session's probes reaches who opened it: None, it never does; NaN, that is
    undecided. None instead of a list without a closed form.
    """
    node, host = (session.mn, session.cn) if session.mn in scenario.mobile_nodes else (session.cn, session.mn)
    both_move = {session.mn, session.cn} <= set(scenario.mobile_nodes)
    asks = METHODS[session.method].asks or session.entry.spacing != "even"
    if both_move or session.interval_s is None or asks or not _exact(scenario, node, host):
        return None
    anchor = session.anchor or scenario.moves_of(node)[0].to
    if node == session.cn:
        there = place(scenario, node, session.at_s)
        if there is None:
            return None
        anchor = there.anchor
    ways = Ways(scenario, node, anchor, host)
    trip = (ways.down, ways.up) if node == session.mn else (ways.up, ways.down)
    opened_s = session.at_s
    if session.transport == "tcp":  # probes follow the handshake
        answered_s = _there_and_back(trip, session.at_s)
        if answered_s is None or isnan(answered_s):
            return None
        opened_s = answered_s
    sent = [max(session.at_s + number * session.interval_s, opened_s) for number in range(session.count)]
    found = [_there_and_back(trip, sent_s) for sent_s in sent]
    if session.transport != "tcp":
        return found
    answered = [answer for answer in found if answer is not None and not isnan(answer)]
    if len(answered) < len(sent):
        return _streamed_s(scenario, session, ways, trip)
    in_order = list(accumulate(answered, max))  # a stream is read in its order
    return list(_as_its_window_lets_it(sent, in_order))


def _as_its_window_lets_it(sent: list[float], answered: list[float]) -> Iterator[float]:
    """The answers of a stream that loses nothing; NaN from the first probe that has to wait until so many before it are
    answered, as those may that were due while it was opened, to the first that is sent when the last of them is. Later
    its window is wide enough.
    """
    soon = [number for number in range(WINDOW, len(sent)) if sent[number] <= 2 * answered[0] - sent[0]]
    waits = [number for number in soon if answered[number - WINDOW] >= sent[number]]
    held_s = (sent[waits[0]], 2 * answered[waits[-1]] - sent[waits[-1]]) if waits else (inf, inf)
    for sent_s, answer_s in zip(sent, answered, strict=True):
        yield nan if held_s[0] <= sent_s <= held_s[1] else answer_s


def _streamed_s(
    scenario: Scenario, session: SessionSpec, ways: Ways, trip: tuple[Way, Way]
) -> list[float | None] | None:
    """As `answers_s`, where the timers of both ends decide when a stream goes on."""
    if scenario.transit != "links" or any(move.overlap is not None for move in scenario.moves_of(ways.node)):
        return (
            None  # what a kernel does to a connection whose route goes to another radio, or whose packets are tunnelled
        )
    if scenario.addresses.keep is not None:
        return None  # or to one whose address goes
    far: Fates = (_carried, ways.fate) if session.mn in scenario.mobile_nodes else (ways.fate, _carried)
    ends = (session.cn, session.mn)
    rerouted = [ways.rerouted if end == ways.node else keeps_its_route for end in ends]
    first_link_s = _first_link_s(scenario, session, ways.node)
    stream = Stream(trip, far, _SEGMENT_BYTES[scenario.family], first_link_s, (rerouted[0], rerouted[1]))
    try:
        if not stream.open(session.at_s, session.interval_s or 0.0, session.count):
            return None
    except Undecided:
        return None
    with contextlib.suppress(Undecided, Beyond):
        stream.run()
    return stream.answers_s(nan)


def _first_link_s(scenario: Scenario, session: SessionSpec, node: str) -> tuple[float, float]:
    """Of the opener and of the other end: of ``node`` the longest that it ever has."""
    radio = max(radio_s(scenario, node, router) for router in scenario.mobile_routers)
    ends = {node: radio}
    opener, other = (ends.get(end, to_core_s(scenario, end)) for end in (session.cn, session.mn))
    return opener, other


def _carried(_sent_s: float) -> Fate:
    return "sent"


def _there_and_back(trip: tuple[Way, Way], sent_s: float) -> float | None:
    try:
        there_s = trip[0](sent_s)
        return None if there_s is None else trip[1](there_s)
    except Undecided:
        return nan


def longest_silence_s(scenario: Scenario, session: SessionSpec, turn: int) -> float | None:
    """The longest time without an answer that ends after the node's movement ``turn`` has begun, or is announced,
    and before the next has; None where there is no closed form, or nothing was heard before and after.
    """
    return longest_by_movement_s(scenario, session).get(turn)


def longest_by_movement_s(scenario: Scenario, session: SessionSpec) -> dict[int, float]:
    """As `longest_silence_s`, of each movement of the node that has a closed form."""
    node = session.mn if session.mn in scenario.mobile_nodes else session.cn
    answers = answers_s(scenario, session)
    turns = range(1, len(scenario.moves_of(node)))
    found = {turn: _longest_s(scenario, session, turn, answers) for turn in turns}
    return {turn: silence_s for turn, silence_s in found.items() if silence_s is not None}


@once
def longest_of_all_s(scenario: Scenario, node: str) -> Mapping[int, float]:
    """By movement of ``node``, the longest silence of any session with it; nothing where one has no closed form."""
    found: dict[int, float] = {}
    open_ended: set[int] = set()
    moves = scenario.moves_of(node)
    begin_s = [_begins_s(scenario, move) for move in (*moves, None)]
    for session in sessions_of(scenario):
        if node not in (session.cn, session.mn) or session.interval_s is None:
            continue
        exact, ends_s = longest_by_movement_s(scenario, session), session.at_s + (session.duration_s or 0.0)
        for turn in range(1, len(moves)):
            silence_s = exact.get(turn)
            if silence_s is not None:
                found[turn] = max(found.get(turn, 0.0), silence_s)
            elif session.at_s < begin_s[turn + 1] and begin_s[turn] < ends_s + _UNDER_WAY_S[session.transport]:
                open_ended.add(turn)
    return {turn: silence_s for turn, silence_s in found.items() if turn not in open_ended}


def _longest_s(scenario: Scenario, session: SessionSpec, turn: int, answers: list[float | None] | None) -> float | None:
    node = session.mn if session.mn in scenario.mobile_nodes else session.cn
    moves = scenario.moves_of(node)
    if answers is None or session.interval_s is None:
        return None
    begins_s, ends_s = (_begins_s(scenario, move) for move in (moves[turn], *moves[turn + 1 : turn + 2], None)[:2])
    touched = touches(scenario)
    if touched.stay(begins_s, ends_s) or touched.probe(session, begins_s, ends_s):
        return None
    heard = sorted(answer for answer in answers if answer is not None and not isnan(answer))
    since_s = max((answer for answer in heard if answer <= begins_s), default=-_NEVER) - _UNDER_WAY_S[session.transport]
    for number, answer in enumerate(answers):
        sent_s = session.at_s + number * session.interval_s
        if answer is not None and isnan(answer) and since_s < sent_s < ends_s:
            return None
    return max(_silences(heard, begins_s, ends_s), default=None)


def _silences(heard: list[float], begins_s: float, ends_s: float) -> Iterator[float]:
    return (after - before for before, after in pairwise(heard) if begins_s < after <= ends_s)


def _begins_s(scenario: Scenario, move: Movement | None) -> float:
    """When a movement begins, or is announced; never, if there is none."""
    if move is None:
        return _NEVER
    return move.at - (scenario.handover.announce or 0.0) if move.overlap is None else move.at


def _speaks(scenario: Scenario, node: str) -> bool:
    """Whether ``node`` may say something by a new link before it asks for a lease, so that it is heard earlier."""
    return any(spec.cn == node or (spec.mn == node and spec.transport == "tcp") for spec in sessions_of(scenario))


def _exact(scenario: Scenario, node: str, host: str) -> bool:
    """Whether nothing but delay decides, and processing that always takes as long."""
    if scenario.costs.packet_in_s and scenario.handover.buffer:  # what confirms the redirect waits for other packet-ins
        return False
    if scenario.costs.drawn or (scenario.costs.dhcp_s and _speaks(scenario, node)):
        return False
    if scenario.addresses.dad == "on" or scenario.addresses.lifetime != "fixed":
        return False
    ends = {node, host, CONTROLLER, *scenario.mobile_routers}
    return not any(link.jitter or link.loss or link.rate for link in scenario.links if ends & set(link.between))
