"""Run in the guest by the self-test: prints one JSON object of what its clock shows, in nanoseconds of virtual time.

Its network has a namespace `far` with an address behind a delay, named on the command line: ``exactness.py ADDRESS``.
"""

import ctypes
import json
import os
import select
import socket
import sys
import time
from pathlib import Path

PORT = 7
ECHOES = 6
LOOKUPS = 1000
SLEEP_NS = 10_000_001  # odd, so that no coarser grid has it
SPIN_NS = 1_000_000
_CLONE_NEWNET = 0x40000000
_CLOCK_MONOTONIC_COARSE = 6  # linux/time.h
_SPINS = Path("/sys/kernel/exact_clock/spins")


def elapsed_ns(begin_ns: int) -> int:
    """Nanoseconds since ``begin_ns`` on the monotonic clock."""
    return time.monotonic_ns() - begin_ns


def round_trips_ns(address: str) -> list[int]:
    """Of `ECHOES` datagrams to ``address`` and back; the first waits for ARP as well."""
    if not os.fork():
        namespace = os.open("/run/netns/far", os.O_RDONLY)
        if ctypes.CDLL(None).setns(namespace, _CLONE_NEWNET):
            os._exit(1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
            far.bind(("", PORT))
            for _ in range(ECHOES):
                far.sendto(*far.recvfrom(64))
        os._exit(0)
    time.sleep(0.1)
    trips = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near:
        near.settimeout(10)
        for _ in range(ECHOES):
            begin_ns = time.monotonic_ns()
            near.sendto(b"echo", (address, PORT))
            near.recv(64)
            trips.append(elapsed_ns(begin_ns))
    os.wait()
    return trips


def failing_ns() -> int:
    """A thousand look-ups of what is not there."""
    begin_ns = time.monotonic_ns()
    for number in range(LOOKUPS):
        if os.path.lexists(f"/nothing/{number}"):
            return -1
    return elapsed_ns(begin_ns)


def sleeping_ns() -> int:
    """What a sleep of `SLEEP_NS` takes beyond that."""
    begin_ns = time.monotonic_ns()
    time.sleep(SLEEP_NS / 1e9)
    return elapsed_ns(begin_ns)


def selecting_ns() -> int:
    """What a ``select`` of `SLEEP_NS` takes beyond that."""
    begin_ns = time.monotonic_ns()
    select.select([], [], [], 0.5)
    return elapsed_ns(begin_ns)


def spinning_ns() -> int:
    """A loop that waits for a clock to move which moves for nobody who does not wait."""
    begin_ns = time.monotonic_ns()
    while (now_ns := time.monotonic_ns()) < begin_ns + SPIN_NS:
        pass
    return now_ns - begin_ns


def coarse_ns() -> int:
    """How far the coarse clock is behind the other."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) - time.clock_gettime_ns(_CLOCK_MONOTONIC_COARSE)


def main() -> None:
    """Prints what was measured, as one JSON object."""
    shown: dict[str, object] = {
        "exact_clock": _SPINS.exists(),
        "round_trips_ns": round_trips_ns(sys.argv[1]),
        "failing_ns": failing_ns(),
        "sleeping_ns": sleeping_ns(),
        "selecting_ns": selecting_ns(),
        "coarse_ns": coarse_ns(),
    }
    if _SPINS.exists():  # elsewhere every work moves time
        before = int(_SPINS.read_text())
        shown |= {"spinning_ns": spinning_ns(), "spins": [before, int(_SPINS.read_text())]}
    sys.stdout.write(json.dumps(shown) + "\n")


if __name__ == "__main__":
    main()
