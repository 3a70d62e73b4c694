"""Ports for servers that a test starts: none that the kernel hands out, or another process of tests uses."""

from __future__ import annotations

import os
import socket
from itertools import count

_FIRST, _EACH = 20_000, 1_000  # below what Linux hands out by itself (32768 and up); so many for a process of tests
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 12
_numbers = count(_FIRST + _EACH * _worker)


def free_port(host: str = "127.0.0.1") -> int:
    """One that is free over UDP and TCP, each time another one."""
    while True:
        port = next(_numbers)
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind((host, port))
        except OSError:
            continue
        return port
