"""What a server has acknowledged is there, whatever ended it meanwhile."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator

from dmmlab.experiments.methods.base import SERVER
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.scenario.identities import node_id

_RECORD = re.compile(r"^(\S+)\.\s+\d+\s+IN\s+(A|AAAA)\s+(\S+)$")


def registrations(recording: Recording) -> Iterator[str]:
    """The newest address that a node was told is registered, or one that it registered later, is in the database: at
    the end, and whenever the server was started again.
    """
    if not recording.run.bindings.is_file():
        return
    kept = [(event["time_ns"], event["bindings"]) for event in recording.find(SERVER.lower(), "resumed")]
    kept.append((math.inf, json.loads(recording.run.bindings.read_text())))
    for node in recording.scenario.mobile_nodes:
        name = node_id(recording.scenario, node)
        told = recording.find(node, "registered", outcome="ok")
        heard = recording.find(SERVER.lower(), "registered", node=name)
        for at_ns, bindings in kept:
            before = [event for event in told if event["time_ns"] < at_ns]
            if not before:
                continue
            last, addresses = before[-1], bindings.get(name, [])
            later = [each["addresses"][0] for each in heard if last["time_ns"] <= each["time_ns"] < at_ns]
            if addresses[:1] not in [[address] for address in (last["address"], *later)]:
                when = f", at {recording.since_start(at_ns)} s" if isinstance(at_ns, int) else ""
                yield f"{node} was told that {last['address']} is registered; the database has {addresses}{when}"


def dns_updates(recording: Recording) -> Iterator[str]:
    """The address of a node's last acknowledged update is in the zone, unless a later one was on its way."""
    zone = zone_of(recording)
    for node in recording.scenario.mobile_nodes if zone else ():
        told = recording.find(node, "zone_updated")
        acknowledged = [event for event in told if event["outcome"] == "ok"]
        configured = [event["address"] for event in recording.find(node, "address_configured")]
        if not acknowledged or acknowledged[-1]["address"] != configured[-1]:
            continue
        address, there = acknowledged[-1]["address"], zone.get(node_id(recording.scenario, node), [])
        if address not in there:
            yield f"{node} was told that {address} is in the zone; it has {there}"


def zone_of(recording: Recording) -> dict[str, list[str]]:
    """By name, the addresses in the zone at the end; empty if the run has none."""
    found: dict[str, list[str]] = {}
    if recording.run.zone.is_file():
        for line in recording.run.zone.read_text().splitlines():
            if (record := _RECORD.match(line)) is not None:
                found.setdefault(record[1], []).append(record[3])
    return found
