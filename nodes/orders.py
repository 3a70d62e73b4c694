"""What a correspondent is told to do, and the ports that its sessions use. Planners read it too: it imports little."""

from __future__ import annotations

from dataclasses import dataclass

ECHO_PORT = 5001
BULK_PORT = 5002
PROBE_BYTES = 24
FIRST_LOCAL_PORT = 20_000  # session n of a run uses local port FIRST_LOCAL_PORT + n: captures tell sessions apart


@dataclass(frozen=True)
class Order:
    """One session: its number in the run, its name, when it starts (ns since the epoch), how, to where, and what.

    ``count`` probes ``interval_ns`` apart, or a bulk transfer of ``size`` bytes drawn from ``seed``.
    """

    number: int
    session: str
    start_ns: int
    method: str
    transport: str
    address: str
    count: int
    interval_ns: int
    size: int | None
    seed: int

    @property
    def local_port(self) -> int:
        return FIRST_LOCAL_PORT + self.number
