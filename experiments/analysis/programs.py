"""What captures show of sessions whose ends are somebody else's programs: what reached each, when, and what it missed.

A session's packets are those of its server's port, at its node and the other's addresses, in its time. Which
connections there are, over what, and who speaks first is the programs' affair.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.records import pcap
from dmmlab.experiments.records.pcap import Frame
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rows import ProgramMoveRow, ProgramRow
from dmmlab.experiments.scenario import program_ports, programs
from dmmlab.experiments.scenario.programs import SERVER
from dmmlab.experiments.scenario.sessions import SessionSpec

AROUND_S = 2.0  # of time before and after a move in which goodput is measured
_LEAD_S = 1.0  # a silence that a move causes may begin so long before it, if little was sent


@dataclass(frozen=True)
class Traffic:
    """Payload that a program could have: ``arrivals`` are (ns, bytes more), by time; of a TCP stream what lies beyond a
    gap counts when that is filled. The other end last sent some at ``sent_ns``.
    """

    arrivals: tuple[tuple[int, int], ...]
    sent_ns: int

    @cached_property
    def _news(self) -> list[int]:
        """When something new came, ns."""
        return [at_ns for at_ns, new in self.arrivals if new]

    @property
    def span_ns(self) -> tuple[int, int]:
        """From the first arrival to the last, or to when the other end last sent."""
        return (self._news[0], max(self._news[-1], self.sent_ns)) if self._news else (0, 0)

    def bytes_in(self, since_ns: int, until_ns: int) -> int:
        """What came from ``since_ns`` on, before ``until_ns``."""
        first = bisect_left(self.arrivals, (since_ns, -1))
        return sum(new for _, new in self.arrivals[first : bisect_left(self.arrivals, (until_ns, -1))])

    def silences_ns(self) -> Iterator[tuple[int, int]]:
        """Every time without news: when it began, and how long it was."""
        for before, after in pairwise([*self._news, *([self.span_ns[1]] if self._news else [])]):
            yield before, after - before


def rows(recording: Recording) -> Iterator[ProgramRow]:
    """A row for each program, servers first."""
    for spec in _running(recording):
        for role in programs.ROLES:
            if spec.entry.run is not None and spec.entry.run.command(role) is not None:
                yield _row(recording, spec, role)


def moves(recording: Recording) -> Iterator[ProgramMoveRow]:
    """A row for each movement that either end of a program's session made while it was being sent to."""
    for spec in _running(recording):
        for role in programs.ROLES:
            traffic = traffic_of(recording, spec, role)
            first_ns, last_ns = traffic.span_ns
            # With two radios the node leaves the router that it was at, when it is at the other already.
            for event in (*recording.find("runner", "detached"), *recording.find("runner", "left")):
                if event["mn"] in (spec.cn, spec.mn) and first_ns < event["time_ns"] < last_ns:
                    yield _move(recording, spec, role, traffic, event)


def traffic_of(recording: Recording, spec: SessionSpec, role: str) -> Traffic:
    """What reached the program of ``spec`` in this role."""
    node, other = (spec.mn, spec.cn) if role == SERVER else (spec.cn, spec.mn)
    came = [frame for frame, incoming in frames_of(recording, spec, node) if incoming and frame.payload_bytes]
    sent = [frame for frame, incoming in frames_of(recording, spec, other) if not incoming and frame.payload_bytes]
    streams: dict[tuple[object, ...], _Stream] = defaultdict(_Stream)
    arrivals = []
    for frame in came:
        new = frame.payload_bytes
        if frame.protocol == pcap.TCP:
            ends = (frame.source, frame.source_port, frame.destination, frame.destination_port)
            new = streams[ends].add(frame.sequence, frame.payload_bytes)
        arrivals.append((frame.time_ns, new))
    return Traffic(tuple(arrivals), sent[-1].time_ns if sent else 0)


def frames_of(recording: Recording, spec: SessionSpec, node: str) -> Iterator[tuple[Frame, bool]]:
    """The session's packets in the capture of ``node``, each with whether it came in.

    A relay gives the opener an address and a port of its own; behind it, over TCP, nothing tells sessions apart.
    """
    times_s = program_ports.starts_s(spec), program_ports.ends_s(spec)
    since_ns, until_ns = (recording.start_ns + round(at_s * 1e9) for at_s in times_s)
    own, port = recording.plan.addresses(node), program_ports.port(spec)
    others = recording.plan.addresses(spec.mn if node == spec.cn else spec.cn)
    if METHODS[spec.method].relayed:
        found = recording.find(spec.cn, "lookup_ended", session=spec.name)
        agreed = [(address, event["port"]) for event in found for address in event["addresses"]]
        if node == spec.mn or not agreed:
            return
        others, port = frozenset({agreed[-1][0]}), agreed[-1][1]
    for frame in recording.frames(node):
        if since_ns <= frame.time_ns < until_ns and port in frame.ports:
            incoming = frame.destination in own
            far = frame.source if incoming else frame.destination
            to_server = incoming == (node == spec.mn)
            if far in others and (frame.destination_port if to_server else frame.source_port) == port:
                yield frame, incoming


class _Stream:
    """One direction of a TCP connection: how far it has come without a gap, which is what its reader can have."""

    def __init__(self) -> None:
        self._front: int | None = None
        self._beyond: dict[int, int] = {}  # by the start of what came beyond a gap: its end

    def add(self, sequence: int, length: int) -> int:
        """How many bytes more the reader can have, with these."""
        if self._front is None:
            self._front = sequence
        before, front = self._front, self._front
        start = front + (sequence - front + 2**31) % 2**32 - 2**31
        self._beyond[start] = max(self._beyond.get(start, 0), start + length)
        for begin in sorted(self._beyond):
            if begin > front:
                break
            front = max(front, self._beyond.pop(begin))
        self._front = front
        return front - before


def _running(recording: Recording) -> list[SessionSpec]:
    return [spec for spec in recording.specs if spec.entry.run is not None]


def unsupported(recording: Recording, spec: SessionSpec) -> bool:
    """Whether the session could not be, as a program of it, or what that needs, is not there."""
    return bool(_events(recording, spec, "program_unsupported"))


def _events(recording: Recording, spec: SessionSpec, name: str, role: str | None = None) -> list[dict[str, object]]:
    found = [event for node in (spec.cn, spec.mn) for event in recording.find(node, name, session=spec.name)]
    return [event for event in found if role in (None, event["role"])]


def _row(recording: Recording, spec: SessionSpec, role: str) -> ProgramRow:
    started, ended = (_events(recording, spec, f"program_{what}", role) for what in ("started", "ended"))
    row = ProgramRow(
        session=spec.name,
        role=role,
        node=spec.mn if role == SERVER else spec.cn,
        status=_status(recording, spec, role),
        started_s=_seconds(recording, started),
        ended_s=_seconds(recording, ended),
        output=f"log/{spec.name}.{role}.out" if started else "",
    )
    traffic = traffic_of(recording, spec, role)
    first_ns, last_ns = traffic.span_ns
    if last_ns == first_ns:
        return row
    size = traffic.bytes_in(first_ns, last_ns + 1)
    return replace(
        row,
        bytes=size,
        longest_silence_s=max(length for _, length in traffic.silences_ns()) / 1e9,
        goodput_mbps=_mbps(size, last_ns - first_ns),
    )


def _status(recording: Recording, spec: SessionSpec, role: str) -> str:
    unsupported, ended = (_events(recording, spec, f"program_{what}", role) for what in ("unsupported", "ended"))
    if unsupported:
        return f"unsupported: {unsupported[0]['reason']}"
    if not ended:
        return ""
    status = ended[0]["status"]
    assert isinstance(status, int)
    if ended[0]["stopped"]:
        return "stopped"
    return f"signal {-status}" if status < 0 else str(status)


def _move(
    recording: Recording, spec: SessionSpec, role: str, traffic: Traffic, detached: dict[str, object]
) -> ProgramMoveRow:
    at_ns = detached["time_ns"]
    assert isinstance(at_ns, int)
    around_ns, lead_ns = round(AROUND_S * 1e9), round(_LEAD_S * 1e9)
    before = traffic.bytes_in(at_ns - around_ns, at_ns)
    after = traffic.bytes_in(at_ns, at_ns + around_ns)
    caused = [length for since, length in traffic.silences_ns() if at_ns - lead_ns <= since < at_ns + around_ns]
    return ProgramMoveRow(
        session=spec.name,
        role=role,
        mn=str(detached["mn"]),
        detach_s=recording.since_start(at_ns),
        bytes=after,
        longest_silence_s=max(caused, default=0) / 1e9,
        before_mbps=_mbps(before, around_ns),
        after_mbps=_mbps(after, around_ns),
    )


def _seconds(recording: Recording, events: list[dict[str, object]]) -> float | None:
    return recording.since_start(int(str(events[0]["time_ns"]))) if events else None


def _mbps(size: int, time_ns: int) -> float:
    return size * 8e3 / time_ns
