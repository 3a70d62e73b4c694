"""Mininet's own examples in the guest."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from in_guest import run

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("live_kernel")]


def _mn(*arguments: str) -> str:
    status, out, err = run("mn", *arguments, services=True)
    assert status == 0, err
    return out + err


def test_mininet_pings_all() -> None:
    assert "0% dropped (2/2 received)" in _mn("--test", "pingall")
    assert "0% dropped (6/6 received)" in _mn("--topo", "linear,3", "--test", "pingall")


SHAPED = """
from mininet.link import TCLink
from mininet.net import Mininet
from mininet.node import OVSBridge
from mininet.topo import SingleSwitchTopo

net = Mininet(topo=SingleSwitchTopo(2), switch=OVSBridge, controller=None, link=lambda *a, **k: TCLink(*a, bw=100, **k))
net.start()
h1, h2 = net.hosts
h2.cmd("iperf3 -s -D")
print(h1.cmd("sleep 1; iperf3 -c", h2.IP(), "-t 5 -f m"))
net.stop()
"""


def test_mininet_shapes_a_link_to_its_rate(tmp_path: Path) -> None:
    script = tmp_path / "shaped.py"
    script.write_text(SHAPED)
    status, out, err = run(sys.executable, str(script), services=True)
    assert status == 0, err
    rates = [float(rate) for rate in re.findall(r"([\d.]+) Mbits/sec.*receiver", out)]
    assert len(rates) == 1 and 90 < rates[0] <= 100, out


MOBILITY = '''
from mininet.net import Mininet
from mininet.node import OVSBridge
from mininet.topo import LinearTopo


class MobilityBridge(OVSBridge):
    """As in Mininet's examples/mobility.py: interfaces can leave one switch and join another."""

    def delete(self, intf):
        self.cmd("ovs-vsctl del-port", self, intf)
        self.delIntf(intf)

    def add(self, intf):
        port = self.newPort()
        self.addIntf(intf, port)
        self.cmd("ovs-vsctl add-port", self, intf)


net = Mininet(topo=LinearTopo(3), switch=MobilityBridge, controller=None, waitConnected=True)
net.start()
print("loss", net.pingAll())
h1, old, new = net.get("h1", "s1", "s2")
for switch in net.get("s2", "s3"):
    hintf, sintf = h1.connectionsTo(net.get("s1"))[0] if switch.name == "s2" else h1.connectionsTo(net.get("s2"))[0]
    before = sintf.node
    before.delete(sintf)
    switch.add(sintf)
    sintf.node = switch
    print("moved from", before, "to", switch)
    net.get("h3").cmd("ping -c 1 -W 1", h1.IP())
    print("loss", net.pingAll())
net.stop()
'''


def test_mininet_host_moves_between_switches(tmp_path: Path) -> None:
    script = tmp_path / "mobility.py"
    script.write_text(MOBILITY)
    status, out, err = run(sys.executable, str(script), services=True)
    assert status == 0, err
    assert re.findall(r"loss ([\d.]+)", out) == ["0.0", "0.0", "0.0"], out + err
    assert "moved from s2 to s3" in out
