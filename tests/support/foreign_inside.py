"""Run in a guest: ``foreign_inside.py FOLDER KILLS SEED`` makes a Mininet network, a bridge and namespaces, starts labs
beside them, kills these at random instants, and writes as JSON what had changed of it then, and what labs have left.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mininet.net import Mininet
from mininet.node import OVSBridge
from mininet.topo import SingleSwitchTopo

from dmmlab.experiments.records.rundir import FORMAT, RunDirectory
from dmmlab.experiments.scenario.identities import identities
from dmmlab.experiments.scenario.load import load
from dmmlab.machine import isolation, processes

LONGEST_S = 12.0  # virtual: from nothing to some seconds into the scenario
FOREIGN = """
ip netns add foreign1; ip netns add foreign2
ip link add foreign-a type veth peer name foreign-b; ip link set foreign-b netns foreign1
ip addr add 10.1.1.1/24 dev foreign-a; ip link set foreign-a up
ip -n foreign1 addr add 10.1.1.100/24 dev foreign-b; ip -n foreign1 link set foreign-b up
ip link add MR1-eth1 type dummy; ip link add s2-eth1 type dummy
ovs-vsctl add-br s2; ovs-vsctl add-port s2 s2-eth1
ovs-ofctl add-flow s2 cookie=0xda01000000000000,priority=7,ip,nw_dst=10.1.1.100,actions=drop
"""


def said(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def seen(mininet: Mininet) -> dict[str, Any]:
    """All of it that a lab could touch."""
    links = json.loads(said("ip", "-j", "-d", "addr"))
    own = os.getpid()
    return {
        "links": sorted((link["ifname"], link["operstate"], len(link["addr_info"])) for link in links),
        "namespaces": sorted(said("ip", "netns", "list").split()),
        "inside": said("ip", "-n", "foreign1", "-br", "addr"),
        "bridges": said("ovs-vsctl", "--columns=name,fail_mode,controller,ports", "list", "Bridge"),
        "flows": [line.split("cookie")[1].split("duration")[0] for line in flows()],
        "mininet": mininet["h1"].cmd("ping -q -c 1 -W 2 10.0.0.2").count("1 received"),
        "reached": said("ping", "-q", "-c", "1", "-W", "2", "10.1.1.100").count("1 received"),
        "processes": sorted(commands(own)),
    }


def flows() -> list[str]:
    return [
        line
        for line in (said("ovs-ofctl", "dump-flows", "s1") + said("ovs-ofctl", "dump-flows", "s2")).splitlines()
        if "cookie" in line
    ]


def commands(own: int) -> list[str]:
    """What runs that is neither ours nor a lab's (in a PID namespace of its own) nor the kernel's."""
    here, found = Path("/proc/self/ns/pid").readlink(), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if line and (folder / "ns/pid").readlink() == here and int(folder.name) != own and "unshare" not in line:
                found.append(line)
        except OSError:
            continue
    return [line for line in found if not line.startswith(("ip ", "ovs-vsctl", "ovs-ofctl", "ping"))]


def lab(folder: Path) -> subprocess.Popen[bytes]:
    """A run of two-mr, natively as it were: in namespaces of its own, on this kernel."""
    of = load("two-mr", {"duration": "12s", "sessions": [], "movement": [
        {"at": "0s", "node": "MN1", "to": "MR1"}, {"at": "4s", "node": "MN1", "to": "MR2"}]})  # fmt: skip
    run = RunDirectory(folder)
    run.create(
        {
            **{"format": FORMAT, "name": of.name, "seed": of.seed, "runtime": "native", "clock": "virtual"},
            **{"datapath": "system", "environment": {}, "identities": identities(of)},
            "scenario": of.resolved().model_dump(mode="json", by_alias=True),
        }
    )
    argv = isolation.argv([sys.executable, "-m", "dmmlab.experiments.runner.__main__", str(folder)])
    with (folder / "said").open("wb") as output:
        return subprocess.Popen(argv, stdout=output, stderr=output, preexec_fn=processes.die_with_parent)


def left() -> list[str]:
    return sorted(path.name for path in Path(tempfile.gettempdir()).glob("dmmlab-*"))


def strangers() -> int:
    """Processes that are in a PID namespace of a lab."""
    here, number = Path("/proc/self/ns/pid").readlink(), 0
    for link in Path("/proc").glob("[0-9]*/ns/pid"):
        try:
            number += link.readlink() != here
        except OSError:
            continue
    return number


def main() -> None:
    place, kills, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    for line in FOREIGN.replace("\n", ";").split(";"):
        if line.strip():
            subprocess.run(line.split(), check=True)
    mininet = Mininet(topo=SingleSwitchTopo(k=2), switch=OVSBridge, controller=None)
    mininet.start()
    mininet["h1"].cmd("ping -q -c 1 -W 2 10.0.0.2")
    said("ping", "-q", "-c", "1", "-W", "2", "10.1.1.100")
    before = seen(mininet)
    found: dict[str, Any] = {"kills": 0, "changed": [], "left running": 0, "left behind": 0, "before": before}
    for turn in range(kills):
        process = lab(place / f"killed{turn % 3}")
        time.sleep(rng.random() * LONGEST_S)
        if (now := seen(mininet)) != before:
            found["changed"].append(["during", now])
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.5)
        found["kills"] += 1
        found["left running"] += strangers()
        found["left behind"] = max(found["left behind"], len(left()))
        if (now := seen(mininet)) != before:
            found["changed"].append(["after", now])
    two = [lab(place / name) for name in ("one", "other")]
    found["two at once"] = [process.wait() for process in two]
    found["left in the end"] = left()
    found["changed"] += [["in the end", now] for now in [seen(mininet)] if now != before]
    for name in ("killed0", "killed1", "killed2", "one", "other"):
        shutil.rmtree(place / name, ignore_errors=True)
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
