"""Round trips and set-up beside plain Mininet with TCLink, on the paths of two-mr, in real and in virtual time.

Plain Mininet is the system's package: hosts on Open vSwitch in a tree, each link a `TCLink` with two-mr's delay (its
link between the mobile routers would close a loop of learning switches, and is left out). dmmlab's is the network that
runs of two-mr have. Both in the guest, each in a fresh one, the same program at their hosts measuring.

RTT error: measured minus configured, over `ECHOES` echoes on each path, one path after the other; the largest without
its sign. Set-up: wall time from nothing to a network that forwards, divided by the seven hosts (`HOSTS`), without the
start of Open vSwitch and of Python; the median of `BOOTS` boots.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import tables
from dmmlab.guest import launch
from dmmlab.machine import isolation, sources

SCENARIO, ECHOES, BOOTS, LIMIT_S = "two-mr", 100, 3, 240.0
CORE_SWITCH = "s3"
SWITCHES: dict[str, tuple[str, float] | None] = {CORE_SWITCH: None, "s1": (CORE_SWITCH, 5), "s2": (CORE_SWITCH, 5)}
HOSTS = {
    "MN1": ("s1", 2),
    **{name: (CORE_SWITCH, 10) for name in ("CN1", "CN2", "CN3")},
    "RESOLVER": (CORE_SWITCH, 1),
    "DDNS": (CORE_SWITCH, 15),
    "SERVER": (CORE_SWITCH, 15),
}
PATHS = (("CN1", "MN1", 34), ("CN3", "SERVER", 50), ("MN1", "RESOLVER", 16), ("CN1", "CN2", 40))  # round trip, ms
INSIDE = Path(__file__).parent / "inside"
PROGRAMS = {
    "plain Mininet, TCLink": ["/usr/bin/python3", str(INSIDE / "plain_mininet.py")],
    "dmmlab": isolation.argv([sys.executable, str(INSIDE / "own_network.py")]),
}
CLOCKS = ("real", "virtual")
NOISY = ("real time.rtt_error_max_ms",)  # one late wake-up of this machine


def boot(program: Sequence[str], clock: str, services: bool) -> tuple[list[list[int]], float]:
    """One guest: round trips (ns) on each path, and the set-up's wall time (s). RuntimeError if it failed."""
    job = {"hosts": HOSTS, "switches": SWITCHES, "paths": PATHS, "scenario": SCENARIO}
    job |= {"count": ECHOES, "echoes": str(INSIDE / "echoes.py")}
    output, errors = bytearray(), bytearray()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "job").write_text(json.dumps(job))
        status = launch.execute(
            [*program, f"{folder}/job", made],
            clock=clock,
            writable=[folder],
            services=services,
            time_limit_s=LIMIT_S,
            stdout=output.extend,
            stderr=errors.extend,
        )
        if status:
            raise RuntimeError(f"{program[-1]}, clock {clock}: status {status}: {errors.decode(errors='replace')}")
        took_ns = (folder / "made").stat().st_ctime_ns - (folder / "begun").stat().st_ctime_ns
    return json.loads(output), took_ns / 1e9


def measure() -> dict[str, dict[str, float]]:
    """For each network and clock: RTT error (ms, largest and median) and set-up (wall s for each host)."""
    sources.compile_all()
    figures = {}
    for clock in CLOCKS:
        for name, program in PROGRAMS.items():
            booted = [boot(program, clock, services=name != "dmmlab") for _ in range(BOOTS)]
            errors_ms = [
                trip_ns / 1e6 - configured_ms
                for trips_ns, _ in booted
                for path_ns, (_, _, configured_ms) in zip(trips_ns, PATHS, strict=True)
                for trip_ns in path_ns
            ]
            figures[f"{name}, {clock} time"] = {
                "rtt_error_max_ms": round(max(map(abs, errors_ms)), 6),
                "rtt_error_median_ms": round(statistics.median(errors_ms), 6),
                "setup_per_host_s": round(statistics.median(took_s for _, took_s in booted) / len(HOSTS), 4),
            }
    return figures


def main() -> int:
    """Measure and print."""
    version = subprocess.run(["mn", "--version"], capture_output=True, text=True)
    sys.stdout.write(f"Mininet {(version.stdout or version.stderr).strip()}\n{tables.matrix(measure())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
