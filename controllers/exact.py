"""Waiting to the nanosecond (timerfd_create(2)): eventlet's own timers round up to milliseconds."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

from dmmlab.controllers.framework import Framework

_libc = ctypes.CDLL(None, use_errno=True)
_CLOCK_MONOTONIC = 1  # time.h
_EXPIRATIONS_BYTES = 8


class _Timerspec(ctypes.Structure):
    """struct itimerspec (timerfd_settime(2)): how often again, and when first."""

    _fields_ = (
        ("again_seconds", ctypes.c_long),
        ("again_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


def after(framework: Framework, delay_ns: int, call: Callable[[], object]) -> None:
    """Has ``framework`` make ``call`` in ``delay_ns``, in a thread of its own kind. Raises OSError."""
    timer = _libc.timerfd_create(_CLOCK_MONOTONIC, 0)
    when = _Timerspec(0, 0, *divmod(max(1, delay_ns), 10**9))
    if timer < 0 or _libc.timerfd_settime(timer, 0, ctypes.byref(when), None):
        raise OSError(ctypes.get_errno(), "timerfd")
    framework.hub.spawn(_wait, framework, timer, call)


def _wait(framework: Framework, timer: int, call: Callable[[], object]) -> None:
    try:
        if framework.name == "ryu":
            from eventlet.hubs import trampoline

            trampoline(timer, read=True)
        os.read(timer, _EXPIRATIONS_BYTES)
    finally:
        os.close(timer)
    call()
