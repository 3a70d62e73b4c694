"""Processes that a test interrupts: they hear Ctrl-C even where whoever started the tests does not, and end with it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any


def _hear_ctrl_c() -> None:
    """A shell without job control has what it starts in the background ignore SIGINT, and Python leaves it at that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def started(command: Sequence[str], **how: Any) -> Iterator[subprocess.Popen[str]]:
    """``command`` in a session of its own, killed when the block is left, however it is left."""
    with subprocess.Popen(command, text=True, start_new_session=True, preexec_fn=_hear_ctrl_c, **how) as process:
        try:
            yield process
        finally:
            process.kill()
