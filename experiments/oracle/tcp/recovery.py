"""How a sender finds losses, repairs them, and what that costs its window (RFC 8985, 6298, 6937, 3522, 9438)."""

from __future__ import annotations

from dataclasses import dataclass

from dmmlab.experiments.oracle.tcp.cubic import Cubic
from dmmlab.experiments.oracle.tcp.roundtrip import MOST_RTO
from dmmlab.experiments.oracle.tcp.segments import Beyond, Segment, Sent
from dmmlab.experiments.oracle.tcp.sender import Sender, State
from dmmlab.experiments.oracle.tcp.wheel import NEVER, ticks

_SOON_US = 2_000  # TCP_TIMEOUT_MIN_US
_DUPLICATES = 3


@dataclass
class Found:
    """What an acknowledgement says, and what there was before it."""

    delivered: int
    highest: int
    marked: int
    advanced: bool = False
    data: bool = False
    acked: bool = False
    selected: bool = False
    duplicate: bool = False
    duplicate_of_probe: bool = False
    original: bool = False
    set_timer: bool = False
    reordering: int = NEVER
    first_selected_us: int = 0
    last_selected_us: int = 0

    def last_us(self, now_us: int, acknowledged_us: int) -> int:
        """How long what arrived last was under way."""
        return now_us - (self.last_selected_us or acknowledged_us)


@dataclass
class Recoverer(Sender):
    """A sender that repairs."""

    timeouts: int = 0
    frto: bool = False
    reordered: bool = False
    rack_us: int = 0
    rack_sent_us: int = 0
    rack_end: int = 0
    rack_new: bool = False
    delivered: int = 0

    def _highest(self) -> int:
        return max((one.end for one in self.out if one.selected), default=self.acknowledged)

    def _advance(self, one: Sent) -> None:
        us = self.now_us - one.sent_us
        if us < self.path.least_us and one.ever_again:
            return
        self.rack_new, self.rack_us = True, us
        if (one.sent_us, one.end) > (self.rack_sent_us, self.rack_end):
            self.rack_sent_us, self.rack_end = one.sent_us, one.end

    def _repeated(self) -> bool:
        return bool(self.again) or bool(self.out and self.out[0].ever_again)

    def _keep_open(self) -> None:
        state: State = "disorder" if self.selected + self.lost or self._repeated() else "open"
        if state != self.state:
            self.state, self.high = state, self.next

    def _end_reduction(self) -> None:
        if self.threshold < NEVER and (self.state == "cwr" or self.undo is not None):
            self.window = self.threshold

    def _may_undo(self, segment: Segment) -> bool:
        return self.undo is not None and (not self.undo_again or self._delayed(segment))

    def _delayed(self, segment: Segment) -> bool:
        """Whether what has come was sent before anything was sent again (RFC 3522)."""
        return not self.retransmitted_ms or segment.echoed_ms < self.retransmitted_ms

    def _undo(self, unmark: bool) -> None:
        if unmark:
            for one in self.out:
                one.lost = False
        if self.prior_threshold:
            self.window = max(self.window, self.prior_window)
            self.threshold = max(self.threshold, self.prior_threshold)
        self.undo, self.rack_new = None, True

    def _undo_recovery(self, segment: Segment) -> None:
        if self._may_undo(segment):
            self._undo(False)
        self.state = "open"

    def _undo_duplicate(self) -> bool:
        if self.undo is not None and not self.undo_again:
            self._undo(False)
            return True
        return False

    def _undo_loss(self, segment: Segment, frto: bool) -> bool:
        if not frto and not self._may_undo(segment):
            return False
        self._undo(True)
        self.timeouts = 0
        self.state = "open"
        return True

    def _try_open(self) -> None:
        if not self._repeated():
            self.retransmitted_ms = 0
        if self.state != "cwr":
            self._keep_open()

    def _enter_recovery(self) -> None:
        if not self._repeated():
            self.retransmitted_ms = 0
        self.prior_threshold = 0
        self._mark_undo()
        if self.state not in ("cwr", "recovery"):
            self.prior_threshold = self._current_threshold()
            self._reduce()
        self.state = "recovery"

    def _detect(self) -> bool:
        """RFC 8985 (6.2): lost is what was sent before what has arrived, by more than reordering explains."""
        if not self.out or not self.rack_new:
            return True
        self.rack_new = False
        wait_us = self._overdue()
        if wait_us:
            self._set("reorder", ticks(wait_us + _SOON_US))
        return not wait_us

    def _overdue(self) -> int:
        settle_us = min(self.path.least_us >> 2, self.path.smoothed_us)
        if not self.reordered and (self.state in ("recovery", "loss") or self.selected >= _DUPLICATES):
            settle_us = 0
        wait_us = 0
        for one in sorted(self.out, key=lambda one: (one.sent_us, one.end)):
            if one.selected or not one.watched or (one.lost and not one.again):
                continue
            if not (self.rack_sent_us, self.rack_end) > (one.sent_us, one.end):
                break
            left_us = self.rack_us + settle_us - (self.now_us - one.sent_us)
            if left_us <= 0:
                self._mark(one)
                one.watched = False
            else:
                wait_us = max(wait_us, left_us)
        return wait_us

    def _waited(self) -> None:
        before, marked = self.in_flight, self.marked
        self._overdue()
        if self.in_flight != before:
            if self.state != "recovery":
                self._enter_recovery()
                self._reduction(1, self.marked - marked, False)
            self._repair()
        if self.pending != "retransmit":
            self.rearm()

    def _control(self, found: Found) -> None:
        newly = self.delivered - found.delivered
        if self.state in ("recovery", "cwr"):
            self._reduction(newly, self.marked - found.marked, found.advanced)
        elif found.acked or (self.reordered and (found.acked or found.selected)):
            self._grow(newly)

    def _grow(self, newly: int) -> None:
        slow = self.window < self.threshold
        if not (self.limited or (slow and self.window < 2 * self.most_out)):
            return
        # HyStart (RFC 9406) looks for acknowledgements that come late, or in trains: those of probes do neither.
        if slow:
            grown = min(self.window + newly, self.threshold)
            newly -= grown - self.window
            self.window = grown
        if newly:
            self.window = self.cubic.grown(self.window, newly, self.tick)

    def _reduction(self, newly: int, lost: int, advanced: bool) -> None:
        """RFC 6937: so much is sent as has arrived, in proportion."""
        if newly <= 0:
            return
        room = self.threshold - self.in_flight
        self.reduced_delivered += newly
        if room < 0:
            count = -(-self.threshold * self.reduced_delivered // self.prior_window) - self.reduced_out
        else:
            count = max(self.reduced_delivered - self.reduced_out, newly) + (advanced and not lost)
            count = min(room, count)
        self.window = self.in_flight + max(count, 0 if self.reduced_out else 1)

    def _repair(self) -> None:
        """Sends again what is lost, as far as the window lets it."""
        first = self.out[0] if self.out else None
        rearm = False
        for one in list(self.out):
            if one not in self.out:
                continue
            if self.window <= self.in_flight or self.again >= self.lost:
                break
            if not one.lost or one.selected or one.again:
                continue
            if not self._again(one):
                break
            if self.state in ("cwr", "recovery"):
                self.reduced_out += 1
            rearm = rearm or (one is first and self.pending != "reorder")
        if rearm:
            self._set("retransmit", self.path.rto)

    def fire(self, what: str) -> None:
        """The timer of what it sends, or of what it acknowledges, runs out."""
        self.running = True
        if what == "acknowledge":
            self._late()
        elif what == "selected":
            self.acknowledge()
        elif self.pending == "probe":
            self._probe()
        elif self.pending == "retransmit":
            self._timed_out()
        elif self.pending == "reorder":
            self._waited()
        self.running = False

    def _probe(self) -> None:
        if not self.probed:
            self.probed_again = False
            done = self.next < self.written and self.push(probe=True)
            if not done and self.next == self.written:
                done = self._again(self.out[-1], count=False)
                self.probed_again = done
            if done:
                self.probed = self.next
                self.pending = "none"
        self.rearm()

    def _timed_out(self) -> None:
        self.pending = "none"
        if not self.out:
            return
        new = self.state in ("open", "disorder", "cwr")
        if self.out[0].selected:
            raise Beyond
        for one in self.out:
            if one is self.out[0] or self.rack_us - (self.now_us - one.sent_us) <= 0:
                self._mark(one)
        if (
            self.state in ("open", "disorder")
            or self.high <= self.acknowledged
            or (self.state == "loss" and not self.timeouts)
        ):
            self._remember()
        self.window = self.in_flight + 1
        self.cubic = Cubic()
        self.state, self.high, self.probed = "loss", self.next, 0
        self.frto = new or self.timeouts > 0
        self.timeouts += 1
        self._again(self.out[0])
        self.path.rto = min(self.path.rto << 1, MOST_RTO)
        self._set("retransmit", self.path.rto)
