"""Run in a guest: ``attacks_inside.py FOLDER FAMILY KIND`` plays a scenario into the run directory FOLDER in which MN2,
on the anchor's link of MN1's first address, and MN3, on the link where MN1 is, try what they can against it, and CN3
against the servers: what KIND of `STEPS` has. Writes as JSON what a look at the processes and switches told.
"""

from __future__ import annotations

import json
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import dns.message
import dns.tsig
import dns.update
from attacks_scenario import STOLEN, STRANGER, scenario
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw

from dmmlab.controllers.nd import link_local
from dmmlab.experiments.records.rundir import FORMAT, RunDirectory
from dmmlab.experiments.runner import carry_out
from dmmlab.experiments.runner.executor import Executor
from dmmlab.experiments.runner.orders import tsig_secret
from dmmlab.experiments.scenario.identities import ZONE, identities, node_id
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.machine import environment
from dmmlab.nodes.registration.wire import PORT, Message, MessageType, encode
from dmmlab.topologies.plan import INTER_MR_VLAN, NetworkPlan

VICTIM_PORT = 9
EVERYBODY = "ff:ff:ff:ff:ff:ff"
FEW = 30  # frames at one instant: of more a switch drops copies


STEPS = {
    "guarded": (8, 9, 10, 11, 12, 13, 15, 17),
    "open": (11, 12, 13, 17),  # what is to be without effect even if whoever is on a link is believed
    "radios": (4, 14, 16),  # and if it is known by a client id, for it has two radios
}


def octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


class Attacked(Executor):
    """At each full second, what is tried then."""

    of: ClassVar[Scenario]
    steps: ClassVar[tuple[int, ...]]
    found: ClassVar[dict[str, Any]] = {}

    def _carry_out(self, event: Any) -> None:
        super()._carry_out(event)
        if type(event).__name__ == "_Look" and event.at_s in self.steps:
            getattr(self, f"at_{event.at_s:.0f}")()

    @property
    def plan(self) -> NetworkPlan:
        return self._network.plan

    def mac(self, node: str) -> str:
        return self.plan.mobile_node(node).mac

    def address(self, node: str, router: str) -> str:
        return str(self.plan.mobile_node(node).addresses[router])

    def thieves(self) -> Iterator[tuple[str, str, str]]:
        """Each with its router, and what MN1 has from MR1."""
        for node, router in (("MN2", "MR1"), ("MN3", "MR2")):
            yield node, router, self.address("MN1", "MR1")

    def ip(self, source: str, destination: str, **more: Any) -> Packet:
        return (IPv6 if ":" in source else IP)(src=source, dst=destination, **more)

    def send(self, node: str, *frames: Packet | bytes) -> None:
        with self._network.inside(node), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((f"{node}-eth0", 0))
            for frame in frames:
                raw.send(bytes(frame))

    def lease(self, node: str, address: str) -> None:
        """It asks for an address, as MN1 would."""
        known_as = self.plan.mobile_node("MN1").client_id
        options = [("message-type", "request"), ("requested_addr", address), ("client_id", known_as), "end"]
        boot = BOOTP(chaddr=octets(self.mac(node)), xid=7, flags=0x8000) / DHCP(options=options)
        udp = IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67)
        self.send(node, Ether(src=self.mac(node), dst=EVERYBODY) / udp / boot)

    def at_4(self) -> None:
        """What MN1 will have at MR2, before it is there."""
        self.lease("MN3", self.address("MN1", "MR2"))

    def at_14(self) -> None:
        """What MN1 has from MR1, where it is no more."""
        self.lease("MN2", self.address("MN1", "MR1"))

    def at_16(self) -> None:
        cn1 = str(self.plan.host("CN1").address.ip)
        for node, router in (("MN2", "MR1"), ("MN3", "MR2")):
            packet = self.ip(self.address("MN1", router), cn1) / UDP(sport=VICTIM_PORT, dport=VICTIM_PORT) / Raw(STOLEN)
            self.send(node, Ether(src=self.mac(node), dst=self.plan.mobile_router(router).access_mac) / packet)

    def at_8(self) -> None:
        """A stolen address, and one of nobody's, in packets."""
        cn1 = str(self.plan.host("CN1").address.ip)
        for node, router, stolen in self.thieves():
            gateway = self.plan.mobile_router(router).access_mac
            for source in (stolen, STRANGER[self.of.family]):
                for ports in ((VICTIM_PORT, VICTIM_PORT), (68, 67)):  # and as a DHCP client would
                    packet = self.ip(source, cn1) / UDP(sport=ports[0], dport=ports[1]) / Raw(STOLEN)
                    self.send(node, Ether(src=self.mac(node), dst=gateway) / packet)

    def at_9(self) -> None:
        """Its neighbours are told that it is theirs, and that the router is."""
        for node, router, stolen in self.thieves():
            mine, gateway = self.mac(node), self.plan.mobile_router(router)
            for claimed in (stolen, str(gateway.router_id)):
                if self.of.family == "ipv4":
                    for kind, target in (("is-at", claimed), ("who-has", str(gateway.router_id))):
                        arp = ARP(op=kind, hwsrc=mine, psrc=claimed, pdst=target, hwdst=EVERYBODY)
                        self.send(node, Ether(src=mine, dst=EVERYBODY) / arp)
                    continue
                everyone = Ether(src=mine, dst="33:33:00:00:00:01")
                claim = ICMPv6ND_NA(R=0, S=0, O=1, tgt=claimed) / ICMPv6NDOptDstLLAddr(lladdr=mine)
                asked = ICMPv6ND_NS(tgt=str(gateway.router_id)) / ICMPv6NDOptSrcLLAddr(lladdr=mine)
                for source in (claimed, link_local(mine)):
                    self.send(node, everyone / IPv6(src=source, dst="ff02::1", hlim=255) / claim)
                self.send(node, everyone / IPv6(src=claimed, dst="ff02::1", hlim=255) / asked)
                self.send(node, everyone / IPv6(src="::", dst="ff02::1", hlim=255) / ICMPv6ND_NS(tgt=claimed))
        self.pass_for_routers()

    def pass_for_routers(self) -> None:
        """To all on the link, from an address of one's own."""
        for node, router, _ in self.thieves():
            if self.of.family == "ipv4":
                said = IP(src=self.address(node, router), dst="255.255.255.255") / UDP(sport=67, dport=68)
                self.send(node, Ether(src=self.mac(node), dst=EVERYBODY) / said / Raw(STOLEN))
                continue
            for kind in (ICMPv6ND_RA(), ICMPv6ND_Redirect(tgt=link_local(self.mac(node)))):
                said = IPv6(src=link_local(self.mac(node)), dst="ff02::1", hlim=255) / kind / Raw(STOLEN)
                self.send(node, Ether(src=self.mac(node), dst="33:33:00:00:00:01") / said)

    def look_at_neighbours(self) -> None:
        for router in self.plan.mobile_routers:
            with self._network.inside(router.name):
                said = subprocess.run(["ip", "-j", "neigh"], capture_output=True, text=True, check=True).stdout
            known = {entry["dst"]: entry.get("lladdr") for entry in json.loads(said)}
            self.found.setdefault("neighbours", {}).setdefault(router.name, []).append(known)

    def at_10(self) -> None:
        """Another's MAC: MN1's, and the router's. What was claimed a second ago is still what a router believes."""
        self.look_at_neighbours()
        cn1 = str(self.plan.host("CN1").address.ip)
        for node, router, stolen in self.thieves():
            gateway = self.plan.mobile_router(router).access_mac
            for mac in (self.mac("MN1"), gateway):
                packet = self.ip(stolen, cn1) / UDP(sport=VICTIM_PORT, dport=VICTIM_PORT) / Raw(STOLEN)
                self.send(node, Ether(src=mac, dst=gateway if mac != gateway else EVERYBODY) / packet)

    def at_11(self) -> None:
        """Another's identity and lease (IPv4): by its MAC in the message, and by its client id alone. Where all are
        believed, its lease from one's own MAC.
        """
        victim = self.mac("MN1")
        for node, router, stolen in self.thieves() if self.of.family == "ipv4" else ():
            gateway, mine = self.plan.mobile_router(router), self.mac(node)
            tries = [(mine, victim, "release", stolen)]
            if self.of.addresses.guard:
                tries += [(victim, victim, "release", stolen), (mine, mine, "discover", "0.0.0.0")]
                tries += [(source, victim, "discover", "0.0.0.0") for source in (mine, victim)]
            for source, chaddr, kind, own in tries:
                options = [("message-type", kind), ("client_id", b"\x01" + octets(victim)), "end"]
                boot = BOOTP(chaddr=octets(chaddr), ciaddr=own, xid=7) / DHCP(options=options)
                for to, mac in (("255.255.255.255", EVERYBODY), (str(gateway.gateway.ip), gateway.access_mac)):
                    self.send(node, Ether(src=source, dst=mac) / IP(src=own, dst=to) / UDP(sport=68, dport=67) / boot)

    def at_12(self) -> None:
        """Into the VLAN of the inter-MR ports, as if from the other switch."""
        for node, _, stolen in self.thieves():
            for router in self.plan.mobile_routers:
                packet = self.ip(STRANGER[self.of.family], stolen) / UDP(sport=5001, dport=5001) / Raw(STOLEN)
                frame = Ether(src=router.access_mac, dst=self.mac("MN1")) / Dot1Q(vlan=INTER_MR_VLAN) / packet
                self.send(node, frame)

    def at_13(self) -> None:
        """So many nodes, names and addresses that nobody could remember them all."""
        rng, before = random.Random(1), self._controller_kb()
        frames: list[bytes] = []
        for number in range(1500):
            mac = "02:" + ":".join(f"{octet:02x}" for octet in rng.randbytes(5))
            boot = BOOTP(chaddr=rng.randbytes(6), xid=number) / DHCP(
                options=[("message-type", "discover"), ("client_id", rng.randbytes(8)), "end"]
            )
            whole = IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / boot
            frames.append(bytes(Ether(src=mac if number % 2 else self.mac("MN2"), dst=EVERYBODY) / whole))
            if self.of.family == "ipv6":
                made_up = f"2001:db8:1:1::{rng.randrange(1 << 16):x}:{rng.randrange(1 << 16):x}"
                claim = ICMPv6ND_NA(O=1, tgt=made_up) / ICMPv6NDOptDstLLAddr(lladdr=self.mac("MN2"))
                six = IPv6(src=made_up, dst="ff02::1", hlim=255) / claim
                frames.append(bytes(Ether(src=self.mac("MN2"), dst="33:33:00:00:00:01") / six))
        for first in range(0, len(frames), FEW):
            self.send("MN2", *frames[first : first + FEW])
            time.sleep(0.005)
        self.found["controller_kb_before"] = before

    def at_15(self) -> None:
        """The servers, by who has no key for it, and by who is none of their clients."""
        server, ddns = (str(self.plan.host(name).address.ip) for name in ("SERVER", "DDNS"))
        resolver, here = str(self.plan.host("RESOLVER").address.ip), str(self.plan.host("CN3").address.ip)
        stranger, mn1 = STRANGER[self.of.family], node_id(self.of, "MN1")
        core = self.plan.host("CN3")
        ether = Ether(src=core.mac, dst=core.core_mac)
        for sequence, key in enumerate((None, b"x" * 32)):
            for source in (stranger, here):
                forged = Message(MessageType.REGISTER, 2**62 + sequence, node=mn1, addresses=(here,), port=7)
                forged.lifetime_ms = 60_000
                short = Message(MessageType.KEEPALIVE, 2**62 + sequence, node=mn1)
                for sport, message in ((4444, forged), (4446, short)):
                    packet = self.ip(source, server) / UDP(sport=sport, dport=PORT) / Raw(encode(message, key))
                    self.send("CN3", ether / packet)
        for to in (ddns, resolver):
            for kind in ("ANY", "A", "TXT"):
                asked = Raw(dns.message.make_query(f"{mn1}.", kind).to_wire())
                self.send("CN3", ether / self.ip(stranger, to) / UDP(sport=4445, dport=53) / asked)
        for called, tsig in (("MN2", tsig_secret(self.of, "MN2")), ("MN1", tsig_secret(self.of, "MN2")), ("MN1", "")):
            update = dns.update.UpdateMessage(ZONE)
            update.replace(f"{mn1}.", 5, "AAAA" if ":" in here else "A", here)
            if tsig:
                update.use_tsig(dns.tsig.Key(f"{node_id(self.of, called)}.", tsig, dns.tsig.HMAC_SHA256))
            with self._network.inside("CN3"):
                family = socket.AF_INET6 if ":" in here else socket.AF_INET
                with socket.socket(family, socket.SOCK_DGRAM) as plain:
                    plain.settimeout(1)
                    plain.sendto(update.to_wire(), (ddns, 53))
                    code = plain.recv(2000)[3] & 15  # RFC 1035 section 4.1.1
                    self.found.setdefault("updates", []).append(code)

    def at_17(self) -> None:
        """What all that has come to."""
        self.look_at_neighbours()
        self.found["controller_kb_after"] = self._controller_kb()
        self.found["rules"] = {}
        for router in self.plan.mobile_routers:
            dump = ["ovs-ofctl", "--protocols=OpenFlow13", "dump-flows", router.switch]
            shown = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
            self.found["rules"][router.switch] = len(shown.splitlines()) - 1
        lines = [file.read_bytes().replace(b"\0", b" ") for file in Path("/proc").glob("[0-9]*/cmdline")]
        self.found["commands"] = [line.decode(errors="replace") for line in lines if line]
        place = Path(tempfile.gettempdir())
        held = [*place.glob("dmmlab-*/**/*"), *place.glob("dmmlab-*")]
        self.found["modes"] = {str(file): f"{file.stat().st_mode & 0o7777:o}" for file in held if not file.is_socket()}

    def _controller_kb(self) -> int:
        """Of whoever listens for switches: a fork of ours, which the kernel names by its port."""
        with self._network.inside("CONTROLLER"):
            shown = subprocess.run(["ss", "-tlnpH"], capture_output=True, text=True, check=True).stdout
        pid = re.search(r"pid=(\d+)", shown)
        assert pid is not None, shown
        status = dict(re.findall(r"^(\w+):\s+(.*)$", Path(f"/proc/{pid[1]}/status").read_text(), re.M))
        return int(status["RssAnon"].split()[0])


def main() -> None:
    Attacked.of = of = scenario(sys.argv[2], sys.argv[3])
    Attacked.steps = STEPS[sys.argv[3]]
    run = RunDirectory(Path(sys.argv[1]))
    run.create(
        {
            **{"format": FORMAT, "name": of.name, "seed": of.seed, "runtime": "guest", "clock": "virtual"},
            **{"datapath": "system", "environment": environment.describe(), "identities": identities(of)},
            "scenario": of.resolved().model_dump(mode="json", by_alias=True),
        }
    )
    vars(carry_out).update(Executor=Attacked, say=lambda **_fields: None)
    carry_out.carry_out(run, say=lambda **_fields: None)
    sys.stdout.write("\n" + json.dumps(Attacked.found) + "\n")


if __name__ == "__main__":
    main()
