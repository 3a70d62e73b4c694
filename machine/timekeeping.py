"""Clocks that nobody sets: CLOCK_REALTIME may be stepped while a run goes on, by whom it may, or by a fault of the
scenario; what is timed with these goes on as if it had not been.
"""

from __future__ import annotations

import time


class Steady:
    """CLOCK_REALTIME as it was when this was made, and since then CLOCK_MONOTONIC (ns since the epoch)."""

    def __init__(self) -> None:
        self._origin_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        """The time."""
        return time.monotonic_ns() + self._origin_ns

    def ahead_ns(self, of: Steady) -> int:
        """By how much it is ahead: the clock was set between the making of the two."""
        return self._origin_ns - of._origin_ns

    def off_ns(self) -> int:
        """By how much CLOCK_REALTIME has been put forward since."""
        return self.surely_off_ns()[0]

    def surely_off_ns(self) -> tuple[int, int]:
        """`off_ns`, and how far it may be wrong: somebody else may have had the processor between two readings."""
        before_ns, real_ns, after_ns = self.now_ns(), time.time_ns(), self.now_ns()
        return real_ns - after_ns, after_ns - before_ns


INSTRUMENTS = Steady()  # of all processes that a run forks: its timeline, and all that is noted


def now_ns() -> int:
    """The instruments' time."""
    return INSTRUMENTS.now_ns()


def step(by_ns: int) -> None:
    """Puts CLOCK_REALTIME forward, for whoever is on this kernel; OSError where that may not be done."""
    time.clock_settime_ns(time.CLOCK_REALTIME, time.time_ns() + by_ns)
