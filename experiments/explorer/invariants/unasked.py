"""What servers hold was said by whom it is about."""

from __future__ import annotations

import json
from collections.abc import Iterator

from dmmlab.experiments.explorer.invariants.acknowledged import zone_of
from dmmlab.experiments.methods.base import SERVER
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.scenario.identities import node_id


def nothing_unregistered(recording: Recording) -> Iterator[str]:
    """Each address in the database and in the zone, and each that was ever in the database, is one that its node has
    had.
    """
    bindings = json.loads(recording.run.bindings.read_text()) if recording.run.bindings.is_file() else {}
    zone = zone_of(recording)
    for node in recording.scenario.ends:
        if node in recording.scenario.mobile_nodes:
            had = {event["address"] for event in recording.find(node, "address_configured")}
        else:
            had = {str(recording.plan.host(node).address.ip)}
        name = node_id(recording.scenario, node)
        ever = {
            address
            for event in recording.find(SERVER.lower(), "registered", node=name)
            for address in event["addresses"]
        }
        for where, addresses in (("database", {*ever, *bindings.get(name, [])}), ("zone", zone.get(name, []))):
            if unknown := set(addresses) - had:
                yield f"the {where} has, or had, {', '.join(sorted(unknown))} for {node}, which never had that"


def one_binding_a_node(recording: Recording) -> Iterator[str]:
    """An address is that of one node; and the zone has one address a node, unless old ones are kept there."""
    bindings = json.loads(recording.run.bindings.read_text()) if recording.run.bindings.is_file() else {}
    owners: dict[str, str] = {}
    for name, addresses in bindings.items():
        for address in addresses:
            if owners.setdefault(address, name) != name:
                yield f"{address} is registered for {owners[address]} and for {name}"
    nodes = {node_id(recording.scenario, node) for node in recording.scenario.mobile_nodes}
    for name, addresses in zone_of(recording).items():
        if name in nodes and len(addresses) > 1 and recording.scenario.ddns.old_address == "remove":
            yield f"the zone has {len(addresses)} addresses for {name}: {', '.join(addresses)}"
