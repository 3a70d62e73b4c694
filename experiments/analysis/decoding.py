"""Signalling as captures have it: DHCP, ARP, neighbour discovery, DNS, registration, OpenFlow, decoded.

Every capture is read as it is: a message that two hosts captured is there twice, and ``sent`` tells which is the
sender's. Datagrams weigh what their IP packet weighs; messages of a TCP stream their own length, without the headers
of the segments that they share with others.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace

import dns.rcode
import dns.rdatatype

from dmmlab.experiments.analysis import openflow
from dmmlab.experiments.analysis.messages import (
    LOST_HEADER,
    MULTICAST,
    NEIGHBOUR_ADVERTISEMENT,
    NEIGHBOUR_SOLICITATION,
    ROUTER_ADVERTISEMENT,
    ROUTER_SOLICITATION,
    Arp,
    Detail,
    Dhcp,
    Discovery,
    Dns,
    Message,
    Names,
)
from dmmlab.experiments.methods.base import SERVER
from dmmlab.experiments.records import pcap
from dmmlab.experiments.records.pcap import Cutter, Frame, Stream
from dmmlab.experiments.records.recording import Recording
from dmmlab.nodes.mobility import notice
from dmmlab.nodes.orders import DNS_PORT
from dmmlab.nodes.registration import wire
from dmmlab.topologies.plan import CONTROLLER, NetworkPlan

DHCP_PORTS = (67, 68)
_DHCP_TYPES = ("", "discover", "offer", "request", "decline", "ack", "nak", "release", "inform")
_UPDATE = 5  # opcode (RFC 2136)
_IN_WORDS = {
    ROUTER_SOLICITATION: "router solicitation",
    ROUTER_ADVERTISEMENT: "router advertisement",
    NEIGHBOUR_SOLICITATION: "who-has",
    NEIGHBOUR_ADVERTISEMENT: "is-at",
    pcap.REGISTRATION: "release",
}

_Connection = tuple[str, str, int, int]


def read(recording: Recording) -> list[Message]:
    """Every signalling message in every capture of the run, by time."""
    plan = recording.plan
    hosts = (*(host.name for host in plan.hosts), *(node.name for node in plan.mobile_nodes))
    names, found = Names(plan), list[Message]()
    for host in hosts:
        found += Reader(host, names).messages(recording.frames(host))
    found += _control_channel(recording.frames(CONTROLLER), plan)
    return sorted(found, key=lambda message: message.time_ns)


class Reader:
    """The messages in the capture of one host."""

    def __init__(self, at: str, names: Names) -> None:
        self._at, self._names = at, names
        self._streams: dict[_Connection, tuple[Stream, Cutter]] = {}
        self._begun: set[_Connection] = set()  # legs whose first message has been read

    def messages(self, frames: Iterable[Frame]) -> Iterator[Message]:
        """The messages in ``frames``, which are the capture's next ones."""
        for frame in frames:
            if not frame.protocol:
                yield self._arp(frame)
            elif frame.protocol == pcap.TCP:
                yield from self._segment(frame)
            elif frame.protocol == pcap.ICMPV6:
                yield self._discovery(frame)
            elif wire.PORT in frame.ports:
                yield from self._registration(frame, frame.time_ns, frame.payload, frame.length)
            elif DNS_PORT in frame.ports:
                yield from self._dns(frame, frame.time_ns, frame.payload, frame.length)
            elif set(frame.ports) == set(DHCP_PORTS):
                yield from self._dhcp(frame)
            elif set(frame.ports) == {notice.PORT}:
                yield self._message(frame, frame.time_ns, "handover", "announcement", frame.length, None)

    def _message(self, frame: Frame, time_ns: int, protocol: str, text: str, length: int, detail: Detail) -> Message:
        source, destination = self._names.of(frame.source), self._names.of(frame.destination)
        peers = (frame.source, frame.destination)
        return Message(time_ns, protocol, source, destination, text, length, self._at, detail, peers, frame.ports)

    # -- datagrams and frames -----------------------------------------------------------------------------------
    def _arp(self, frame: Frame) -> Message:
        asks = frame.payload[7] == 1
        detail = Arp(asks, self._names.of(frame.source), self._names.of(frame.destination))
        text = f"who-has {frame.destination}" if asks else f"{frame.source} is-at"
        message = self._message(frame, frame.time_ns, "arp", text, frame.length, detail)
        return replace(message, source=self._names.of(frame.from_mac), destination=self._names.of(frame.to_mac))

    def _discovery(self, frame: Frame) -> Message:
        kind = frame.payload[0]
        about = kind in (NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT)
        target = pcap.address_text(frame.payload[8:24]) if about and len(frame.payload) >= 24 else ""
        if kind == pcap.REGISTRATION:
            target = frame.source
        words = _IN_WORDS[kind]
        text = f"{target} {words}" if kind == NEIGHBOUR_ADVERTISEMENT else f"{words} {target}".rstrip()
        to_group = frame.destination.startswith("ff")
        detail = Discovery(kind, self._names.of(target), to_group)
        message = self._message(frame, frame.time_ns, "nd", text, frame.length, detail)
        destination = MULTICAST if to_group else self._names.of(frame.to_mac)
        return replace(message, source=self._names.of(frame.from_mac), destination=destination)

    def _dhcp(self, frame: Frame) -> Iterator[Message]:
        data = frame.payload
        kind = _dhcp_type(data)
        if not kind:
            return
        mac = pcap.mac_text(data[28:34])
        address = next((data[at : at + 4] for at in (16, 12) if any(data[at : at + 4])), b"")
        detail = Dhcp(int.from_bytes(data[4:8], "big"), mac, pcap.address_text(address) if address else "")
        message = self._message(frame, frame.time_ns, "dhcp", kind, frame.length, detail)
        if data[0] == 1:
            yield replace(message, source=self._names.of(mac))
        else:  # to an address that the client does not have yet, or to all
            yield replace(message, destination=self._names.of(mac))

    def _dns(self, frame: Frame, time_ns: int, data: bytes, length: int) -> Iterator[Message]:
        head = _dns(data)
        if head is None:
            return
        transaction, flags, name, kind = head
        answer, rcode = bool(flags & 0x8000), flags & 0x000F
        client = (frame.destination, frame.destination_port) if answer else (frame.source, frame.source_port)
        detail = Dns(transaction, client, answer, name, kind, data)
        result = f" {dns.rcode.to_text(dns.rcode.Rcode(rcode))}" if answer and rcode else ""
        if (flags >> 11) & 0x0F == _UPDATE:
            text = f"{'answer' if answer else 'update'}{result}"
            yield self._message(frame, time_ns, "dns-update", text, length, detail)
            return
        text = f"{'answer' if answer else 'query'} {kind} {name}{result}"
        yield self._message(frame, time_ns, "dns", text, length, detail)

    def _registration(self, frame: Frame, time_ns: int, data: bytes, length: int) -> Iterator[Message]:
        try:
            message = wire.decode(data)
        except wire.WireError:
            text = LOST_HEADER if not data else "unreadable"
            yield self._message(frame, time_ns, "registration", text, length, None)
            return
        words = [message.type.name]
        words += [part.name.lower() for part in (message.mode, message.reason) if part is not None]
        yield self._message(frame, time_ns, "registration", " ".join(words), length, message)

    # -- streams ------------------------------------------------------------------------------------------------
    def _segment(self, frame: Frame) -> Iterator[Message]:
        """Messages that this segment completes; of a relayed session's leg, the one that each end begins with."""
        key: _Connection = (frame.source, frame.destination, *frame.ports)
        if frame.flags & pcap.SYN:
            self._streams.pop(key, None)
            self._begun.discard(key)
        is_dns, is_control = DNS_PORT in frame.ports, wire.PORT in frame.ports
        if not (is_dns or is_control) and (key in self._begun or not self._is_leg(frame)):
            return
        if key not in self._streams:
            cutter = Cutter(2, _dns_length) if is_dns else Cutter(wire.HEADER.size, _registration_length)
            self._streams[key] = Stream(), cutter
        stream, cutter = self._streams[key]
        for piece in stream.feed(frame):
            for cut in cutter.feed(piece):
                if is_dns:
                    yield from self._dns(frame, cut.time_ns, cut.data[2:], cut.length)
                elif is_control or cut.data:
                    yield from self._registration(frame, cut.time_ns, cut.data, cut.length)
                if not (is_dns or is_control):
                    self._begun.add(key)
                    return

    def _is_leg(self, frame: Frame) -> bool:
        ends = {self._names.of(frame.source), self._names.of(frame.destination)}
        return SERVER in ends and bool(ends & self._names.mobile_nodes)


def _dhcp_type(data: bytes) -> str:
    """The type of a DHCP message (RFC 2132 section 9.6); empty if the bytes are none."""
    place = 240
    while place + 2 < len(data) and data[place] != 255:
        if data[place] == 53:
            return _DHCP_TYPES[data[place + 2]] if data[place + 2] < len(_DHCP_TYPES) else ""
        place += 1 if data[place] == 0 else 2 + data[place + 1]
    return ""


def _dns_length(head: bytes) -> int:
    return int.from_bytes(head, "big") + 2


def _registration_length(head: bytes) -> int:
    version, _, length, _ = wire.HEADER.unpack(head)
    return int(length) if version == wire.VERSION and wire.SMALLEST <= length <= wire.LARGEST else 0


def _dns(data: bytes) -> tuple[int, int, str, str] | None:
    """Transaction, flags, and name and type of the first question (of an update, the zone); None if it is cut off."""
    try:
        transaction, flags, questions = struct.unpack_from("!HHH", data)
        labels, place = [], 12
        while questions and data[place]:
            labels.append(data[place + 1 : place + 1 + data[place]].decode(errors="replace"))
            place += 1 + data[place]
        kind = struct.unpack_from("!H", data, place + 1)[0] if questions else 0
    except (IndexError, struct.error):
        return None
    return transaction, flags, ".".join(labels).lower(), dns.rdatatype.to_text(dns.rdatatype.RdataType.make(kind))


# -- the control channel ------------------------------------------------------------------------------------------
def _control_channel(frames: Iterable[Frame], plan: NetworkPlan) -> list[Message]:
    """OpenFlow, as the controller's host captured it; a connection is its switch's once that has said who it is."""
    streams: dict[tuple[int, int], tuple[Stream, Cutter]] = {}
    switches = {router.dpid: router.switch for router in plan.mobile_routers}
    names: dict[int, str] = {}
    found: list[tuple[int, Message]] = []
    for frame in frames:
        if frame.protocol != pcap.TCP or openflow.PORT not in frame.ports:
            continue
        if frame.flags & pcap.SYN or frame.ports not in streams:
            streams[frame.ports] = Stream(), Cutter(openflow.HEADER.size, openflow.length_of)
        stream, cutter = streams[frame.ports]
        inwards = frame.destination_port == openflow.PORT
        connection = frame.source_port if inwards else frame.destination_port
        for piece in stream.feed(frame):
            for cut in cutter.feed(piece):
                decoded = openflow.decode(cut.data) if cut.data else None
                if decoded is not None and decoded.datapath is not None:
                    names[connection] = switches.get(decoded.datapath, f"datapath {decoded.datapath}")
                text = LOST_HEADER if decoded is None else decoded.name
                ends = ("", CONTROLLER) if inwards else (CONTROLLER, "")
                where = (frame.source, frame.destination), frame.ports
                found.append(
                    (connection, Message(cut.time_ns, "openflow", *ends, text, cut.length, CONTROLLER, decoded, *where))
                )
    return [_with_switch(message, names.get(connection, "switch")) for connection, message in found]


def _with_switch(message: Message, switch: str) -> Message:
    return replace(message, source=switch) if not message.source else replace(message, destination=switch)
