"""A run directory made by hand for tests of what reads one: Scapy packets in captures, events in logs."""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from pathlib import Path
from typing import Any

from manifests import manifest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from dmmlab.experiments.records.rundir import RunDirectory, radio_capture
from dmmlab.experiments.scenario.load import parse
from dmmlab.experiments.scenario.model import CONTROLLER, Scenario
from dmmlab.experiments.scenario.network import network_plan
from dmmlab.nodes.registration import wire

START_NS = 1_704_067_218_000_000_000
SNAP_BYTES = 512
_LINKS = {
    ("radio", "MN1"): 2,
    ("MR1", "CORE"): 5,
    ("MR2", "CORE"): 5,
    ("MR1", "MR2"): 4,
    ("CN1", "CORE"): 10,
    ("CN3", "CORE"): 10,
    ("RESOLVER", "CORE"): 1,
    ("DDNS", "CORE"): 15,
    ("SERVER", "CORE"): 15,
    ("CONTROLLER", "switches"): 1,
}


def scenario(**changes: Any) -> Scenario:
    """Two mobile routers, one movement; the keys in ``changes`` take the place of what stands here."""
    data: dict[str, Any] = {
        "name": "recorded",
        "mobile_routers": ["MR1", "MR2"],
        "links": [{"between": list(ends), "delay": f"{ms}ms"} for ends, ms in _LINKS.items()],
        "movement": [{"at": "0s", "node": "MN1", "to": "MR1"}, {"at": "10s", "node": "MN1", "to": "MR2"}],
        "sessions": [],
        "duration": "30s",
    }
    return parse(data | changes, "a test")


class Recorded:
    """What is put in, in any order; ``write`` makes a run directory of it."""

    def __init__(self, folder: Path, of: Scenario) -> None:
        self.run, self.scenario, self.plan = RunDirectory(folder), of, network_plan(of)
        self._frames: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        self._events: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._sequences: dict[tuple[str, str, int, int], int] = defaultdict(lambda: 1001)
        self.event("runner", 0.0, "scenario_started")
        nodes = self.plan.mobile_nodes
        self.address = {host.name: str(host.address.ip) for host in self.plan.hosts}
        self.address |= {f"{n.name}@{router}": str(own) for n in nodes for router, own in n.addresses.items()}
        self.mac = {host.name: host.mac for host in self.plan.hosts} | {node.name: node.mac for node in nodes}

    def event(self, source: str, at_s: float, event: str, **fields: Any) -> None:
        row = {"time_ns": START_NS + round(at_s * 1e9), "source": source, "event": event, **fields}
        self._events[source].append(row)

    def frame(self, host: str, at_s: float, packet: Packet) -> None:
        """``packet``, from Ethernet up, in the capture of ``host``."""
        self._frames[host].append((START_NS + round(at_s * 1e9), bytes(packet)))

    def packet(self, sent_s: float, took_s: float | None, sender: str, receiver: str, packet: Packet) -> None:
        """An IP payload from one end to the other (``MN1@MR2``: by that address); ``took_s`` None: it is lost."""
        near, far = sender.split("@")[0], receiver.split("@")[0]
        whole = IP(src=self.address[sender], dst=self.address[receiver]) / packet
        self.frame(near, sent_s, Ether(src=self.mac[near], dst="02:00:00:00:01:01") / whole)
        if took_s is not None:
            self.frame(far, sent_s + took_s, Ether(src="02:00:00:00:01:01", dst=self.mac[far]) / whole)

    def registration(
        self, sent_s: float, took_s: float | None, sender: str, receiver: str, message: wire.Message, port: int = 4000
    ) -> None:
        """A registration message over UDP; ``port`` is the node's, whichever end that is."""
        ports = (wire.PORT, port) if sender == "SERVER" else (port, wire.PORT)
        packet = UDP(sport=ports[0], dport=ports[1]) / Raw(wire.encode(message, b"key"))
        self.packet(sent_s, took_s, sender, receiver, packet)

    def segment(self, at_s: float, host: str, ends: tuple[str, str], ports: tuple[int, int], data: bytes) -> None:
        """The next bytes of a TCP stream between two addresses, in one capture; the first call opens it."""
        key = (*ends, *ports)
        tcp = TCP(sport=ports[0], dport=ports[1])
        if key not in self._sequences:
            opening = tcp.copy()
            opening.flags, opening.seq = "S", self._sequences[key] - 1
            self.frame(host, at_s, Ether() / IP(src=ends[0], dst=ends[1]) / opening)
        tcp.flags, tcp.seq = "PA", self._sequences[key]
        self._sequences[key] += len(data)
        self.frame(host, at_s, Ether() / IP(src=ends[0], dst=ends[1]) / tcp / Raw(data))

    def write(self) -> RunDirectory:
        resolved = self.scenario.model_dump(mode="json", by_alias=True)
        environment = {"kernel": "7.2", "commit": None}
        self.run.create(manifest(name=self.scenario.name, environment=environment, scenario=resolved))
        radios = [radio_capture(node.name, turn) for node in self.plan.mobile_nodes for turn in range(len(node.radios))]
        for host in {CONTROLLER, *(host.name for host in self.plan.hosts), *radios, *self._frames}:
            write_pcap(self.run.pcap(host), self._frames.get(host, []))
        for source, events in self._events.items():
            self.run.events_of(source).write_text("".join(json.dumps(event) + "\n" for event in events))
        return self.run

    def finish(self) -> None:
        self.run.finish("ok")


def write_pcap(path: Path, frames: list[tuple[int, bytes]]) -> None:
    """A capture with nanosecond stamps, cut at the snapshot length that runs use."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, SNAP_BYTES, 1))
        for time_ns, frame in sorted(frames, key=lambda frame: frame[0]):
            kept = frame[:SNAP_BYTES]
            file.write(struct.pack("<IIII", time_ns // 10**9, time_ns % 10**9, len(kept), len(frame)) + kept)
