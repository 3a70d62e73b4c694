"""Capturing on a host's interface: tcpdump, with the kernel's nanosecond stamps."""

from __future__ import annotations

# Whole segments, aggregated ones too, of control channels, where messages are counted; of others as much as several
# signalling messages in one segment take, so that a bulk transfer does not fill the disk.
WHOLE, HEADS = 262_144, 4096


LATENCY_S = 1.0  # how long the kernel collects packets before it wakes tcpdump, unless told not to


def argv(interface: str, snap_bytes: int = HEADS, *, at_once: bool) -> list[str]:
    """tcpdump onto standard output until SIGTERM.

    ``at_once``: packets are written as they come, and a run cut short keeps its own; in virtual time that costs
    nothing. In real time it would wake a process on every host for every packet, and slow down what is measured: there
    the kernel collects them, and whoever ends a capture waits `LATENCY_S` first. The stamps are the same.

    Standard output, because a file of its own tcpdump would give to another user, which an unprivileged guest cannot.
    """
    return [
        "tcpdump",
        f"--interface={interface}",
        "--time-stamp-precision=nano",
        *(("--immediate-mode", "--packet-buffered") if at_once else ()),
        f"--snapshot-length={snap_bytes}",
        "--relinquish-privileges=root",
        "-w",
        "-",
    ]
