"""A processor for each guest.

A guest program's system call is a hand-over from one process of this machine to another, and back. On one processor it
is a switch; on two it wakes an idle one, which can take ten times as long. So a guest keeps to one processor with all
that it starts, and guests beside each other to different ones.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def claimed() -> Iterator[int | None]:
    """The number of a processor that no other guest of this machine has, for as long as the block runs.

    Where all are taken it is shared, and None where there is no choice. A claim is the name of a socket, so that it
    ends with its process, however that ends, and is seen by every user's guests.
    """
    choice = sorted(os.sched_getaffinity(0))
    if len(choice) < 2:
        yield None
        return
    with contextlib.ExitStack() as stack:
        for number in choice:
            claim = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            with contextlib.suppress(OSError):
                claim.bind(f"\0dmmlab-guest-on-processor-{number}")
                break
        else:
            number = choice[os.getpid() % len(choice)]
        yield number
