"""Being on time: absolute deadlines, waited for to the nanosecond."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import select
import selectors
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from dmmlab.machine import timekeeping

_libc = ctypes.CDLL(None, use_errno=True)
_EVENTS_AT_ONCE = 64
_TIMER_ABSTIME = 1  # time.h
_SLACK = Path("/proc/self/timerslack_ns")
_TURNS_BETWEEN_LOOKS = 16


class _Timespec(ctypes.Structure):
    """struct timespec (time.h)."""

    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Event(ctypes.Structure):
    """struct epoll_event (epoll_wait(2)), which Linux packs on x86-64 and nowhere else."""

    _pack_ = 1 if os.uname().machine == "x86_64" else 0
    _fields_ = (("events", ctypes.c_uint32), ("data", ctypes.c_uint64))

    @property
    def descriptor(self) -> int:
        """The file that Python's epoll registered; it uses the lower half of the data only."""
        return int(self.data & 0xFFFFFFFF)


class NanosecondSelector(selectors.EpollSelector):
    """epoll with timeouts in nanoseconds: epoll_pwait2(2), which Python's own module does not offer.

    asyncio's usual selectors round a timeout up to the next millisecond or microsecond, which would show in every delay
    that we measure. And asyncio looks for what is ready between any two steps of what it is doing: it does so here when
    it has nothing left to do, or after 16 steps.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ready = (_Event * _EVENTS_AT_ONCE)()
        self._turns = 0  # since it last looked

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready, at most ``timeout`` seconds from now, rounded to the nanosecond; for ever if it is None.

        For a ``timeout`` of 0 it may say that nothing is, a few times, without having looked.
        """
        limit = None
        if timeout == 0 and self._turns < _TURNS_BETWEEN_LOOKS:
            self._turns += 1
            return []
        self._turns = 0
        if timeout is not None:
            seconds, nanoseconds = divmod(max(0, round(timeout * 1e9)), 10**9)
            limit = ctypes.byref(_Timespec(seconds, nanoseconds))
        count = _libc.epoll_pwait2(self.fileno(), self._ready, _EVENTS_AT_ONCE, limit, None)
        if count < 0:
            if ctypes.get_errno() == errno.EINTR:
                return []
            raise OSError(ctypes.get_errno(), "epoll_pwait2")
        keys = self.get_map()
        found = []
        for event in self._ready[:count]:
            mask = selectors.EVENT_WRITE if event.events & ~select.EPOLLIN else 0
            mask |= selectors.EVENT_READ if event.events & ~select.EPOLLOUT else 0
            if (key := keys.get(event.descriptor)) is not None and mask & key.events:
                found.append((key, mask & key.events))
        return found


def sharpen() -> None:
    """From now on this process oversleeps by a nanosecond at most, and so does what it starts.

    Linux allows itself 50 µs unless it is told otherwise. In virtual time it is 0 from the start and stays so.
    """
    if int(_SLACK.read_text()) > 1:
        _SLACK.write_text("1")


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs ``main`` on an event loop whose timers are exact."""
    sharpen()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(NanosecondSelector())) as runner:
        runner.run(main)


def now_ns() -> int:
    """The instruments' clock, that of the timeline and of events: CLOCK_REALTIME in ns, unless somebody sets that."""
    return timekeeping.now_ns()


def wait_until(deadline_ns: int) -> None:
    """Blocks this thread until `now_ns` has reached ``deadline_ns``; returns at once if it has."""
    deadline = _Timespec(*divmod(deadline_ns + timekeeping.INSTRUMENTS.off_ns(), 10**9))
    while _libc.clock_nanosleep(time.CLOCK_REALTIME, _TIMER_ABSTIME, ctypes.byref(deadline), None) == errno.EINTR:
        pass


async def sleep_until(deadline_ns: int) -> None:
    """Returns when `now_ns` has reached ``deadline_ns``; at once if it has."""
    await Alarm().at(deadline_ns)


class Alarm:
    """`sleep_until` for many deadlines, to be made in a running event loop.

    asyncio's own sleep asks each time which loop that is, and that is a system call (getpid(2)) before Python 3.12.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def at(self, deadline_ns: int) -> None:
        """Returns when `now_ns` has reached ``deadline_ns``; at once if it has."""
        while (left_ns := deadline_ns - now_ns()) > 0:
            rung = self._loop.create_future()
            timer = self._loop.call_later(left_ns / 1e9, _ring, rung)
            try:
                await rung
            finally:
                timer.cancel()


class Flag:
    """Something that comes to hold once and stays so, for one who waits for it: asyncio's own takes a task a wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._set = loop, False
        self._waiting: asyncio.Future[None] | None = None

    def is_set(self) -> bool:
        """Whether it holds."""
        return self._set

    def set(self) -> None:
        """It holds from now on."""
        self._set = True
        if self._waiting is not None:
            _ring(self._waiting)

    async def within(self, seconds: float) -> bool:
        """Whether it holds, as soon as it does or after so many seconds."""
        if not self._set:
            self._waiting = self._loop.create_future()
            timer = self._loop.call_later(seconds, _ring, self._waiting)
            try:
                await self._waiting
            finally:
                timer.cancel()
        return self._set


def _ring(rung: asyncio.Future[None]) -> None:
    if not rung.done():
        rung.set_result(None)
