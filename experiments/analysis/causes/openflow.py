"""What a message between the controller and a switch was said for."""

from __future__ import annotations

from dmmlab.experiments.analysis import decoding, messages
from dmmlab.experiments.analysis.causes.dhcp import DhcpRule
from dmmlab.experiments.analysis.causes.moves import KEEPALIVE, START_UP, UNKNOWN, Moves, SignallingTrace
from dmmlab.experiments.analysis.messages import Dhcp, Discovery, Message
from dmmlab.experiments.analysis.openflow import OpenFlow
from dmmlab.experiments.records import pcap
from dmmlab.experiments.scenario.model import CONTROLLER


class OpenFlowRule:
    """By the mobile node in the message's match, frame or port; what copies DHCP, or answers it, by that."""

    def __init__(self, trace: SignallingTrace, moves: Moves, dhcp: DhcpRule) -> None:
        self._moves, self._start_ns, self._dhcp = moves, trace.start_ns, dhcp
        self._reader = decoding.Reader(CONTROLLER, messages.Names(trace.plan))
        radios = [(radio, node.name) for node in trace.plan.mobile_nodes for radio in node.radios]
        self._by_mac = {radio.mac: name for radio, name in radios}
        self._by_port_name = {radio.port: name for radio, name in radios}
        self._ports: dict[tuple[str, int], str] = {}  # (switch, port number) to mobile node
        self._asked: dict[tuple[str, int], str] = {}
        self._released: dict[str, str] = {}  # addresses given back, and for which movement
        self._leased: tuple[str, str] | None = None  # address and cause of the DHCP message that was copied last
        self._flush: str | None = None  # the cause of an address in what the controller is just telling the switches
        self._before = UNKNOWN

    def of(self, message: Message) -> str:
        """The cause of ``message``."""
        detail = message.detail
        switch = message.source if message.destination == CONTROLLER else message.destination
        if not isinstance(detail, OpenFlow):
            return self._before
        if detail.keepalive:
            return KEEPALIVE
        if message.destination == CONTROLLER:
            self._flush = None
        key = (switch, detail.transaction)
        if detail.answers and key in self._asked:
            return self._asked[key]
        cause = START_UP if message.time_ns < self._start_ns else self._reason(detail, switch, message.time_ns)
        self._before = cause
        if message.source == CONTROLLER:
            self._asked[key] = cause
        return cause

    def _reason(self, detail: OpenFlow, switch: str, time_ns: int) -> str:
        for number, name in detail.ports:
            if name in self._by_port_name:
                self._ports[switch, number] = self._by_port_name[name]
        if detail.name == "packet-in":
            if messages.asks_again(pcap.parse(detail.frame, time_ns)):
                return KEEPALIVE
            copied = self._copied(detail, time_ns)
            if copied is not None:
                return copied
        addresses = {address for address in detail.addresses if self._moves.node_of(address) is not None}
        released = addresses & self._released.keys()
        if not addresses and self._flush is not None:
            return self._flush
        if self._leased is not None and self._leased[0] in addresses:
            self._flush = self._leased[1]
        elif detail.name in ("flow-mod delete", "flow-removed") and released:
            self._flush = self._released[min(released)]
        else:
            return self._movement(detail, switch, time_ns)
        return self._flush

    def _copied(self, detail: OpenFlow, time_ns: int) -> str | None:
        """The cause of the DHCP message, or of an IPv6 address's release, that a packet-in copies; None if it copies
        something else.
        """
        self._leased = None
        frame = pcap.parse(detail.frame, time_ns)
        message = next(iter(self._reader.messages([frame])), None) if frame is not None else None
        if message is not None and isinstance(message.detail, Discovery):
            return self._discovered(message, message.detail.kind)
        if message is None or not isinstance(message.detail, Dhcp):
            return None
        cause = self._dhcp.of(message)
        if message.text == "release":
            self._released[message.detail.address] = cause
        elif message.text == "ack":
            self._released.pop(message.detail.address, None)
        if message.text in ("release", "ack"):
            self._leased = message.detail.address, cause
        return cause

    def _discovered(self, message: Message, kind: int) -> str | None:
        address = message.peers[0]
        if kind != pcap.REGISTRATION:
            self._released.pop(address, None)  # it is in use
            return None
        self._released[address] = cause = self._moves.away_from_router_of(address, message.time_ns)
        self._leased = address, cause
        return cause

    def _movement(self, detail: OpenFlow, switch: str, time_ns: int) -> str:
        named = [self._by_mac[mac] for mac in detail.macs if mac in self._by_mac]
        named += [node for address in detail.addresses if (node := self._moves.node_of(address)) is not None]
        if detail.in_port is not None and (switch, detail.in_port) in self._ports:
            named.append(self._ports[switch, detail.in_port])
        return self._moves.last_told(min(named), time_ns) if named else self._before
