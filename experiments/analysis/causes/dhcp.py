"""What a DHCP message was said for."""

from __future__ import annotations

from collections import defaultdict

from dmmlab.experiments.analysis import messages
from dmmlab.experiments.analysis.causes.moves import REFRESH, UNKNOWN, Moves, SignallingTrace
from dmmlab.experiments.analysis.messages import Dhcp, Message

_LEASES = ("address_configured", "address_renewed")


class DhcpRule:
    """By the client's MAC and the movements; what follows the lease is its renewal."""

    def __init__(self, trace: SignallingTrace, moves: Moves) -> None:
        self._moves = moves
        self._names = messages.Names(trace.plan)
        self._leases: dict[str, list[int]] = defaultdict(list)
        for event in trace.events:
            if event["event"] in _LEASES:
                self._leases[event["source"]].append(event["time_ns"])
        self._causes: dict[tuple[str, int], tuple[int, str]] = {}

    def of(self, message: Message) -> str:
        """The cause of ``message``."""
        detail = message.detail
        if not isinstance(detail, Dhcp):
            return UNKNOWN
        if message.text == "release":
            return self._moves.away_from_router_of(detail.address, message.time_ns)
        node = self._names.of(detail.client_mac)
        last = self._moves.last(node, message.time_ns)
        if last is None:
            return UNKNOWN
        since_ns, cause = last
        key = (detail.client_mac, detail.transaction)
        if self._causes.get(key, (0, ""))[0] != since_ns:
            leased = any(since_ns <= lease_ns < message.time_ns for lease_ns in self._leases[node])
            self._causes[key] = since_ns, REFRESH if leased else cause
        return self._causes[key][1]
