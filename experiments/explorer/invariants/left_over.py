"""Nothing of a fault stays: who was there before is there afterwards, and switches forward by where nodes are."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator

from dmmlab.experiments.records.recording import Recording

_COOKIE, _TABLE = re.compile(r"cookie=0x([0-9a-f]+)"), re.compile(r"table=(\d+)")
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
            if (cookie := _COOKIE.search(line)) is not None and int(cookie[1], 16) >> 56 == _OWN:
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
