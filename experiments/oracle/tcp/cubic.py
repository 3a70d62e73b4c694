"""CUBIC (RFC 9438) as Linux has it: how a congestion window grows where it is what holds a sender back.

In whole numbers, as there: a window in segments, times in ticks of 10 ms and in 1/1024 s, the constants in 1/1024.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_HZ = 100
_TICK_US = 10_000
_UNIT = 1024
BETA = 717  # of _UNIT: what is left of a window after a loss
_FRIENDLY = 15  # 8(1 + β) / 3(1 - β)
_SCALE = 410
_CUBE = (1 << 40) // _SCALE


@dataclass
class Cubic:
    """The growth of one window, since the last time it was reduced."""

    count: int = 0
    most: int = 0
    last_window: int = 0
    last_tick: int = 0
    origin: int = 0
    delay_us: int = 0
    reaches: int = 0
    began: int | None = None
    acked: int = 0
    reno: int = 0
    credit: int = 0  # acknowledged since the window grew last

    def reduced(self, window: int) -> int:
        """The threshold after a loss at ``window``."""
        self.began = None
        self.most = window * (_UNIT + BETA) // (2 * _UNIT) if window < self.most else window
        return max(window * BETA // _UNIT, 2)

    def idle(self, ticks: int, now: int) -> None:
        """Nothing was under way for ``ticks``: time in which a window does not grow."""
        if self.began is not None and ticks > 0:
            self.began = min(self.began + ticks, now)

    def measured(self, us: int, now: int) -> None:
        """A round trip."""
        if self.began is not None and now - self.began < _HZ:
            return
        self.delay_us = min(self.delay_us or us, max(us, 1))

    def grown(self, window: int, acked: int, now: int) -> int:
        """The window after ``acked`` segments more, at tick ``now``."""
        self._update(window, acked, now)
        if self.credit >= self.count:
            self.credit, window = 0, window + 1
        self.credit += acked
        more, self.credit = divmod(self.credit, self.count)
        return window + more

    def _update(self, window: int, acked: int, now: int) -> None:
        self.acked += acked
        if self.last_window == window and now - self.last_tick <= _HZ // 32:
            return
        if self.began is None or now != self.last_tick:
            self._curve(window, acked, now)
        part = (window * _FRIENDLY) >> 3
        while self.acked > part:
            self.acked -= part
            self.reno += 1
        if self.reno > window:
            self.count = min(self.count, window // (self.reno - window))
        self.count = max(self.count, 2)

    def _curve(self, window: int, acked: int, now: int) -> None:
        self.last_window, self.last_tick = window, now
        if self.began is None:
            self.began, self.acked, self.reno = now, acked, window
            if self.most <= window:
                self.reaches, self.origin = 0, window
            else:
                self.reaches, self.origin = _root(_CUBE * (self.most - window)), self.most
        time = ((now - self.began + -(-self.delay_us // _TICK_US)) << 10) // _HZ
        away = abs(time - self.reaches)
        change = (_SCALE * away**3) >> 40
        target = self.origin - change if time < self.reaches else self.origin + change
        self.count = window // (target - window) if target > window else 100 * window
        if self.most == 0:
            self.count = min(self.count, 20)


def _root(of: int) -> int:
    """The cube root, to the nearest whole number."""
    return round(math.cbrt(of))
