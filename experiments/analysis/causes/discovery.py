"""What a message of neighbour discovery (RFC 4861) was said for; the rule stands in `signalling`."""

from __future__ import annotations

from dmmlab.experiments.analysis import messages
from dmmlab.experiments.analysis.causes.moves import Moves, SignallingTrace
from dmmlab.experiments.analysis.messages import Discovery, Message
from dmmlab.experiments.records import pcap

_UNSPECIFIED = "::"  # who does not know yet whether its address is its own


class DiscoveryRule:
    """Router discovery, the detection of duplicates, what is announced or given back, and the first resolution of each
    pair.
    """

    def __init__(self, trace: SignallingTrace, moves: Moves) -> None:
        self._nodes, self._moves = set(trace.scenario.mobile_nodes), moves
        self._answered: dict[tuple[str, str, str], bool] = {}

    def of(self, message: Message) -> str:
        """The movement, or nothing for what is not part of one."""
        detail = message.detail
        if not isinstance(detail, Discovery):
            return ""
        ends = (message.source, message.destination, detail.asked)
        if detail.kind == pcap.REGISTRATION:
            return self._moves.away_from_router_of(message.peers[0], message.time_ns)
        last = self._moves.last(next((name for name in ends if name in self._nodes), ""), message.time_ns)
        if last is None:
            return ""
        _, cause = last
        asks = detail.kind == messages.NEIGHBOUR_SOLICITATION
        if not detail.asked or message.peers[0] == _UNSPECIFIED or (detail.to_group and not asks):
            return cause
        asker = message.source if asks else message.destination
        key = (cause, asker, detail.asked)
        if asks and detail.to_group:
            return "" if self._answered.setdefault(key, False) else cause
        if asks or self._answered.get(key) is not False:
            return ""  # one asks again whether the other is still there
        self._answered[key] = True
        return cause
