"""What an exchange by ARP was for."""

from __future__ import annotations

from dmmlab.experiments.analysis import messages
from dmmlab.experiments.analysis.causes.moves import Moves, SignallingTrace
from dmmlab.experiments.analysis.messages import Arp, Message


class ArpRule:
    """The first exchange of each pair after a movement."""

    def __init__(self, trace: SignallingTrace, moves: Moves) -> None:
        self._nodes, self._moves = set(trace.scenario.mobile_nodes), moves
        self._answered: dict[tuple[str, str, str], bool] = {}

    def of(self, message: Message) -> str:
        """The movement, or nothing for what is not part of one."""
        detail = message.detail
        if not isinstance(detail, Arp):
            return ""
        node = next((name for name in (detail.sender, detail.target) if name in self._nodes), "")
        last = self._moves.last(node, message.time_ns)
        if last is None:
            return ""
        asker, asked = (detail.sender, detail.target) if detail.asks else (detail.target, detail.sender)
        key = (last[1], asker, asked)
        if detail.asks and message.destination == messages.BROADCAST:
            return "" if self._answered.setdefault(key, False) else last[1]
        if detail.asks or self._answered.get(key) is not False:
            return ""
        self._answered[key] = True
        return last[1]
