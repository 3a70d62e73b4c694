"""Instants are integers of nanoseconds, as a float of the epoch is right to 238 ns only; durations may be floats."""

ROUNDING_NS = 1_000  # an event loop's times are floats: by less than this its timers may fire too early


def nanoseconds(duration_s: float) -> int:
    """Return a duration in nanoseconds."""
    return round(duration_s * 1e9)


def seconds_until(due_ns: int, now_ns: int) -> float:
    """Return for how many seconds a timer must wait; 0 for what is due already."""
    return max(0, due_ns - now_ns) / 1e9


def fired_ns(due_ns: int, now_ns: int) -> int:
    """Return the instant, in nanoseconds, to act at when the timer for ``due_ns`` fires at ``now_ns``.

    A timer that rounding fired early counts as on time: the rest could be rounded to no wait at all, again and again,
    and where time passes only while everybody waits it would never be due.
    """
    return due_ns if 0 < due_ns - now_ns < ROUNDING_NS else now_ns
