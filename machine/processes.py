"""Owning what one starts: processes as root that die with the one that started them, and are ended by it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def as_root(command: Sequence[str]) -> list[str]:
    """``command`` as root on this machine: as it is if we are, else by sudo, which must not ask for a password."""
    return [*command] if os.geteuid() == 0 else ["sudo", "--non-interactive", "--", *command]


def die_with_parent() -> None:
    """For a child between fork and exec: it is killed when the thread that started it ends, however that ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def popen(command: Sequence[str], **how: object) -> subprocess.Popen[str]:
    """Starts ``command`` as root, to be ended with the caller."""
    return subprocess.Popen(as_root(command), text=True, preexec_fn=die_with_parent, **how)  # type: ignore[call-overload, no-any-return]


def end(process: subprocess.Popen[str]) -> None:
    """Ends what `popen` started, at once. What sudo started is not ours to kill: it ends when nobody listens to it."""
    try:
        process.kill()
    except PermissionError:
        if process.stdout is not None:
            process.stdout.close()
    process.wait()
