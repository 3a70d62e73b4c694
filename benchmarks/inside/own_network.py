"""Run in a guest: dmmlab's network of a scenario, measured as `plain_mininet` measures Mininet's.

``own_network.py JOB FOLDER``: of JOB, ``paths``, ``count``, ``echoes`` and ``scenario``. The set-up ends when the
mobile node has its radio link; as there is no controller, its switch forwards as any switch does.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.network import network_plan
from dmmlab.topologies.build import Network
from dmmlab.topologies.openvswitch import OpenVSwitch


def main() -> None:
    job, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    plan = network_plan(load(job["scenario"]))
    router, trips_ns = plan.mobile_routers[0], []
    own = {node.name: node.addresses[router.name] for node in plan.mobile_nodes}
    addresses = {host.name: host.address.ip for host in plan.hosts} | own
    with OpenVSwitch(Path(tempfile.mkdtemp())) as switches:
        (folder / "begun").touch()
        with Network(plan, 1, switches.database) as network:
            for node in plan.mobile_nodes:
                network.rewire(node, node.radios[0], router)
                network.attach(node.radios[0])
                address = ipaddress.ip_interface(f"{own[node.name]}/{router.prefix.prefixlen}")
                network.netlink(node.name).address(node.interface, address)
                network.netlink(node.name).route(None, router.gateway.ip)
            (folder / "made").touch()
            for each in plan.mobile_routers:
                subprocess.run(["ovs-ofctl", "-OOpenFlow13", "add-flow", each.switch, "actions=normal"], check=True)
            for one, other, *_ in job["paths"]:
                argv = ["/usr/bin/python3", job["echoes"], str(addresses[other]), str(job["count"])]
                output = network.popen(one, argv, stdout=subprocess.PIPE).communicate()[0]
                trips_ns.append(json.loads(output))
    sys.stdout.write(json.dumps(trips_ns))


if __name__ == "__main__":
    main()
