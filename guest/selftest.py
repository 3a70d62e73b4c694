"""Is a freshly built kernel fit to measure with? Two boots in virtual time must show exact delays, and be the same to
the last random number."""

from __future__ import annotations

import re
import shutil
from typing import Any

from dmmlab.guest.cache import GuestKernel
from dmmlab.guest.errors import GuestError
from dmmlab.guest.job import EPOCH_NS, UPTIME_S
from dmmlab.guest.launch import execute

DELAY_MS = 30.0
TOLERANCE_MS = 0.05
TIME_LIMIT_S = 120.0
NEEDED = {"ip": "iproute2", "tc": "iproute2", "ping": "iputils-ping"}

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
ping -n -c 6 -i 0.2 192.0.2.2
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
        "boots_agree": round_trips_ms(outputs[0]) == round_trips_ms(outputs[1]),
    }


def _boot(kernel: GuestKernel) -> str:
    output, errors = bytearray(), bytearray()
    status = execute(
        ["sh", "-c", SCRIPT], kernel=kernel, time_limit_s=TIME_LIMIT_S, stdout=output.extend, stderr=errors.extend
    )
    if status != 0:
        last = errors.decode(errors="replace").strip().splitlines()
        raise GuestError(f"status {status}: {last[-1] if last else 'no message'}")
    return output.decode(errors="replace")


def round_trips_ms(output: str) -> list[float]:
    """The round-trip times that ping printed."""
    return [float(value) for value in re.findall(r"time=([\d.]+) ms", output)]


def judge(outputs: list[str]) -> str | None:
    """Why these outputs of the same script disqualify the kernel, or None. The first echo waits for ARP, too."""
    for output in outputs:
        for feature in ("netem", "openvswitch"):
            if f"{feature} present" not in output:
                return f"{feature} is missing"
        later = round_trips_ms(output)[1:]
        if not later:
            return "no echo came back"
        if abs(min(later) - DELAY_MS) > TOLERANCE_MS:
            return f"{DELAY_MS:g} ms of netem measured as {min(later):g} ms"
        epoch = re.search(r"epoch=(\d+)\.", output)
        begin = EPOCH_NS // 10**9 + UPTIME_S
        if not epoch or not begin <= int(epoch[1]) <= begin + 10:
            return "virtual time does not begin at the set epoch"
    differences = [abs(a - b) for a, b in zip(*map(round_trips_ms, outputs), strict=False)]
    if max(differences) > TOLERANCE_MS:
        return f"two boots differ by {max(differences):g} ms"
    if outputs[0] != outputs[1]:
        return "two boots with one seed draw different random numbers"
    return None
