"""A run's own corner of the machine: network, processes and mounts that nobody else sees and that end with it.

The first process in a PID namespace takes all others with it when it dies, and with the last process go the network
namespaces, bridges and links. So whatever ends a run, even ``kill -9``, leaves nothing behind, and two runs on one
machine cannot meet.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def argv(command: Sequence[str]) -> list[str]:
    """``command`` in namespaces of its own (util-linux's unshare; needs root)."""
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return [*unshare, *command]


def die_with_parent() -> None:
    """For a child between fork and exec: it is killed when the thread that started it ends, however that ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def popen(command: Sequence[str], **how: object) -> subprocess.Popen[str]:
    """Starts ``command`` in a corner of its own, to be ended with the caller."""
    return subprocess.Popen(argv(command), text=True, preexec_fn=die_with_parent, **how)  # type: ignore[call-overload, no-any-return]
