"""Nothing of a fault stays: who was there before is there afterwards, and switches forward by where nodes are."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address

from dmmlab.experiments.records.recording import Recording

_COOKIE, _TABLE = re.compile(r"cookie=0x([0-9a-f]+)"), re.compile(r"table=(\d+)")
_MAC, _IP = re.compile(r"dl_src=([0-9a-f:]{17})"), re.compile(r"(?:nw|ipv6)_src=([0-9a-f.:]+)")
_OWN, _SIGHTING, _BINDING = 0xDA, 2, 3  # of a cookie: whose rule, and what it is for (docs/redirect.md)


def nobody_left(recording: Recording) -> Iterator[str]:
    """No process is there that was not there when the scenario began, nor a namespace."""
    if not recording.run.census.is_file():
        return
    census = json.loads(recording.run.census.read_text())
    before, after = census["before"], census["after"]
    for name, number in after["processes"].items():
        if number > before["processes"].get(name, 0):
            yield f"{number} processes {name}; {before['processes'].get(name, 0)} when the scenario began"
    if after["namespaces"] > before["namespaces"]:
        yield f"{after['namespaces']} network namespaces; {before['namespaces']} when the scenario began"


def rules(recording: Recording) -> Iterator[str]:
    """A node is known at the switch where it is and at no other; each of its addresses at its anchor, and no others."""
    scenario, kinds = recording.scenario, Counter[tuple[str, int]]()
    for router in recording.plan.mobile_routers:
        file = recording.run.log / f"{router.switch}.flows"
        for line in file.read_text().splitlines() if file.is_file() else ():
            cookie = _COOKIE.search(line)
            if cookie is not None and int(cookie[1], 16) >> 56 == _OWN and not _damaged(recording, line):
                kinds[router.name, int(cookie[1], 16) >> 48 & 0xFF] += 1
    there = Counter(scenario.moves_of(node)[-1].to for node in scenario.mobile_nodes)
    if scenario.addresses.keep is not None or scenario.addresses.lifetime != "fixed":
        return
    configured = {
        event["address"] for node in scenario.mobile_nodes for event in recording.find(node, "address_configured")
    }
    anchored = Counter(recording.plan.owners[address][1] for address in configured)
    for name in scenario.mobile_routers:
        for kind, what, wanted in ((_SIGHTING, "nodes", there[name]), (_BINDING, "addresses", anchored[name])):
            if kinds[name, kind] != wanted:
                yield f"the switch of {name} knows {kinds[name, kind]} {what}; {wanted} are there"


def _damaged(recording: Recording, rule: str) -> bool:
    """Whether the rule is about a MAC or an address of a node's with one bit changed by a link that does so: an access
    switch has no checksum to tell by, and believes what it hears first.
    """
    faults = recording.scenario.faults
    if not any(fault.impair is not None and fault.impair.corrupt for fault in faults):
        return False
    macs = {int(radio.mac.replace(":", ""), 16) for node in recording.plan.mobile_nodes for radio in node.radios}
    heard = [(int(mac.replace(":", ""), 16), macs) for mac in _MAC.findall(rule)]
    heard += [
        (int(ip_address(one)), {int(ip_address(each)) for each in recording.plan.owners}) for one in _IP.findall(rule)
    ]
    return any(one not in known and any((one ^ each).bit_count() == 1 for each in known) for one, known in heard)
