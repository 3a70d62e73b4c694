"""Linux's timers: a wheel of levels, whose ticks are 10 ms in the guest. A timer is never early."""

from __future__ import annotations

TICK_NS = 10_000_000
TICK_US = 10_000
NEVER = 1 << 62
START = 100  # ticks of the guest's kernel at a scenario's start, modulo eight: it starts at an odd second
_SPAN = 63  # ticks for which a level's own steps are enough
_COARSE = 2  # from this level on the steps are 64 ticks: where they stand does not follow from an odd second


def ticks(us: int) -> int:
    """So many ticks at least."""
    return -(-us // TICK_US)


def runs_out(now: int, after: int, running: bool) -> tuple[int, bool]:
    """At which tick a timer runs out that is set at tick ``now``, for ``after`` ticks, and whether that is known: else
    it is the earliest. ``running``: a timer sets it that has just run out itself.

    Of 63 ticks and less in steps of one, of eight times as many in steps of eight, and so on; rounded up, by one step
    if there is nothing to round.
    """
    due, level, span = now + after, 0, _SPAN
    while due - now - running >= span:
        level, span = level + 1, span * 8
    if level >= _COARSE:
        return due + 1, False
    return ((due >> 3 * level) + 1) << 3 * level, True
