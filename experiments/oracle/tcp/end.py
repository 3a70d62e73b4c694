"""One end of a connection: what it does when a segment comes."""

from __future__ import annotations

from dataclasses import dataclass

from dmmlab.experiments.oracle.tcp.recovery import Found, Recoverer
from dmmlab.experiments.oracle.tcp.segments import Beyond, Segment, Sent


@dataclass
class End(Recoverer):
    """One end, with all that it does."""

    def receive(self, segment: Segment) -> None:
        """A segment has come."""
        if segment.first <= self.told:
            self.echo_ms = max(self.echo_ms, segment.stamp_ms)
        if segment.acknowledges >= self.acknowledged:
            self._take_acknowledgement(segment)
        if segment.end > segment.first:
            self._take_data(segment)
        else:
            segment.taken = True
        if self.next < self.written and self.window > self.in_flight:
            self.push()
        self._answer()

    def _take_acknowledgement(self, segment: Segment) -> None:
        before, had_out = self.acknowledged, bool(self.out)
        found = Found(self.delivered, self._highest(), self.marked)
        found.advanced = segment.acknowledges > before
        found.data = segment.end > segment.first
        if found.advanced:
            self.acknowledged, self.timeouts = segment.acknowledges, 0
        if segment.selected:
            self._take_selected(segment, found, before)
        if not had_out:
            return
        self._clean(found, segment)
        if self.probed:
            self._probe_answered(segment, found)
        then = ""
        if found.selected or found.duplicate or self.state != "open" or not (found.data or found.acked):
            then = self._alert(segment, found)
        if found.set_timer and not (self.out and self._plan_probe(True)):
            self.rearm()
        self._control(found)
        self._go_on(then)

    def _go_on(self, then: str) -> None:
        """Sends what is new, or what is lost."""
        if then == "new":
            self.push()
            if self.next > self.high:
                return
            self.frto = False
        if then:
            self._repair()

    def _take_selected(self, segment: Segment, found: Found, before: int) -> None:
        blocks = segment.selected
        if segment.duplicate:
            _, end = blocks[0]
            found.duplicate = True
            found.duplicate_of_probe = bool(self.probed) and self.probed == end
            if self.undo is not None and self.undo_again > 0 and self.undo < end <= before:
                self.undo_again -= 1
            blocks = blocks[1:]
        for first, end in blocks:
            for one in self.out:
                if not one.selected and first <= one.first and one.end <= end:
                    self._select_one(one, found)

    def _select_one(self, one: Sent, found: Found) -> None:
        if not one.ever_again:
            if one.first < found.highest:
                found.reordering = min(found.reordering, one.first)
            found.original = found.original or one.end <= self.high
            found.first_selected_us = found.first_selected_us or one.sent_us
            found.last_selected_us = one.sent_us
        one.lost = one.again = False
        one.selected = found.selected = True
        self._advance(one)
        self.delivered += 1

    def _clean(self, found: Found, segment: Segment) -> None:
        """Forgets what is acknowledged, and learns the round trip from it."""
        had_selected, first_us, last_us, repeated, acked = self.selected, 0, 0, False, 0
        while self.out and self.out[0].end <= self.acknowledged:
            one = self.out.pop(0)
            acked += 1
            repeated = repeated or one.ever_again
            if not one.ever_again and not one.selected:
                first_us, last_us = first_us or one.sent_us, one.sent_us
                found.reordering = min(found.reordering, one.first)
                found.original = found.original or one.end <= self.high
            if not one.selected:
                self.delivered += 1
                if not (one.again and segment.echoed_ms < one.sent_us // 1000):
                    self._advance(one)
        found.acked = found.set_timer = bool(acked)
        if acked and found.reordering < min(found.highest, self._highest()):
            self.reordered = True
        if first_us and not repeated:
            alone = acked == 1 and not (had_selected or found.selected or found.duplicate)
            self._learn(self.now_us - first_us, found.last_us(self.now_us, last_us), alone)
        elif found.first_selected_us:
            us = self.now_us - found.first_selected_us
            self._learn(us, self.now_us - found.last_selected_us)
            found.set_timer = found.set_timer or bool(self.out and us > self.now_us - self.out[0].sent_us)
        elif acked:  # by its timestamp (RFC 7323)
            us = max((self.now_ms - segment.echoed_ms) * 1000, 1000)
            self._learn(us, us)

    def _learn(self, us: int, last_us: int, maybe_delayed: bool = False) -> None:
        if not (maybe_delayed and last_us > self.path.least_us):
            self.path.least_us = min(self.path.least_us, max(last_us, 1))
        self.path.measured(us, self.acknowledged, self.next)
        self.cubic.measured(last_us, self.tick)

    def _probe_answered(self, segment: Segment, found: Found) -> None:
        """RFC 8985 (7.4): whether the tail loss probe has repaired a loss, which costs as much as any other."""
        if segment.acknowledges < self.probed:
            return
        if not self.probed_again or found.duplicate_of_probe:
            self.probed = 0
        elif segment.acknowledges > self.probed:
            self._reduce()
            self.state = "cwr"
            self._end_reduction()
            self._keep_open()
        elif not (found.advanced or found.data or found.selected):
            self.probed = 0

    def _alert(self, segment: Segment, found: Found) -> str:
        """What an acknowledgement that is not as usual leads to: ``lost`` or ``new`` is to be sent."""
        if self.out and self.out[0].selected:
            raise Beyond
        self._leave(segment)
        if self.state == "recovery":
            return self._recover(segment, found)
        if self.state == "loss":
            then, again = self._process_loss(segment, found), self.again
            self._look(found)
            if self._in_loss and self.again >= again:
                return then
        if self.state in ("open", "disorder"):
            self._undo_duplicate()
        self._look(found)
        if not self.lost:
            self._try_open()
            return ""
        self._enter_recovery()
        return "lost"

    @property
    def _in_loss(self) -> bool:
        return self.state == "loss"

    def _look(self, found: Found) -> None:
        """For losses; a timer for those that may be ones takes the place of the other."""
        found.set_timer = self._detect() and found.set_timer

    def _leave(self, segment: Segment) -> None:
        """A state ends with what was sent when it was entered."""
        if self.state == "open":
            self.retransmitted_ms = 0
        elif self.state == "cwr" and self.acknowledged > self.high:
            self._end_reduction()
            self.state = "open"
        elif self.state == "recovery" and self.acknowledged >= self.high:
            self._undo_recovery(segment)
            self._end_reduction()

    def _recover(self, segment: Segment, found: Found) -> str:
        if found.advanced and self.undo is not None and self._delayed(segment):
            self.reordered = True
            if self.again:
                return ""
            if not self._repeated():
                self.retransmitted_ms = 0
            self._undo(True)
            self._keep_open()
        if self._undo_duplicate():
            self._try_open()
        self._look(found)
        if self.state != "recovery":
            if not self.lost:
                return ""
            self._enter_recovery()
        return "lost"

    def _process_loss(self, segment: Segment, found: Found) -> str:
        """After a timeout, which may have been too early (RFC 5682)."""
        recovered = self.acknowledged >= self.high
        if found.advanced and self._undo_loss(segment, False):
            return ""
        if self.frto:
            if found.original and self._undo_loss(segment, True):
                return ""
            if self.next > self.high:
                self.frto = not found.selected and (found.advanced or found.data or found.duplicate)
            elif found.advanced and not recovered:
                self.high = self.next
                if self.next < self.written:
                    return "new"
                self.frto = False
        if recovered:
            self._undo_recovery(segment)
            return ""
        return "lost"
