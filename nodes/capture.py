"""Capturing on a host's interface: tcpdump, with the kernel's nanosecond stamps."""

from __future__ import annotations

SNAP_BYTES = 512  # the head of every packet, and the whole of any signalling message over UDP that we send


def argv(interface: str) -> list[str]:
    """tcpdump onto standard output until SIGTERM. Packets are written as they come: a run cut short keeps its own.

    Standard output, because a file of its own tcpdump would give to another user, which an unprivileged guest cannot.
    """
    return [
        "tcpdump",
        f"--interface={interface}",
        "--time-stamp-precision=nano",
        "--immediate-mode",
        "--packet-buffered",
        f"--snapshot-length={SNAP_BYTES}",
        "--relinquish-privileges=root",
        "-w",
        "-",
    ]
