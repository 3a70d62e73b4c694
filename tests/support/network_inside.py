"""Run in a guest: makes the network of scenario two-mr and writes what a user finds in it, as JSON.

``network_inside.py made | half-made`` or ``network_inside.py prompt < LINES``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from mininet import log
from mininet.cli import CLI

from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.network import network_plan
from dmmlab.topologies.build import Network
from dmmlab.topologies.openvswitch import OpenVSwitch
from dmmlab.topologies.ovsdb import Database

PLAN = network_plan(load("two-mr"))
NODE = PLAN.mobile_node("MN1")
(RADIO,) = NODE.radios
FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
started: list[str] = []  # the programs that this process started


def _listen(event: str, values: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen":
        started.append(str(values[0]))


def said(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()


def files() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def made(database: Database) -> dict[str, Any]:
    found: dict[str, Any] = {}
    before = files()
    started.clear()
    with Network(PLAN, 1, database) as network:
        network.rewire(NODE, RADIO, PLAN.mobile_routers[0])
        network.attach(RADIO)
        network.detach(RADIO)
        network.rewire(NODE, RADIO, PLAN.mobile_routers[1])
        found["started"] = list(started)
        with network.inside("MN1"):
            found["detached"] = json.loads(said("ip", "-j", "link", "show", NODE.interface))[0]["operstate"]
        network.attach(RADIO)
        with network.inside("MN1"):
            found["attached"] = json.loads(said("ip", "-j", "link", "show", NODE.interface))[0]["operstate"]
        with network.inside("MR1"):
            found["MR1 forwards"] = FORWARD.read_text().strip()
        found["we forward"] = FORWARD.read_text().strip()
        found["switch"] = said("ovs-vsctl", "port-to-br", NODE.radio_port)
        found["tag"] = said("ovs-vsctl", "get", "Port", PLAN.inter_mr[0].ports[0], "tag")
        found["dpid"] = said("ovs-vsctl", "get", "Bridge", "s2", "datapath_id")
        found["mode"] = said("ovs-vsctl", "get-fail-mode", "s2")
        ping = ["ping", "-q", "-c", "1", str(PLAN.host("CN2").address.ip)]
        found["ping"] = network.popen("CN1", ping, stdout=subprocess.PIPE).communicate()[0].decode()
    found["files left"] = files() - before
    found["links left"] = [host.core_interface for host in PLAN.hosts if said("ip", "link", "show", host.interface)]
    return found


def half_made(database: Database) -> dict[str, Any]:
    subprocess.run(["ip", "link", "add", PLAN.mobile_routers[1].router_port, "type", "dummy"], check=True)
    before = files()
    try:
        with Network(PLAN, 1, database):
            return {"error": None}
    except OSError as error:
        return {"error": str(error), "files left": files() - before}


def prompt(database: Database) -> dict[str, Any]:
    """What each line on standard input answers at Mininet's prompt."""
    log.setLogLevel("output")
    answers: dict[str, Any] = {}
    with Network(PLAN, 1, database) as network, tempfile.TemporaryDirectory() as folder:
        for number, line in enumerate(sys.stdin.read().splitlines()):
            said_there = Path(folder, str(number))
            with said_there.open("w") as output:
                log.lg.handlers[0].stream = output
                Path(folder, "line").write_text(f"{line}\n")
                CLI(network.mininet, script=f"{folder}/line")
            answers[line] = said_there.read_text()
        answers["shells"] = said("pgrep", "-c", "-f", "^bash.*mininet:")
    answers["shells left"] = said("pgrep", "-c", "-f", "^bash.*mininet:")
    return answers


if __name__ == "__main__":
    sys.addaudithook(_listen)
    ways = {"made": made, "half-made": half_made, "prompt": prompt}
    with OpenVSwitch(Path(tempfile.mkdtemp())) as switches:
        report = ways[sys.argv[1]](switches.database)
    sys.stdout.write(json.dumps(report))
