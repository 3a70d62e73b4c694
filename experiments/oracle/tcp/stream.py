"""A stream of probes over TCP, played event by event: when the answers come, where some segments are lost."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import partial

from dmmlab.experiments.oracle.tcp.end import End
from dmmlab.experiments.oracle.tcp.segments import Beyond, Fate, Segment
from dmmlab.experiments.oracle.tcp.wheel import NEVER, START, TICK_NS

Way = Callable[[float], float | None]  # from when a packet leaves to when it arrives; None if it is lost
Fates = tuple[Callable[[float], Fate], Callable[[float], Fate]]
Rerouted = Callable[[float, float], bool]  # whether an end's route was replaced after the one time and by the other

_PROBE_BYTES = 24
# Until an end has sent anything by a new route, Linux asks the one that is gone for the size of segments: its least of
# 48 (TCP_MIN_SND_MSS), less the timestamps.
_LEAST_BYTES = 36
_S = 1_000_000_000
_TIMER, _PACKET, _PROGRAM = range(3)  # what is at one instant comes in this order


def keeps_its_route(_after_s: float, _by_s: float) -> bool:
    """An end that does not move."""
    return False


class Stream:
    """A connection whose one end, the opener, sends probes, which the other sends back.

    ``ways`` and ``fates`` are of what the opener sends, and of what the other does; ``largest``: bytes of a segment;
    ``first_link_s``: how long at most what one of them sends is on the link that it sends it by.
    """

    def __init__(
        self,
        ways: tuple[Way, Way],
        fates: Fates,
        largest: int,
        first_link_s: tuple[float, float],
        rerouted: tuple[Rerouted, Rerouted] = (keeps_its_route, keeps_its_route),
    ) -> None:
        self._ways, self._fates, self._first_link_s = ways, fates, first_link_s
        self._largest, self._rerouted, self._sent_s = largest, rerouted, [0.0, 0.0]
        self._events: list[tuple[int, int, int, Callable[[], None]]] = []
        self._timers: dict[tuple[int, str], int] = {}
        self._made = 0
        self._probes = 0
        self._came_ns: list[int] = []
        self.now_ns = 0
        self.ends = [
            End(partial(self._send, number), partial(self._wake, number), partial(self._size, number), START)
            for number in range(2)
        ]

    def open(self, at_s: float, interval_s: float, count: int) -> bool:
        """Opens it at ``at_s``, for ``count`` probes; whether the handshake gets through at once."""
        there_s = self._ways[0](at_s)
        back_s = None if there_s is None else self._ways[1](there_s)
        again_s = None if back_s is None else self._ways[0](back_s)
        if there_s is None or back_s is None or again_s is None:
            return False
        begins, comes, back, again = (round(time_s * _S) for time_s in (at_s, there_s, back_s, again_s))
        for end, asked, answered in zip(self.ends, (begins, comes), (back, again), strict=True):
            end.path.measured((answered - asked) // 1000, 0, 0)
            end.path.least_us = (answered - asked) // 1000
        self.ends[0].echo_ms, self.ends[1].echo_ms = comes // 1_000_000, back // 1_000_000
        self._probes, self._sent_s = count, [at_s, at_s]
        for number in range(count):
            due = round((at_s + number * interval_s) * _S)
            self._at(max(due, back), _PROGRAM, partial(self._write, 0, _PROBE_BYTES))
        return True

    def run(self) -> None:
        """Plays it to its end, or until it comes into a state that is not modelled (`Beyond`)."""
        while self._events:
            self.now_ns, _, _, what = heapq.heappop(self._events)
            what()

    def answers_s(self, unknown: float) -> list[float | None]:
        """When the answer to each probe can be read; ``unknown`` from where it was not played to the end."""
        came: list[float | None] = [time_ns / _S for time_ns in self._came_ns]
        return came + [unknown if self._events else None] * (self._probes - len(came))

    def _at(self, when_ns: int, kind: int, what: Callable[[], None]) -> None:
        self._made += 1
        heapq.heappush(self._events, (when_ns, kind, self._made, what))

    def _end(self, number: int) -> End:
        self.ends[number].now_ns = self.now_ns
        return self.ends[number]

    def _send(self, number: int, segment: Segment) -> Fate:
        now_s = self.now_ns / _S
        arrives_s = self._ways[number](now_s)
        fate: Fate = "sent" if arrives_s is not None else self._fates[number](now_s)
        if fate == "held":  # it is not sent again before the host gives it up
            raise Beyond
        if fate != "unreachable":
            self._sent_s[number] = now_s
        if arrives_s is None:
            segment.taken = True
            return fate
        self._at(round(arrives_s * _S), _PACKET, partial(self._arrive, 1 - number, segment))
        return "sent"

    def _size(self, number: int) -> int:
        """Bytes that a segment takes."""
        return _LEAST_BYTES if self._rerouted[number](self._sent_s[number], self.now_ns / _S) else self._largest

    def _arrive(self, number: int, segment: Segment) -> None:
        self._end(number).receive(segment)
        if segment.end > segment.first:
            self._at(self.now_ns, _PROGRAM, partial(self._read, number))

    def _read(self, number: int) -> None:
        end = self._end(number)
        size = end.take()
        if number == 1 and size:
            end.write(size)
        elif number == 0:
            self._came_ns += [self.now_ns] * (end.read // _PROBE_BYTES - len(self._came_ns))

    def _write(self, number: int, size: int) -> None:
        self._end(number).write(size)

    def _wake(self, number: int, what: str, when: int, known: bool) -> None:
        """``when``: a tick, or nanoseconds for what is ``selected``; not ``known``: the earliest."""
        self._timers[number, what] = when
        if when != NEVER:
            when_ns = when if what == "selected" else (when - START) * TICK_NS
            self._at(when_ns, _TIMER, partial(self._fire, number, what, when, known))

    def _fire(self, number: int, what: str, when: int, known: bool) -> None:
        if self._timers.get((number, what)) != when:
            return
        if not known:
            raise Beyond
        del self._timers[number, what]
        end = self._end(number)
        # To the kernel what is on that link is in a queue of the host's: it is not sent again, and not probed with.
        probes = what == "send" and end.pending == "probe" and bool(end.out)
        if probes and end.now_us - end.out[-1].sent_us <= self._first_link_s[number] * 1e6:
            raise Beyond
        end.fire(what)
