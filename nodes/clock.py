"""Being on time: absolute deadlines, waited for to the microsecond."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs ``main`` on an event loop whose timers are exact.

    asyncio's usual selector rounds a timeout up to the next millisecond, and Linux lets a sleeper oversleep by 50 µs
    unless told otherwise; both would show in every delay that we measure.
    """
    Path("/proc/self/timerslack_ns").write_text("1")
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(main)


def now_ns() -> int:
    """CLOCK_REALTIME in ns, the clock of capture stamps and events."""
    return time.time_ns()


async def sleep_until(deadline_ns: int) -> None:
    """Returns when CLOCK_REALTIME has reached ``deadline_ns``; at once if it has.

    The kernel lets select() oversleep by a thousandth of its timeout: the last wait must be a short one.
    """
    while (left_ns := deadline_ns - time.time_ns()) > 0:
        await asyncio.sleep(left_ns / 1e9 * (0.99 if left_ns > 100_000 else 1.0))
