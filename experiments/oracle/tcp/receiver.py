"""The receiving half of an end: what it has, and when it acknowledges that (RFC 9293 (3.8.6.3), 2018, 2883)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dmmlab.experiments.oracle.tcp.roundtrip import RoundTrip
from dmmlab.experiments.oracle.tcp.segments import Fate, Segment
from dmmlab.experiments.oracle.tcp.wheel import NEVER, TICK_NS, runs_out, ticks

_ATO = 4  # ticks, TCP_ATO_MIN
_MOST_ATO = 20
_QUICK = 16  # acknowledgements that are sent at once, at first
_SMALL = 536  # bytes that Linux takes a full segment to have before it has met one
_WINDOW_BYTES = 65_160  # what a receiver offers at first
_DUPLICATES = 3
_BLOCKS = 3  # beside timestamps
_SHARE, _MOST_HELD_NS, _SLACK_NS = 33, 1_000_000, 10_000  # of a round trip, in per cent; what an acknowledgement waits


@dataclass
class Receiver:
    """``send`` is told each segment that it sends, and says what becomes of it; ``wake`` sets one of its timers, for a
    tick, of which `fire` is called then; ``largest`` says how many bytes a segment takes; ``now_ns`` has to be set
    before each call.
    """

    send: Callable[[Segment], Fate]
    wake: Callable[[str, int, bool], None]
    largest: Callable[[], int]
    phase: int  # ticks at time 0
    now_ns: int = 0
    path: RoundTrip = field(default_factory=RoundTrip)
    running: bool = False  # a timer of its own
    next: int = 0  # byte that it sends next
    received: int = 0
    told: int = 0
    read: int = 0
    beyond: list[tuple[int, int]] = field(default_factory=list)  # what has come after a gap; the newest first
    kept: list[Segment] = field(default_factory=list)
    twice: tuple[int, int] | None = None
    echo_ms: int = 0
    at_once: bool = False
    scheduled: bool = False
    pushed: int = 0
    quick: int = 0
    pingpong: bool = False  # it answers what comes: the answer acknowledges it
    ato: int = 0
    last_came: int = -NEVER
    delayed: int | None = None
    duplicates: int = 0
    duplicates_of: int = 0
    held: bool = False  # an acknowledgement that selects is put off, to say more
    full: int = _SMALL

    @property
    def now_us(self) -> int:
        """The clock by which round trips are measured."""
        return self.now_ns // 1000

    @property
    def now_ms(self) -> int:
        """The clock of timestamps (RFC 7323)."""
        return self.now_ns // 1_000_000

    @property
    def tick(self) -> int:
        """The clock of timers."""
        return self.now_ns // TICK_NS + self.phase

    @property
    def room(self) -> int:
        """Bytes in a segment beside what it selects."""
        blocks = min(len(self.beyond) + (self.twice is not None), _BLOCKS)
        return self.largest() - (4 + 8 * blocks if blocks else 0)

    def _take_data(self, segment: Segment) -> None:
        first, end = segment.first, segment.end
        if end <= self.received:
            self.twice = (first, end)
            self._quickly()
            self.scheduled = segment.taken = True
            return
        if first > self.received:
            self._keep(segment)
            self.scheduled = True
            return
        if first < self.received:
            self.twice = (first, self.received)
        self.received, segment.taken = end, True
        self._came(end - first)
        if self.beyond:
            self._fill()

    def _fill(self) -> None:
        """What has come after the gap follows now, as far as there is no other."""
        for block in sorted(self.beyond):
            if block[0] <= self.received:
                self.received = max(self.received, block[1])
        self.beyond = [block for block in self.beyond if block[1] > self.received]
        self.at_once = not self.beyond
        for kept in self.kept:
            kept.taken = kept.end <= self.received
        self.kept = [kept for kept in self.kept if not kept.taken]

    def _keep(self, segment: Segment) -> None:
        first, end = segment.first, segment.end
        merged = [block for block in self.beyond if block[1] < first or block[0] > end]
        for block in self.beyond:
            if block not in merged:
                first, end = min(first, block[0]), max(end, block[1])
        self.beyond = [(first, end), *merged]
        self.kept.append(segment)

    def _came(self, size: int) -> None:
        self.scheduled = True
        self.pushed += 1
        self.full = max(self.full, size)
        if not self.ato:
            self.quick, self.ato = max(self.quick, _QUICK), _ATO
        else:
            since = self.tick - self.last_came
            if since <= _ATO // 2:
                self.ato = (self.ato >> 1) + _ATO // 2
            elif since < self.ato:
                self.ato = min((self.ato >> 1) + since, self.path.rto, _MOST_ATO)
            elif since > self.path.rto:
                self.quick = max(self.quick, _QUICK)
        self.last_came = self.tick

    def _quickly(self) -> None:
        self.quick, self.pingpong, self.ato = max(self.quick, _QUICK), False, _ATO

    def _answer(self) -> None:
        if not self.scheduled:
            return
        if self.received - self.told > self.full or (self.quick and not self.pingpong) or self.at_once:
            self.acknowledge()
        elif not self.beyond:
            self._delay()
        else:
            self._select()

    def _select(self) -> None:
        """Three are sent at once, for the sender to see the loss; from then on one says more, a little later."""
        if self.duplicates_of != self.received:
            self.duplicates_of, self.duplicates = self.received, 0
        if self.duplicates < _DUPLICATES:
            self.duplicates += 1
            self.acknowledge()
        elif not self.held:
            self.held = True
            known = self.full > _SMALL or self.received > _WINDOW_BYTES  # else Linux takes the round trip for 0
            part_ns = (self.path.srtt8_us + (self.path.srtt8_us >> 2)) * _SHARE
            self.wake("selected", self.now_ns + (min(part_ns, _MOST_HELD_NS) if known else 0) + _SLACK_NS, True)

    def _delay(self) -> None:
        ato = self.ato
        if ato > _ATO:
            most = _MOST_ATO if self.pingpong or self.pushed else 50
            if self.path.srtt8_us:
                most = min(most, max(ticks(self.path.smoothed_us), _ATO))
            ato = min(ato, most)
        ato = min(ato, _MOST_ATO)
        due = self.tick + ato
        if self.delayed is not None:
            if self.delayed <= self.tick + (ato >> 2):
                self.acknowledge()
                return
            due = min(due, self.delayed)
        self.delayed = due
        self.wake("acknowledge", *runs_out(self.tick, due - self.tick, self.running))

    def take(self) -> int:
        """The program reads what is there: how many bytes; which may be a reason to acknowledge."""
        size = self.received - self.read
        self.read = self.received
        if (
            size
            and self.scheduled
            and (self.received - self.told > self.full or self.pushed > 1 or (self.pushed and not self.pingpong))
        ):
            self.acknowledge()
        return size

    def _late(self) -> None:
        """The delay of an acknowledgement is over."""
        waited, self.delayed = self.delayed is not None, None
        if not waited or not self.scheduled:
            return
        if self.pingpong:
            self.pingpong, self.ato = False, _ATO
        else:
            self.ato = min(self.ato << 1, self.path.rto, _MOST_ATO)
        self.acknowledge()

    def _segment(self, first: int, end: int) -> Segment:
        chosen = ((self.twice, *self.beyond) if self.twice else tuple(self.beyond))[:_BLOCKS]
        made = Segment(first, end, self.received, tuple(chosen), self.twice is not None, self.now_ms, self.echo_ms)
        self.twice = None
        if self.quick and self.scheduled:
            self.quick -= 1
            self.ato = self.ato if self.quick else _ATO
        if self.held:
            self.held = False
            self.wake("selected", NEVER, True)
        self.scheduled = self.at_once = False
        self.pushed, self.delayed, self.told = 0, None, self.received
        return made

    def acknowledge(self) -> None:
        """Sends an acknowledgement alone."""
        self.hand_over(self._segment(self.next, self.next))

    def hand_over(self, segment: Segment) -> Fate:
        """Sends ``segment``."""
        return self.send(segment)
