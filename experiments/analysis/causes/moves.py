"""A run's signalling, and the movements that messages are said for."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

from dmmlab.experiments.analysis import decoding, messages
from dmmlab.experiments.analysis.messages import Message
from dmmlab.experiments.records.events import Event
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.scenario.model import CONTROLLER, Scenario
from dmmlab.experiments.scenario.sections.movement import Movement
from dmmlab.topologies.plan import NetworkPlan

START_UP, KEEPALIVE, REFRESH, UNKNOWN = "start-up", "keepalive", "refresh", "unknown"


def movement_name(move: Movement) -> str:
    """A movement as a cause: ``MN1→MR2@10s``."""
    return f"{move.node}→{move.to}@{move.at:g}s"


@dataclass
class SignallingTrace:
    """All signalling of a run, and what is needed to find what each message was for."""

    scenario: Scenario
    plan: NetworkPlan
    start_ns: int
    events: list[Event]
    heard: list[Message]  # at every host

    @classmethod
    def of(cls, recording: Recording) -> SignallingTrace:
        """Raises RecordError if the run's scenario never started."""
        start_ns, heard = recording.start_ns, decoding.read(recording)
        return cls(recording.scenario, recording.plan, start_ns, recording.logged, heard)

    def once(self) -> list[Message]:
        """Each message once, though two hosts captured it; by time."""
        hosts = [host.name for host in self.plan.hosts] + [node.name for node in self.plan.mobile_nodes]
        return messages.once(self.heard, [*hosts, CONTROLLER])


class Moves:
    """Which movement a mobile node had made last, at any time, and which one an address speaks of."""

    def __init__(self, trace: SignallingTrace) -> None:
        self._routers = trace.plan.owners
        self._moves: dict[str, list[tuple[int, Movement]]] = {
            node: [(trace.start_ns + round(move.at * 1e9), move) for move in trace.scenario.moves_of(node)]
            for node in trace.scenario.mobile_nodes
        }
        self._told = {node: list(moves) for node, moves in self._moves.items()}
        for event in trace.events:
            if event["event"] == "handover_announced":
                moves = self._told[event["source"]]
                turn = bisect_right(moves, event["time_ns"], key=lambda move: move[0])
                moves[turn : turn + 1] = [(event["time_ns"], move) for _, move in moves[turn : turn + 1]]

    def last(self, node: str, time_ns: int) -> tuple[int, str] | None:
        """When the last movement of ``node`` began, and its name; None before the first, or for no mobile node."""
        return self._last(self._moves.get(node, []), time_ns)

    def last_told(self, node: str, time_ns: int) -> str:
        """As `by`, of a movement that the node has announced from then on."""
        last = self._last(self._told.get(node, []), time_ns)
        return last[1] if last is not None else UNKNOWN

    @staticmethod
    def _last(moves: list[tuple[int, Movement]], time_ns: int) -> tuple[int, str] | None:
        turn = bisect_right(moves, time_ns, key=lambda move: move[0])
        return (moves[turn - 1][0], movement_name(moves[turn - 1][1])) if turn else None

    def by(self, node: str, time_ns: int) -> str:
        """The last movement of ``node`` as a cause; `UNKNOWN` before the first."""
        last = self.last(node, time_ns)
        return last[1] if last is not None else UNKNOWN

    def to_router_of(self, address: str, time_ns: int) -> str:
        """The last movement to the router that ``address`` is from."""
        node, router = self._routers.get(address, ("", ""))
        moves = [move for at_ns, move in self._moves.get(node, []) if at_ns <= time_ns and move.to == router]
        return movement_name(moves[-1]) if moves else UNKNOWN

    def away_from_router_of(self, address: str, time_ns: int) -> str:
        """The last movement that left the router that ``address`` is from."""
        node, router = self._routers.get(address, ("", ""))
        moves = [move for at_ns, move in self._moves.get(node, []) if at_ns <= time_ns]
        left = [after for before, after in pairwise(moves) if before.to == router]
        return movement_name(left[-1]) if left else self.by(node, time_ns)

    def node_of(self, address: str) -> str | None:
        """The mobile node that ``address`` belongs to; None if it is no mobile node's."""
        return self._routers[address][0] if address in self._routers else None
