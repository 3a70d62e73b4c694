"""What a scenario has beside nodes, links and timeline, in its file's words: the keys that say how things are done.

A key that is a section of its own (`addresses`, `registration` …) has a line with all that is in it, given or not.
"""

from __future__ import annotations

from collections.abc import Iterator

from dmmlab.experiments.methods.base import DDNS, SERVER
from dmmlab.experiments.scenario.identities import node_id
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.section import Section
from dmmlab.nodes.orders import SERVICES

HEADS = ("key", "is")


def settings(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Rows under `HEADS`."""
    yield "family", scenario.family
    yield "redirect", "on" if scenario.redirect else "off"
    written = scenario.model_dump(mode="json", by_alias=True)
    for name in type(scenario).model_fields:
        if name == "costs":
            given = ", ".join(f"{key} {time.words}" for key, time in scenario.costs.given.items())
            yield name, given or "not given: what programs compute takes no time"
        elif isinstance(getattr(scenario, name), Section):
            yield name, ", ".join(f"{key} {_text(value)}" for key, value in written[name].items())
    services = {**SERVICES, **scenario.more_services}
    yield "services", ", ".join(f"{name} at port {port}" for name, port in services.items())
    yield "discovery", f"{scenario.discovery}: {_DISCOVERY[scenario.discovery]}"
    if scenario.needs(SERVER) or scenario.needs(DDNS):
        given = ", labels of a ledger" if scenario.identities else ""
        ids = ", ".join(f"{name} {node_id(scenario, name)}" for name in scenario.ends)
        yield f"identities{given}", ids
    mobile = [_mobile(scenario, name) for name in scenario.mobile_nodes if name in scenario.openers]
    yield "mobile correspondents", ", ".join(mobile) or "none: hosts open all sessions"


_DISCOVERY = {
    "configuration": "nodes are told of the servers and of each other's IDs",
    "dns": "nodes look the registration server up (SRV)",
    "dns-sd": "nodes look the registration server, the DDNS server and each other's IDs up (RFC 6763)",
}


def _mobile(scenario: Scenario, name: str) -> str:
    moves = len(scenario.moves_of(name)) - 1
    return f"{name} ({moves} movement{'s' * (moves != 1)})"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "not given" if value is None else str(value)
