"""The controller's processing: processor time for each packet-in, under the framework that runs use.

The controller of two-mr's plan runs natively as a process of its own; two fake switches (`inside/fake_switch.py`) on
loopback TCP tell it of `NODES` mobile nodes that attach and then move back and forth. A move is as a real one: a
port goes, a port comes, four frames of DHCP are copied (discover, offer, request, acknowledge); the controller answers
with the rules of sighting, lease and redirect, confirmed by barriers. ``packet_in_us``: processor time of a move
divided by its four packet-ins, flow-mods and barriers and port states included. ``silent_packet_in_us``: for a copied
frame that is no news.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import paired, tables
from benchmarks.inside.fake_switch import ADDED, DELETED, FakeSwitch
from dmmlab.experiments.runner.orders import redirect_plan
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.network import network_plan

ROUNDS, NODES, MOVES, SILENT = 3, 5, 100, 2000
PACKET_INS = 4  # of a move
SETTLED_S = 0.012  # until stale rules have gone from the old path: two-mr's 4 ms between its routers, and some
ROUTER, INTER_MR, FIRST_RADIO = 1, 2, 10
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5
PLAN = redirect_plan(network_plan(load("two-mr")), load("two-mr"))


@contextlib.contextmanager
def controller(python: str) -> Iterator[tuple[int, int]]:
    """Its process's number and its port; ``python`` is the interpreter of the checkout that it is from."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
        probe.close()
        plan, events = Path(folder, "plan"), Path(folder, "events")
        told = json.loads(PLAN.to_json())
        for word in ("peers", "announced", "buffered", "releases"):
            told.pop(word, None)  # there are none; older controllers do not know the words
        plan.write_text(json.dumps(told))
        argv = ["--plan", str(plan), "--events", str(events), "--listen", f"127.0.0.1:{port}"]
        with subprocess.Popen([Path(python).absolute(), "-m", "dmmlab.controllers", *argv], cwd=folder) as process:
            try:
                yield process.pid, port
                if process.poll() is not None or '"error"' in events.read_text():
                    raise RuntimeError(f"the controller ended: {events.read_text()[-500:]}")
            finally:
                process.kill()


def connected(port: int) -> dict[int, FakeSwitch]:
    """The switches by datapath id, when the controller has given them their first rules."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            break
        time.sleep(0.05)
    switches = {}
    for plan in PLAN.switches:
        ports = {plan.router_port_name: ROUTER, plan.inter_mr[0].port_name: INTER_MR}
        switches[plan.dpid] = FakeSwitch(("127.0.0.1", port), plan.dpid, ports)
    for switch in switches.values():
        switch.await_barriers(1)
    return switches


def dhcp(kind: int, node: int, dpid: int) -> bytes:
    """A frame of DHCP (RFC 2131) between a mobile node and the router of switch ``dpid``, for an hour's lease."""
    mac, router = bytes((2, 0xAA, 0, 0, 0, node)), bytes.fromhex(PLAN.switches[dpid - 1].router_mac.replace(":", ""))
    address = bytes((10, 1, dpid, 100 + node))
    answers = kind in (OFFER, ACK)
    source, target = (router, mac) if answers else (mac, b"\xff" * 6)
    body = bytes((2 if answers else 1, 1, 6, 0)) + bytes(12) + (address if answers else bytes(4)) + bytes(8)
    body += mac + bytes(10 + 192) + b"\x63\x82\x53\x63" + bytes((53, 1, kind, 51, 4)) + (3600).to_bytes(4, "big")
    body += b"\xff" + bytes(60)
    udp = bytes((0, 67, 0, 68) if answers else (0, 68, 0, 67)) + (8 + len(body)).to_bytes(2, "big") + bytes(2)
    head = b"\x45\x00" + (28 + len(body)).to_bytes(2, "big") + bytes(5) + b"\x11" + bytes(2)
    ways = bytes((10, 1, dpid, 1)) + address if answers else bytes(4) + b"\xff" * 4
    return target + source + b"\x08\x00" + head + ways + udp + body


class Story:
    """What happens to the switches, one thing after the other, so that each is a piece of work of its own."""

    def __init__(self, switches: dict[int, FakeSwitch]) -> None:
        self._switches, self._serial = switches, FIRST_RADIO
        self._places: dict[int, tuple[int, int]] = {}

    def move(self, node: int) -> None:
        """To the other switch, or to the first."""
        before = self._places.get(node)
        if before is not None:
            self._switches[before[0]].port(f"MN{node}-radio", before[1], DELETED)
            time.sleep(SETTLED_S)
        dpid = 1 if before is None else 3 - before[0]
        self._serial += 1
        self._places[node] = dpid, self._serial
        here = self._switches[dpid]
        here.port(f"MN{node}-radio", self._serial, ADDED)
        for kind in (DISCOVER, OFFER, REQUEST, ACK):
            here.copy(dhcp(kind, node, dpid), ROUTER if kind in (OFFER, ACK) else self._serial)
            time.sleep(SETTLED_S)

    def silent(self, node: int, count: int) -> None:
        """Frames of a node that is known to be there."""
        dpid, port = self._places[node]
        for _ in range(count):
            self._switches[dpid].copy(dhcp(DISCOVER, node, dpid), port)
        self._switches[dpid].await_answer()


def processor_ns(pid: int) -> int:
    """Time that a process has had a processor (proc(5), /proc/PID/schedstat)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def measured(python: str = sys.executable) -> tuple[float, float, str]:
    """In us: for each packet-in of moves, for each that is no news; and a digest of all that the switches were sent."""
    with controller(python) as (pid, port):
        switches = connected(port)
        story = Story(switches)
        for turn in range(2 * NODES):
            story.move(turn % NODES)
        began = processor_ns(pid)
        for turn in range(MOVES):
            story.move(turn % NODES)
        for switch in switches.values():
            switch.await_answer()
        moved = processor_ns(pid)
        for node in range(NODES):
            story.silent(node, SILENT // NODES)
        ended = processor_ns(pid)
        sent = hashlib.sha256("".join(switch.digest for switch in switches.values()).encode()).hexdigest()
        for switch in switches.values():
            switch.close()
    return (moved - began) / MOVES / PACKET_INS / 1e3, (ended - moved) / SILENT / 1e3, sent


def measure() -> dict[str, float]:
    """Medians over `ROUNDS` controllers."""
    rounds = [measured() for _ in range(ROUNDS)]
    return {
        "packet_in_us": round(statistics.median(each[0] for each in rounds), 1),
        "silent_packet_in_us": round(statistics.median(each[1] for each in rounds), 1),
    }


def compare(pythons: Sequence[str]) -> str:
    """Controllers of several checkouts, in turn: a line for each round and checkout."""
    lines = [["", "packet_in_us", "silent_packet_in_us", "sent"]]
    for _ in range(ROUNDS):
        for python in pythons:
            moves, silent, sent = measured(python)
            lines.append([python, tables.number(moves), tables.number(silent), sent[:12]])
    return tables.aligned(lines)


if __name__ == "__main__":
    sys.exit(paired.main(__doc__, measure, compare))
