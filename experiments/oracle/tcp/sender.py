"""The sending half of an end: what its window lets it send, and its timer (RFC 6298, 8985)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from dmmlab.experiments.oracle.tcp.cubic import Cubic
from dmmlab.experiments.oracle.tcp.receiver import Receiver
from dmmlab.experiments.oracle.tcp.roundtrip import LEAST_RTO, MOST_RTO
from dmmlab.experiments.oracle.tcp.segments import Beyond, Fate, Segment, Sent
from dmmlab.experiments.oracle.tcp.wheel import NEVER, TICK_US, runs_out, ticks

State = Literal["open", "disorder", "cwr", "recovery", "loss"]
Pending = Literal["none", "retransmit", "probe", "reorder"]  # what its timer is for
WINDOW = 10  # segments, before it hears of the first (RFC 6928)
_SOON_US = 2_000  # TCP_TIMEOUT_MIN_US


@dataclass
class Sender(Receiver):
    """An end that sends, too; segments are counted, not bytes."""

    state: State = "open"
    pending: Pending = "none"
    written: int = 0
    acknowledged: int = 0
    out: list[Sent] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)  # where what was written in one go ends
    window: int = WINDOW
    threshold: int = NEVER
    cubic: Cubic = field(default_factory=Cubic)
    limited: bool = False  # by the window
    most_out: int = 0
    usage: int = 0
    last_sent: int = 0
    high: int = 0  # what was sent when the state was entered
    marked: int = 0  # how many were taken for lost, ever
    prior_threshold: int = 0
    prior_window: int = 0
    reduced_delivered: int = 0
    reduced_out: int = 0
    undo: int | None = None  # from where on a reduction may turn out to be wrong
    undo_again: int = 0
    retransmitted_ms: int = 0
    probed: int = 0  # where the tail loss probe ends that is under way; 0: none
    probed_again: bool = False

    def _set(self, what: Pending, after: int) -> None:
        self.pending = what
        self.wake("send", *runs_out(self.tick, min(after, MOST_RTO), self.running))

    @property
    def packets(self) -> int:
        """Segments that are not acknowledged."""
        return len(self.out)

    @property
    def selected(self) -> int:
        """Those of them that have arrived out of order."""
        return sum(one.selected for one in self.out)

    @property
    def lost(self) -> int:
        """Those that are taken for lost."""
        return sum(one.lost for one in self.out)

    @property
    def again(self) -> int:
        """Those that are sent again."""
        return sum(one.again for one in self.out)

    @property
    def in_flight(self) -> int:
        """What is taken to be on its way (RFC 6675, pipe)."""
        return self.packets - self.selected - self.lost + self.again

    def write(self, size: int) -> None:
        """The program writes ``size`` bytes."""
        self.written += size
        if self.marks and self.marks[-1] > self.next and self.next < self.written - size:
            self.marks[-1] = self.written  # what waits takes it in
        else:
            self.marks.append(self.written)
        self.push()

    def push(self, probe: bool = False) -> bool:
        """Sends what the window lets through; ``probe``: one segment, whatever the window."""
        sent, room = 0, self.room
        while self.next < self.written:
            if self.in_flight >= self.window and not probe:
                break
            end = next(mark for mark in self.marks if mark > self.next)
            end = min(end, self.next + room)
            new = Sent(self.next, end, self.now_us, None)
            if not self._transmit(new):
                if not self.out:
                    raise Beyond  # it probes until there is a route
                break
            self.next = end
            self.marks = [mark for mark in self.marks if mark > end]
            self.out.append(new)
            if self.packets == 1 or self.pending == "probe":
                self.rearm()
            sent += 1
            if probe:
                break
        if sent or self.in_flight >= self.window:
            self._used(self.in_flight >= self.window)
        if sent:
            if self.state in ("recovery", "cwr"):
                self.reduced_out += sent
            if not probe:
                self._plan_probe(False)
        return bool(sent)

    def _used(self, limited: bool) -> None:
        if self.acknowledged >= self.usage or limited or (not self.limited and self.packets > self.most_out):
            self.limited, self.most_out, self.usage = limited, self.packets, self.next

    def _transmit(self, one: Sent) -> bool:
        one.segment = self._segment(one.first, one.end)
        if self.hand_over(one.segment) == "unreachable":
            return False
        one.sent_us, one.watched = self.now_us, True
        if not self.in_flight:
            self.cubic.idle(self.tick - self.last_sent, self.tick)
        self.last_sent = self.tick
        if self.tick - self.last_came < self.ato:
            self.pingpong = True
        return True

    def hand_over(self, segment: Segment) -> Fate:
        """Sends ``segment``; what its own link drops, it takes for a sign that this is full."""
        fate = self.send(segment)
        if fate == "dropped":
            self.prior_threshold = 0
            if self.state in ("open", "disorder"):
                self.undo = None
                self._reduce()
                self.state = "cwr"
        return fate

    def rearm(self) -> None:
        """RFC 6298 (5): the timer runs while there is something to acknowledge."""
        if not self.out:
            self.pending = "none"
            self.wake("send", NEVER, True)
            return
        rto = self.path.rto
        if self.pending in ("probe", "reorder"):
            rto = ticks(max(self.out[0].sent_us + self.path.rto * TICK_US - self.now_us, 1))
        self._set("retransmit", rto)

    def _plan_probe(self, anew: bool) -> bool:
        """RFC 8985 (7.2): two round trips after what was sent last, and 200 ms more if it is alone."""
        if self.state not in ("open", "cwr"):
            return False
        after_us = (self.path.srtt8_us >> 2) + (LEAST_RTO * TICK_US if self.packets == 1 else _SOON_US)
        left_us = self.path.rto * TICK_US if anew else self.out[0].sent_us + self.path.rto * TICK_US - self.now_us
        after = ticks(after_us)
        self._set("probe", min(after, ticks(left_us)) if left_us > 0 else after)
        return True

    def _again(self, one: Sent, count: bool = True) -> bool:
        """Sends ``one`` once more, with what follows it as far as both fit one segment and nobody else holds it."""
        place, room = self.out.index(one), self.room
        one.first = max(one.first, self.acknowledged)
        if one.end - one.first > room:
            self.out.insert(place + 1, replace(one, first=one.first + room))
            one.end = one.first + room
        elif not one.selected and self._free(one):
            while place + 1 < len(self.out):
                after = self.out[place + 1]
                if after.selected or not self._free(after) or after.end - one.first > room:
                    break
                one.end, one.ever_again = after.end, one.ever_again or after.ever_again
                self.out.pop(place + 1)
        if not self._transmit(one):
            one.ever_again = True
            return False
        one.ever_again = True
        if count:
            one.again = True
            if not self.retransmitted_ms:
                self.retransmitted_ms = self.now_ms
            self.undo_again = max(self.undo_again, 0) + 1
        return True

    def _free(self, one: Sent) -> bool:
        return one.segment is None or one.segment.taken

    def _mark(self, one: Sent) -> None:
        if one.selected:
            return
        if one.lost:
            self.marked += one.again
            one.again = False
        else:
            self.marked += 1
        one.lost = True

    def _current_threshold(self) -> int:
        if self.state in ("cwr", "recovery"):
            return self.threshold
        return max(self.threshold, (self.window >> 1) + (self.window >> 2))

    def _reduce(self) -> None:
        self.high, self.probed = self.next, 0
        self.prior_window, self.reduced_delivered, self.reduced_out = self.window, 0, 0
        self.cubic.credit = 0
        self.threshold = self.cubic.reduced(self.window)

    def _mark_undo(self) -> None:
        self.undo = self.acknowledged
        self.undo_again = self.again + bool(self.probed and self.probed_again) or -1

    def _remember(self) -> None:
        """Before it is reduced: the window, to be restored if there was no need."""
        self.prior_threshold = self._current_threshold()
        self.prior_window = self.window
        self.threshold = self.cubic.reduced(self.window)
        self._mark_undo()
