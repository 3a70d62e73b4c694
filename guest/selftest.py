"""Is a freshly built kernel fit to measure with? Two boots in virtual time must show exact delays and a clock that no
work moves, and be the same to the last random number.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from importlib import resources
from typing import Any

from dmmlab.guest.cache import GuestKernel
from dmmlab.guest.errors import GuestError
from dmmlab.guest.exactness import LOOKUPS, SLEEP_NS, SPIN_NS
from dmmlab.guest.job import EPOCH_NS, UPTIME_S
from dmmlab.guest.launch import execute

DELAY_MS = 30.0
TIME_LIMIT_S = 120.0
NEEDED = {"ip": "iproute2", "tc": "iproute2"}

# netem on one side of a veth pair that ends in a namespace; the symbol table says whether the OVS datapath is built in.
SCRIPT = f"""
set -e
ip netns add far
ip link add near0 type veth peer name far0 netns far
ip address add 192.0.2.1/24 dev near0
ip -n far address add 192.0.2.2/24 dev far0
ip link set near0 up
ip -n far link set far0 up
tc qdisc add dev near0 root netem delay {DELAY_MS:g}ms && echo netem present
grep -q ' ovs_dp_cmd_new$' /proc/kallsyms && echo openvswitch present
date +epoch=%s.%N
od -An -N16 -tx1 /dev/urandom
"""


def run(kernel: GuestKernel) -> dict[str, Any]:
    """Boot twice and judge: `passed`, `reason` (None if passed), `rtt_ms` of the first boot, `boots_agree`.

    Raises GuestError only if this machine lacks a program the test needs, which is not the kernel's fault.
    """
    for program, package in NEEDED.items():
        if shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
            raise GuestError(f"the self-test needs {program}: apt-get install {package}")
    try:
        outputs = [_boot(kernel) for _ in range(2)]
    except GuestError as error:
        return {"passed": False, "reason": str(error)}
    reason = judge(outputs)
    return {
        "passed": reason is None,
        "reason": reason,
        "rtt_ms": round_trips_ms(outputs[0]),
        "boots_agree": outputs[0] == outputs[1],
    }


def _boot(kernel: GuestKernel) -> str:
    program = resources.files("dmmlab.guest").joinpath("exactness.py")
    script = f"{SCRIPT}{shlex.join([sys.executable, '-I', str(program), '192.0.2.2'])}\n"
    output, errors = bytearray(), bytearray()
    status = execute(
        ["sh", "-c", script], kernel=kernel, time_limit_s=TIME_LIMIT_S, stdout=output.extend, stderr=errors.extend
    )
    if status != 0:
        last = errors.decode(errors="replace").strip().splitlines()
        raise GuestError(f"status {status}: {last[-1] if last else 'no message'}")
    return output.decode(errors="replace")


def shown(output: str) -> dict[str, Any]:
    """What `exactness` printed; empty if it did not."""
    found = re.search(r"^\{.*\}$", output, re.MULTILINE)
    return dict(json.loads(found.group())) if found else {}


def round_trips_ms(output: str) -> list[float]:
    """The round-trip times of the echoes."""
    return [trip / 1e6 for trip in shown(output).get("round_trips_ns", [])]


def judge(outputs: list[str]) -> str | None:
    """Why these outputs of the same script disqualify the kernel, or None."""
    for output in outputs:
        for feature in ("netem", "openvswitch"):
            if f"{feature} present" not in output:
                return f"{feature} is missing"
        epoch = re.search(r"epoch=(\d+)\.", output)
        begin = EPOCH_NS // 10**9 + UPTIME_S
        if not epoch or not begin <= int(epoch[1]) <= begin + 10:
            return "virtual time does not begin at the set epoch"
        if (reason := _inexact(shown(output))) is not None:
            return reason
    if shown(outputs[0]) != shown(outputs[1]):
        return "two boots show different times"
    if outputs[0] != outputs[1]:
        return "two boots with one seed draw different random numbers"
    return None


def _inexact(clock: dict[str, Any]) -> str | None:
    """The first thing that is not exact to the nanosecond. The first echo waits for ARP, too, there and back."""
    if not clock.get("exact_clock"):
        return "its clock is moved by work: it lacks the project's patch (guest/exact-clock.patch)"
    trips = clock["round_trips_ns"]
    delay_ns = round(DELAY_MS * 1e6)
    wanted = [2 * delay_ns, *[delay_ns] * (len(trips) - 1)]
    wrong = next((pair for pair in zip(trips, wanted, strict=True) if pair[0] != pair[1]), None)
    if wrong is not None:
        return f"{wrong[1] / 1e6:.6f} ms of netem measured as {wrong[0] / 1e6:.6f} ms"
    for what, measured, right in (
        (f"{LOOKUPS} failing look-ups", clock["failing_ns"], 0),
        (f"a sleep of {SLEEP_NS} ns", clock["sleeping_ns"], SLEEP_NS),
        ("a select of 0.5 s", clock["selecting_ns"], 500_000_000),
        ("the coarse clock's lag", clock["coarse_ns"], 0),
        ("a loop on the clock", clock["spinning_ns"], SPIN_NS),
    ):
        if measured != right:
            return f"{what} took {measured} ns instead of {right}"
    before, after = clock["spins"]
    if before != 0 or after == 0:
        return f"{before} calls of a spinning task were counted before there was one, {after} with it"
    return None
