"""Capturing on a host's interface: tcpdump, with the kernel's nanosecond stamps."""

from __future__ import annotations

from pathlib import Path

SNAP_BYTES = 512  # the head of every packet, and the whole of any signalling message over UDP that we send


def argv(interface: str, file: Path) -> list[str]:
    """tcpdump into ``file`` until SIGTERM. Packets are written as they come: a run that is cut short keeps its own."""
    return [
        "tcpdump",
        f"--interface={interface}",
        "--time-stamp-precision=nano",
        "--immediate-mode",
        "--packet-buffered",
        f"--snapshot-length={SNAP_BYTES}",
        "--relinquish-privileges=root",
        "-w",
        str(file),
    ]
