"""What a question to the DNS, an update of it, or the answer to either was said for."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from dmmlab.experiments.analysis.causes.moves import UNKNOWN, Moves, SignallingTrace
from dmmlab.experiments.analysis.messages import Dns, Message
from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import RESOLVER
from dmmlab.experiments.scenario.identities import node_id
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of
from dmmlab.nodes.orders import DNS_SERVICE

DISCOVERY = "discovery"  # of a node's ID, by DNS-SD


@dataclass
class _Lookup:
    """A lookup by DDNS that had to ask: its session and its window, ns."""

    session: str
    start_ns: int
    end_ns: float


class DnsRule:
    """By the lookups of the correspondents, first in, first out; the resolver's own by what waits for it."""

    def __init__(self, trace: SignallingTrace, moves: Moves) -> None:
        self._moves = moves
        self._open: dict[tuple[str, str, str], deque[_Lookup]] = defaultdict(deque)
        self._asked: dict[tuple[str, int, tuple[str, str]], _Lookup] = {}
        self._causes: dict[tuple[tuple[str, int], int], str] = {}
        self._read_lookups(trace)
        everything = [message for message in trace.once() if message.protocol == "dns"]
        for message in everything:
            self._ask(message)
        self._follow_resolver([m for m in trace.heard if m.protocol == "dns" and m.at == RESOLVER])

    def of(self, message: Message) -> str:
        """The cause of ``message``."""
        detail = message.detail
        return self._causes.get((detail.client, detail.transaction), UNKNOWN) if isinstance(detail, Dns) else UNKNOWN

    def _read_lookups(self, trace: SignallingTrace) -> None:
        sessions = {
            session.name: session
            for session in sessions_of(trace.scenario)
            if METHODS[session.method].signalling.lookups == "dns"
        }
        running: dict[tuple[str, int], _Lookup] = {}
        cached = {
            (event["session"], event["attempt"]) for event in trace.events
            if event["event"] == "lookup_ended" and event["cached"]
        }  # fmt: skip
        for event in trace.events:
            if event["event"] not in ("lookup_started", "lookup_ended") or event["session"] not in sessions:
                continue
            key = (event["session"], event["attempt"])
            if event["event"] == "lookup_ended" and key in running:
                running[key].end_ns = event["time_ns"]
            elif key not in cached:
                running[key] = lookup = _Lookup(event["session"], event["time_ns"], float("inf"))
                for question in _questions(trace.scenario, sessions[event["session"]]):
                    self._open[sessions[event["session"]].cn, *question].append(lookup)

    def _ask(self, message: Message) -> None:
        detail = message.detail
        if not isinstance(detail, Dns) or detail.answer or message.source == RESOLVER:
            return
        repeated = self._asked.get((message.source, detail.transaction, detail.question))
        if repeated is None or repeated.end_ns < message.time_ns:
            waiting = self._open[message.source, *detail.question]
            while waiting and waiting[0].end_ns < message.time_ns:
                waiting.popleft()
            if waiting and waiting[0].start_ns <= message.time_ns:
                repeated = waiting.popleft()
                self._asked[message.source, detail.transaction, detail.question] = repeated
            else:
                repeated = None
        cause = repeated.session if repeated is not None else self._moves.by(message.source, message.time_ns)
        cause = DISCOVERY if detail.kind in ("PTR", "TXT") else cause
        self._causes[detail.client, detail.transaction] = cause

    def _follow_resolver(self, heard: Iterable[Message]) -> None:
        """The resolver's capture in its order: questions come, wait, make it ask, and are answered."""
        waiting: dict[tuple[tuple[str, int], int], tuple[str, str]] = {}
        for message in heard:
            detail = message.detail
            if not isinstance(detail, Dns):
                continue
            key = (detail.client, detail.transaction)
            if message.destination == RESOLVER and not detail.answer:
                waiting.setdefault(key, detail.question)
            elif message.source == RESOLVER and detail.answer:
                waiting.pop(key, None)
            elif message.source == RESOLVER:
                same = [self._causes.get(k, UNKNOWN) for k, question in waiting.items() if question == detail.question]
                about = [self._causes.get(k, UNKNOWN) for k, (_, name) in waiting.items() if name.endswith(detail.name)]
                self._causes[key] = next(iter([*same, *about]), UNKNOWN)


def _questions(scenario: Scenario, session: SessionSpec) -> list[tuple[str, str]]:
    target = node_id(scenario, session.mn).lower().rstrip(".")
    service = DNS_SERVICE if session.service == "echo" else session.service
    return [("SRV", f"_{service}._{session.transport}.{target}"), ("A", target), ("AAAA", target)]


class UpdateRule:
    """By the address that a dynamic update comes from."""

    def __init__(self, moves: Moves) -> None:
        self._moves = moves
        self._causes: dict[tuple[tuple[str, int], int], str] = {}

    def of(self, message: Message) -> str:
        """The cause of ``message``."""
        detail = message.detail
        if not isinstance(detail, Dns):
            return UNKNOWN
        key = (detail.client, detail.transaction)
        if not detail.answer:
            self._causes.setdefault(key, self._moves.to_router_of(detail.client[0], message.time_ns))
        return self._causes.get(key, UNKNOWN)
