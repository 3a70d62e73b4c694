"""Capturing on a host's interface: tcpdump, with the kernel's nanosecond stamps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dmmlab.nodes.daemons.daemon import Alive, Daemon, wait_for

# Whole segments, aggregated ones too, of control channels, where messages are counted; of others as much as several
# signalling messages in one segment take, so that a bulk transfer does not fill the disk.
WHOLE, HEADS = 262_144, 4096

LATENCY_S = 1.0  # how long the kernel collects packets before it wakes tcpdump
# What may come within `LATENCY_S`, or at one instant of virtual time, while tcpdump has no turn. The kernel takes all
# of it at once, so a host whose sessions are known to be small has less.
LARGE_KIB, SMALL_KIB = 4096, 1024
CONTROL_KIB = 16_384
SMALL_FRAMES = 2000  # so many go into half of a small buffer: a frame with a probe takes up to 256 bytes there


@dataclass(frozen=True)
class Tcpdump(Daemon):
    """What passes ``interface`` goes to the file ``capture``, of each frame the first ``snap_bytes``.

    The kernel collects packets: to write each as it comes would wake a process on every host for every packet, and in
    real time slow down what is measured. The stamps are the same. Before it is ended one waits `LATENCY_S`.
    """

    watches: ClassVar[bool] = True

    interface: str
    capture: Path
    snap_bytes: int = HEADS
    buffer_kib: int = LARGE_KIB
    read_meanwhile: bool = False  # by who looks at the capture while it is made

    @property
    def argv(self) -> list[str]:
        """The command that writes to standard output: a file of its own tcpdump would give to another user, which an
        unprivileged guest cannot.
        """
        return [
            "tcpdump",
            f"--interface={self.interface}",
            "--time-stamp-precision=nano",
            f"--buffer-size={self.buffer_kib}",
            f"--snapshot-length={self.snap_bytes}",
            "--relinquish-privileges=root",
            *(["--packet-buffered"] if self.read_meanwhile else []),
            "-w",
            "-",
        ]

    @property
    def output(self) -> Path:
        """The capture."""
        return self.capture

    def ready(self, alive: Alive = lambda: None) -> bool:
        """Waits until it says that it listens."""
        return wait_for(lambda: "listening on" in self.log.read_text(errors="replace"), alive)
