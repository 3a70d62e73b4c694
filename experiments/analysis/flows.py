"""What a capture shows of each session: when its first packet left, when its first answer came, when each probe did."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from dmmlab.experiments.analysis import programs
from dmmlab.experiments.records import pcap
from dmmlab.experiments.records.pcap import Frame
from dmmlab.experiments.records.recording import Recording
from dmmlab.nodes.orders import FIRST_LOCAL_PORT, MOST_SESSIONS, PROBE_BYTES

_SEQUENCE_AT = 8  # of a probe: after magic and session, 8 bytes


@dataclass
class Flow:
    """What one host's capture shows of one session: ns of the first packet out, of the first payload in, of probes.

    A session that hears nothing is opened anew, and counts anew: of a probe that was sent more than once, the time is
    that of the sending that was answered, or of the last.
    """

    opened_ns: int | None = None
    answered_ns: int | None = None
    opened_from: str = ""  # the address that it was opened from, in the end: of the last packet out before an answer
    opened_port: int | None = None  # the port of the first packet out
    answer: Frame | None = None  # the first payload in
    sent_ns: dict[int, int] = field(default_factory=dict)
    received_ns: dict[int, int] = field(default_factory=dict)
    _isn: dict[bool, int] = field(default_factory=dict)

    def add(self, packet: Frame, outgoing: bool) -> None:
        """The session's next packet in the capture; ``outgoing``: from the host that opened it."""
        self.note(packet, outgoing)
        if packet.protocol == pcap.TCP:
            self._add_segment(packet, outgoing)
        elif packet.payload_bytes >= PROBE_BYTES:
            number = int.from_bytes(packet.payload[_SEQUENCE_AT : _SEQUENCE_AT + 8], "big")
            if not outgoing:
                self.received_ns.setdefault(number, packet.time_ns)
            elif number not in self.received_ns:
                self.sent_ns[number] = packet.time_ns

    def note(self, packet: Frame, outgoing: bool) -> None:
        """The same, whatever it carries."""
        if outgoing and self.opened_ns is None:
            self.opened_ns, self.opened_port = packet.time_ns, packet.source_port
        if outgoing and self.answered_ns is None:
            self.opened_from = packet.source
        if not outgoing and self.answered_ns is None and packet.payload_bytes:
            self.answered_ns, self.answer = packet.time_ns, packet

    def _add_segment(self, packet: Frame, outgoing: bool) -> None:
        """Record n of a stream is sent with the segment that first holds its first byte, and received with the one
        that holds its last.
        """
        if packet.flags & pcap.SYN:
            if outgoing and self._isn.get(True) != packet.sequence:  # another connection, and not the same SYN again
                self.sent_ns = {number: at_ns for number, at_ns in self.sent_ns.items() if number in self.received_ns}
            self._isn[outgoing] = packet.sequence
        if not packet.payload_bytes or outgoing not in self._isn:
            return
        start = (packet.sequence - self._isn[outgoing] - 1) % 2**32
        end = start + packet.payload_bytes
        if outgoing:
            for number in range(-(-start // PROBE_BYTES), -(-end // PROBE_BYTES)):
                self.sent_ns.setdefault(number, packet.time_ns)
        else:
            for number in range(start // PROBE_BYTES, end // PROBE_BYTES):
                if start <= (number + 1) * PROBE_BYTES - 1 < end:
                    self.received_ns.setdefault(number, packet.time_ns)


def flows(recording: Recording) -> dict[int, Flow]:
    """By a session's number, what the capture of whoever opened it shows; a new Flow for the others.

    What a switch floods to a mobile node is not for it: frames neither from nor to its own addresses say nothing.
    """
    found: dict[int, Flow] = defaultdict(Flow)
    for host in recording.scenario.ends:
        if host not in recording.scenario.openers:
            continue
        own = recording.plan.addresses(host)
        for frame in recording.frames(host):
            outgoing = frame.source in own
            if not outgoing and frame.destination not in own:
                continue
            local = frame.source_port if outgoing else frame.destination_port
            if FIRST_LOCAL_PORT <= local < FIRST_LOCAL_PORT + MOST_SESSIONS:
                found[local - FIRST_LOCAL_PORT].add(frame, outgoing)
    for spec in recording.specs:
        if spec.entry.run is not None:
            for frame, incoming in programs.frames_of(recording, spec, spec.cn):
                found[spec.number].note(frame, not incoming)
    return found
