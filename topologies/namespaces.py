"""Network namespaces that are held open as files: made, entered and left without a process in them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000  # linux/sched.h

_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A network namespace: it lasts until `close`, or for as long as a process or a socket is in it.

    Only the network is its own. Who enters keeps his mounts, so /sys/class/net goes on showing the interfaces that it
    showed before; /proc/sys/net follows the namespace.
    """

    def __init__(self, file: int) -> None:
        self._file = file

    @classmethod
    def current(cls) -> Namespace:
        """The one that the calling thread is in."""
        return cls(os.open("/proc/thread-self/ns/net", os.O_RDONLY))

    @classmethod
    def create(cls) -> Namespace:
        """A new one; OSError for a caller who may not make it."""
        home = cls.current()
        try:
            _check(_libc.unshare(_CLONE_NEWNET), "unshare")
            new = cls.current()
            home.enter()
        finally:
            home.close()
        return new

    @property
    def file(self) -> int:
        """The file descriptor that holds it; closed when a program is executed."""
        return self._file

    def close(self) -> None:
        """Lets go of it."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def enter(self) -> None:
        """Moves the calling thread there, for good."""
        _check(_libc.setns(self._file, _CLONE_NEWNET), "setns")

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The calling thread, and what it starts, is there for as long as the block runs."""
        home = Namespace.current()
        try:
            self.enter()
            yield
        finally:
            home.enter()
            home.close()

    def set(self, sysctls: Mapping[str, str]) -> None:
        """Sets its ``sysctls``: paths below /proc/sys, which begin with ``net/``, and their values."""
        with self.inside():
            for path, value in sysctls.items():
                Path("/proc/sys", path).write_text(value)


def _check(status: int, call: str) -> None:
    if status != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{call}: {os.strerror(error)}")
