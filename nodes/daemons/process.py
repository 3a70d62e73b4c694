"""What a daemon is started on, and what it is once it runs."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Host(Protocol):
    """A host of a network, to those who start processes on it."""

    def popen(self, argv: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
        """Starts ``argv`` there."""

    def enter(self) -> None:
        """Moves the calling thread there, for good."""

    def inside(self) -> AbstractContextManager[None]:
        """The calling thread is there for as long as the block runs."""


class Forked:
    """A fork, with the manners of a `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def poll(self) -> int | None:
        """The exit status (minus a signal's number), None while it runs."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status

    def terminate(self) -> None:
        """Sends SIGTERM if it still runs."""
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: int) -> None:
        """Sends a signal if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self) -> int:
        """Returns the exit status when it has ended."""
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status


Process = Forked | subprocess.Popen[bytes]
