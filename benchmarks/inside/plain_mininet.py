"""Run in a guest by the system's own Python: a network of Mininet's own parts, measured.

``plain_mininet.py JOB FOLDER``: JOB is a JSON file with ``hosts`` (host: [switch, delay in ms]), ``switches``
(switch: [its parent, delay in ms] or null), ``paths`` ([host, host, …]), ``count`` and ``echoes``. Files ``begun`` and
``made`` in FOLDER, which is the host's, mark the set-up: their times are the host's, whatever the clock here.
Hosts, switches (Open vSwitch without a controller) and links (`TCLink`) are Mininet's; so is all of their set-up.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from mininet.link import TCLink
from mininet.net import Mininet
from mininet.node import OVSSwitch
from mininet.topo import Topo


class Tree(Topo):  # type: ignore[misc]
    """Hosts on switches, switches on switches."""

    def build(self, job: dict[str, Any]) -> None:
        for number, (switch, above) in enumerate(job["switches"].items(), 1):
            self.addSwitch(switch, dpid=f"{number:x}", failMode="standalone")
            if above is not None:
                self.addLink(switch, above[0], delay=f"{above[1]}ms")
        for host, (switch, delay_ms) in job["hosts"].items():
            self.addHost(host)
            self.addLink(host, switch, delay=f"{delay_ms}ms")


def main() -> None:
    job, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    (folder / "begun").touch()
    network = Mininet(topo=Tree(job=job), link=TCLink, switch=OVSSwitch, controller=None)
    network.start()
    (folder / "made").touch()
    trips_ns = []
    for one, other, *_ in job["paths"]:
        argv = [sys.executable, job["echoes"], network.get(other).IP(), str(job["count"])]
        trips_ns.append(json.loads(network.get(one).popen(argv).communicate()[0]))
    sys.stdout.write(json.dumps(trips_ns))
    network.stop()


if __name__ == "__main__":
    main()
