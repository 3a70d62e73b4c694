"""Whether a machine keeps time while it runs a scenario on its own clock, watched beside the run.

`analysis.clock` judges afterwards what is left here.

In virtual time there is nothing to watch. In real time a run shares the machine with whatever else it does, below the
hypervisor as well, and four things are recorded (events of source ``clockwatch``):

* how late a timer of 10 ms comes, second by second (``second``),
* whether somebody has set the machine's clock, by which captures are stamped (``clock_set``),
* what share of the processors' time the hypervisor took away meanwhile (``steal``, of /proc/stat),
* the round trip of every path that can be known by then, beside the configured one, before and after (``path``).
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from dmmlab.experiments.methods.base import SERVER
from dmmlab.experiments.oracle import moves
from dmmlab.experiments.scenario.model import CORE, Scenario
from dmmlab.machine import timekeeping
from dmmlab.machine.events import CLOCKWATCH, EventLog
from dmmlab.nodes.daemons.agent import Agent
from dmmlab.topologies.plan import CONTROLLER, NetworkPlan, Wire

CONTROL = "CONTROLLER-switches"  # the path that OpenFlow takes
TICK_NS = 10_000_000
_SET_NS, _UNSURE_NS = 500_000, 100_000  # what is less sure is not looked at
_ECHOES, _TRIES, _EVERY_S, _PATIENCE_S = 5, 40, 0.03, 0.5  # where links lose, it takes more tries to get the echoes
_ECHO_BYTES = 14 + 20 + 8 + 8  # Ethernet, IPv4 and ICMP headers, and the time it was sent
_ECHO_REQUEST, _ECHO_REPLY, _ECHO_REQUEST6, _ECHO_REPLY6 = 8, 0, 128, 129


@dataclass(frozen=True)
class ClockWatch(Agent):
    """The process that watches timers and processors."""

    @property
    def argv(self) -> list[str]:
        """It has no options."""
        return []

    def run(self) -> None:
        """Ticks until it is killed."""
        watch(EventLog(self.events, CLOCKWATCH))


def watch(log: EventLog) -> None:
    """Ticks until it is killed, and leaves one event a second."""
    log.emit("ready")
    deadline_ns, late_ms, before = timekeeping.now_ns() + TICK_NS, list[float](), _processors()
    off_ns = timekeeping.INSTRUMENTS.off_ns()
    while True:
        while (left_ns := deadline_ns - timekeeping.now_ns()) > 0:
            time.sleep(left_ns / 1e9)
        late_ms.append(-left_ns / 1e6)
        deadline_ns = max(deadline_ns + TICK_NS, timekeeping.now_ns())  # a tick that is missed is not made up for
        was_ns, (now_off_ns, unsure_ns) = off_ns, timekeeping.INSTRUMENTS.surely_off_ns()
        if unsure_ns < _UNSURE_NS:
            off_ns = now_off_ns
        if abs(off_ns - was_ns) > _SET_NS:
            log.emit("clock_set", by_ms=(off_ns - was_ns) / 1e6)
        if len(late_ms) * TICK_NS >= 10**9:
            now = _processors()
            late_ms.sort()
            p95_ms = late_ms[round(0.95 * (len(late_ms) - 1))]
            log.emit("second", late_p95_ms=p95_ms, late_max_ms=late_ms[-1], **_shares(before, now))
            before, late_ms = now, []


def _processors() -> dict[str, int]:
    """The first line of /proc/stat (proc(5)): ticks of all processors together, per kind."""
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    with Path("/proc/stat").open() as file:
        return dict(zip(names, map(int, file.readline().split()[1:]), strict=False))


def _shares(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, float]:
    spent = {name: now[name] - before[name] for name in now}
    total = sum(spent.values()) or 1
    return {"steal": spent.get("steal", 0) / total, "idle": (spent["idle"] + spent.get("iowait", 0)) / total}


@dataclass(frozen=True)
class Way:
    """From a host's namespace to an address that answers echoes, and the round trip that is configured.

    ``expected_ms`` has the sending of the echo where a link has a rate; jitter moves it by ``jitter_ms`` at most.
    """

    name: str
    host: str
    address: str
    expected_ms: float
    jitter_ms: float = 0.0

    @classmethod
    def along(cls, name: str, host: str, address: str, wires: Sequence[Wire]) -> Way:
        """There and back over ``wires``."""
        sending_s = sum(_ECHO_BYTES * 8 / wire.rate_bps for wire in wires if wire.rate_bps)
        delay_s = sum(wire.delay_s for wire in wires) + sending_s
        return cls(name, host, address, 2e3 * delay_s, 2e3 * sum(wire.jitter_s for wire in wires))


def paths(scenario: Scenario, plan: NetworkPlan, at_s: float) -> Iterator[Way]:
    """Every path between end points that is there at ``at_s`` of the scenario's time (before it: no mobile node's)."""
    hosts = {host.name: host for host in plan.hosts}
    yield Way.along(CONTROL, CONTROLLER, str(plan.control.switch_address.ip), [plan.control.wire])
    for host in hosts.values():
        if host.name not in plan.paired:
            yield Way.along(f"{host.name}-{CORE}", host.name, str(host.gateway.ip), [host.wire])
        for router in plan.mobile_routers:
            wires = plan.across(host.name, router.name)
            yield Way.along(f"{host.name}-{router.name}", host.name, str(router.gateway.ip), wires)
    for node in plan.mobile_nodes:
        at_router = moves.serving(scenario, node.name, at_s)
        for name in (*scenario.correspondents, SERVER):
            if at_router is not None and name in hosts:
                wires = (*plan.across(name, at_router), node.wire_at(at_router))
                address = str(node.addresses[at_router])
                yield Way.along(f"{name}-{node.name}@{at_router}", name, address, wires)


def measure(
    log: EventLog, when: str, wanted: Iterable[Way], inside: Callable[[str], AbstractContextManager[None]]
) -> None:
    """Sends a few echoes along each path and leaves an event for each; in the block ``inside(host)`` we are there.

    One path after the other: side by side they would measure how well the machine does many things at once.
    """
    for path in wanted:
        with inside(path.host), _raw_socket(path.address) as raw:
            trips_ms = list(_echoes(raw, path.address, path.expected_ms))
        log.emit(
            "path",
            when=when,
            path=path.name,
            expected_ms=path.expected_ms,
            jitter_ms=path.jitter_ms,
            rtt_ms=median(trips_ms) if trips_ms else None,
            answered=len(trips_ms),
        )


def _echoes(raw: socket.socket, address: str, expected_ms: float) -> Iterator[float]:
    """Round trips in ms of the first echoes that were answered in time, but for the very first: it may wait for ARP."""
    raw.connect((address, 0))
    six = raw.family == socket.AF_INET6
    request, answer = (_ECHO_REQUEST6, _ECHO_REPLY6) if six else (_ECHO_REQUEST, _ECHO_REPLY)
    missing = _ECHOES
    for number in range(_TRIES):
        if not missing:
            return
        sent_ns = time.time_ns()
        raw.send(_echo(request, number, sent_ns))
        deadline_ns = sent_ns + round((expected_ms / 1e3 + _PATIENCE_S) * 1e9)
        while (left_ns := deadline_ns - time.time_ns()) > 0:
            if not select.select([raw], [], [], left_ns / 1e9)[0]:
                break
            reply, now_ns = raw.recv(256), time.time_ns()
            header = 0 if six else 4 * (reply[0] & 15)  # IPv6's stays with the kernel
            if reply[header] == answer and reply[header + 8 : header + 16] == struct.pack("!Q", sent_ns):
                if number:
                    missing -= 1
                    yield (now_ns - sent_ns) / 1e6
                break
        time.sleep(max(0.0, _EVERY_S - (time.time_ns() - sent_ns) / 1e9))


def _raw_socket(address: str) -> socket.socket:
    if ":" in address:
        return socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


def _echo(request: int, number: int, stamp_ns: int) -> bytes:
    """An echo request (RFC 792, RFC 4443) that carries the time it was sent; the checksum of IPv6's is the kernel's."""
    payload = struct.pack("!Q", stamp_ns)
    total = sum(struct.unpack("!8H", struct.pack("!BBHHH", request, 0, 0, 0xD3, number) + payload))
    total = (total >> 16) + (total & 0xFFFF)
    total += total >> 16
    return struct.pack("!BBHHH", request, 0, ~total & 0xFFFF, 0xD3, number) + payload
