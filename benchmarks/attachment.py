"""A mobile node's attachment: wall and processor time from carrier to configured address, natively.

The agent (`nodes/mobility/agent.py`) and udhcpc in a network namespace, a bridge in another, and behind it two routers'
DHCP servers (dnsmasq), of which one at a time has a link: each attachment is a move, with an old address to deprecate
and one to take up again. No wire has a delay. Wall time is from the agent's event ``carrier_up`` to its
``address_configured``; processor time is the agent's and that of the programs that it started. Needs root.

Of a checkout from before `packet_sockets.c` most of the wall time is the kernel's: each packet socket that udhcpc binds
or closes waits until no processor can still be reading it (RCU). ``attachment_expedited_ms`` is the wall time with such
waits cut short (/sys/kernel/rcu_expedited, the whole machine's, put back afterwards).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import paired, tables
from dmmlab.nodes.mobility import dhcp

ROUNDS, MOVES, WARM_UP, PATIENCE_S = 3, 30, 2, 10.0
NODE, AIR, ROUTERS = "node", "air", ("r1", "r2")
EXPEDITED = Path("/sys/kernel/rcu_expedited")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def inside(space: str, *argv: str) -> list[str]:
    """``argv`` in a namespace."""
    return ["ip", "netns", "exec", space, *argv]


def batch(space: str, *lines: str) -> None:
    """`ip -batch` in a namespace."""
    subprocess.run(["ip", "-n", space, "-batch", "-"], input="\n".join(lines), text=True, check=True)


@contextlib.contextmanager
def network(folder: Path) -> Iterator[dict[str, str]]:
    """Namespaces by role; the DHCP servers run. All of it goes in the end."""
    spaces = {role: f"dmmlab-{os.getpid()}-{role}" for role in (NODE, AIR, *ROUTERS)}
    with contextlib.ExitStack() as stack:
        for space in spaces.values():
            subprocess.run(["ip", "netns", "add", space], check=True)
            stack.callback(subprocess.run, ["ip", "netns", "del", space])
        batch(spaces[AIR], "link add bridge type bridge forward_delay 0 stp_state 0", "link set bridge up")
        for number, role in enumerate((NODE, *ROUTERS)):
            batch(spaces[AIR], f"link add to-{role} type veth peer name eth0 netns {spaces[role]}")
            batch(spaces[AIR], f"link set to-{role} master bridge")
            batch(spaces[role], "link set lo up", "link set eth0 up")
            if role in ROUTERS:
                batch(spaces[role], f"addr add 10.1.{number}.1/24 dev eth0")
                pool = f"--dhcp-range=10.1.{number}.100,10.1.{number}.200,255.255.255.0,1h"
                files = [f"--dhcp-leasefile={folder}/{role}.leases", f"--pid-file={folder}/{role}.pid"]
                words = ["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--no-ping", pool, *files]
                argv = inside(spaces[role], "dnsmasq", *words, "--dhcp-authoritative", "--user=root")
                server = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
                stack.callback(server.wait)
                stack.callback(server.kill)
        yield spaces


@contextlib.contextmanager
def expedited() -> Iterator[None]:
    """The kernel waits for no processor that is busy; OSError where it may not be told."""
    before = EXPEDITED.read_text()
    EXPEDITED.write_text("1")
    try:
        yield
    finally:
        EXPEDITED.write_text(before)


def events(file: Path, name: str) -> list[int]:
    """When events of this name happened (ns)."""
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [line["time_ns"] for line in lines if line["event"] == name]


def wait_for(file: Path, name: str, count: int) -> None:
    """Until there are so many."""
    deadline = time.monotonic() + PATIENCE_S
    while len(events(file, name)) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{count} times {name} never came: {file.read_text() if file.exists() else 'no events'}")
        time.sleep(0.01)


def processor_s(pid: int) -> float:
    """A process's time and that of its ended children (proc(5), /proc/PID/stat)."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, words[11:15])) * TICK_S


def measured(python: str = sys.executable) -> tuple[float, float]:
    """In ms, for each attachment: wall time (median), processor time (mean)."""
    with tempfile.TemporaryDirectory() as made, network(Path(made)) as spaces:
        folder, log = Path(made), Path(made, "events")
        dhcp.wait_for_no_reader(folder)  # as a native run does; a checkout of before does not know of it
        words = ["--name", "MN1", "--interface", "eth0", "--folder", made, "--events", str(log)]
        program = [str(Path(python).absolute()), "-m", "dmmlab.nodes.mobility.agent", *words]
        with Path(made, "output").open("w") as output:
            agent: subprocess.Popen[Any] = subprocess.Popen(
                inside(spaces[NODE], *program), cwd=folder, stdout=output, stderr=output
            )
        try:
            wait_for(log, "ready", 1)
            for turn, (here, there) in zip(range(WARM_UP + MOVES), itertools.cycle((ROUTERS, ROUTERS[::-1]))):
                if turn == WARM_UP:
                    before_s = processor_s(agent.pid)
                batch(spaces[AIR], f"link set to-{there} down", f"link set to-{here} up")
                batch(spaces[AIR], f"link set to-{NODE} up")
                wait_for(log, "address_configured", turn + 1)
                batch(spaces[AIR], f"link set to-{NODE} down")
                wait_for(log, "carrier_down", turn + 1)
            took_s = processor_s(agent.pid) - before_s
        finally:
            agent.send_signal(signal.SIGTERM)
            agent.wait(PATIENCE_S)
        pairs = zip(events(log, "carrier_up"), events(log, "address_configured"), strict=True)
        walls_ms = [(configured - up) / 1e6 for up, configured in pairs][WARM_UP:]
    return statistics.median(walls_ms), took_s / MOVES * 1e3


def measure() -> dict[str, float]:
    """Medians over `ROUNDS` agents."""
    if os.geteuid():
        raise RuntimeError("it makes network namespaces, which takes root")
    walls, processor = zip(*(measured() for _ in range(ROUNDS)), strict=True)
    with expedited():
        cut_short = [measured()[0] for _ in range(ROUNDS)]
    return {
        "attachment_ms": round(statistics.median(walls), 2),
        "attachment_expedited_ms": round(statistics.median(cut_short), 2),
        "attachment_processor_ms": round(statistics.median(processor), 2),
    }


def compare(pythons: Sequence[str]) -> str:
    """Agents of several checkouts, in turn: a line for each round and checkout."""
    lines = [["", "attachment_ms", "attachment_processor_ms"]]
    for _ in range(ROUNDS):
        lines += [[python, *map(tables.number, measured(python))] for python in pythons]
    return tables.aligned(lines)


if __name__ == "__main__":
    sys.exit(paired.main(__doc__, measure, compare))
