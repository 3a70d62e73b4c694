"""Capturing on a host's interface: tcpdump, with the kernel's nanosecond stamps."""

from __future__ import annotations

# Whole segments, aggregated ones too, of control channels, where messages are counted; of others as much as several
# signalling messages in one segment take, so that a bulk transfer does not fill the disk.
WHOLE, HEADS = 262_144, 4096

LATENCY_S = 1.0  # how long the kernel collects packets before it wakes tcpdump
_BUFFER_KIB = {WHOLE: 16_384, HEADS: 4096}  # what may come at one instant of virtual time, while tcpdump has no turn


def argv(interface: str, snap_bytes: int = HEADS) -> list[str]:
    """tcpdump onto standard output until SIGTERM, before which one waits `LATENCY_S`.

    The kernel collects packets: to write each as it comes would wake a process on every host for every packet, and in
    real time slow down what is measured. The stamps are the same.

    Standard output, because a file of its own tcpdump would give to another user, which an unprivileged guest cannot.
    """
    return [
        "tcpdump",
        f"--interface={interface}",
        "--time-stamp-precision=nano",
        f"--buffer-size={_BUFFER_KIB[snap_bytes]}",
        f"--snapshot-length={snap_bytes}",
        "--relinquish-privileges=root",
        "-w",
        "-",
    ]
