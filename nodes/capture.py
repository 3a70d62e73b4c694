"""Capturing on a host's interface: tcpdump, with the kernel's nanosecond stamps."""

from __future__ import annotations

# Whole segments, aggregated ones too, of control channels, where messages are counted; of others as much as several
# signalling messages in one segment take, so that a bulk transfer does not fill the disk.
WHOLE, HEADS = 262_144, 4096


def argv(interface: str, snap_bytes: int = HEADS) -> list[str]:
    """tcpdump onto standard output until SIGTERM. Packets are written as they come: a run cut short keeps its own.

    Standard output, because a file of its own tcpdump would give to another user, which an unprivileged guest cannot.
    """
    return [
        "tcpdump",
        f"--interface={interface}",
        "--time-stamp-precision=nano",
        "--immediate-mode",
        "--packet-buffered",
        f"--snapshot-length={snap_bytes}",
        "--relinquish-privileges=root",
        "-w",
        "-",
    ]
