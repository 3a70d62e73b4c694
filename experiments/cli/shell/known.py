"""What the anchors, the registration server and the DNS know of each node: three views of where it can be reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dmmlab.experiments.scenario.identities import node_id
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.nodes.ddns.lookup import Found
from dmmlab.topologies.plan import NetworkPlan

Event = Mapping[str, Any]
HEADS = ("node", "address", "anchor", "serving", "packets to it go", "registration server", "DNS")
_NOTHING = "-"


@dataclass
class Bound:
    """An address as the controller has it: its anchor, and the path of its redirect (empty: none)."""

    anchor: str
    path: tuple[str, ...] = ()


@dataclass
class Anchors:
    """What the controller knows, by its events: bindings by address, and where each mobile node is served."""

    bound: dict[str, Bound] = field(default_factory=dict)
    serving: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Anchors:
        """By the events of the controller, in which nodes have their names."""
        known = cls()
        for event in events:
            kind, address = event["event"], event.get("address", "")
            if kind in ("mn_attached", "mn_relearned"):
                known.serving[event["mn"]] = event["serving"]
            elif kind == "mn_detached":
                known.serving.pop(event["mn"], None)
            elif kind in ("binding_learned", "binding_relearned", "binding_renewed"):
                known.bound.setdefault(address, Bound(event["anchor"])).anchor = event["anchor"]
            elif kind in ("binding_released", "binding_expired"):
                known.bound.pop(address, None)
            elif kind in ("redirect_confirmed", "redirect_removed") and address in known.bound:
                known.bound[address].path = tuple(event["path"])
        return known


@dataclass(frozen=True)
class Registration:
    """What the registration server has of a node: addresses, newest first, the first service's port, until when."""

    addresses: tuple[str, ...]
    port: int
    until_ns: int


def registrations(events: Iterable[Event]) -> dict[str, Registration]:
    """By a node's ID, what the server has of it, by the server's events."""
    known: dict[str, Registration] = {}
    for event in events:
        if event["event"] == "registered":
            until_ns = event["time_ns"] + round(event["lifetime_s"] * 1e9)
            known[event["node"]] = Registration(tuple(event["addresses"]), event["port"], until_ns)
        elif event["event"] in ("deregistered", "expired"):
            known.pop(event["node"], None)
    return known


def table(
    scenario: Scenario,
    plan: NetworkPlan,
    anchors: Anchors,
    registered: Mapping[str, Registration],
    in_dns: Mapping[str, Found],
    now_ns: int,
) -> list[tuple[str, ...]]:
    """A row for each address that anybody knows, under `HEADS`; ``in_dns`` is what a lookup by a node's ID gave."""
    rows: list[tuple[str, ...]] = []
    for node in scenario.ends:
        who = node_id(scenario, node)
        registration, found = registered.get(who), in_dns.get(who)
        own = [address for address in anchors.bound if plan.owners.get(address, ("", ""))[0] == node]
        own += [address for address in plan.addresses(node) if node in scenario.correspondents]
        told = [*(registration.addresses if registration else ()), *(found.addresses if found else ())]
        for address in dict.fromkeys([*own, *told]):
            rows.append(
                (
                    node,
                    address,
                    *_place(node, address, scenario, anchors),
                    _registered(address, registration, now_ns),
                    _resolved(address, found),
                )
            )
        if node in scenario.mobile_nodes and not own and not told:
            rows.append((node, _NOTHING, _NOTHING, anchors.serving.get(node, "nowhere"), *[_NOTHING] * 3))
    return rows


def _place(node: str, address: str, scenario: Scenario, anchors: Anchors) -> tuple[str, str, str]:
    if node in scenario.correspondents:
        return _NOTHING, _NOTHING, "over the core"
    serving = anchors.serving.get(node, "nowhere")
    bound = anchors.bound.get(address)
    if bound is None:
        return "not bound", serving, _NOTHING
    if len(bound.path) > 1:
        return bound.anchor, serving, "redirect " + " → ".join(bound.path)
    return bound.anchor, serving, "direct" if serving == bound.anchor else "to its anchor only"


def _registered(address: str, registration: Registration | None, now_ns: int) -> str:
    if registration is None or address not in registration.addresses:
        return _NOTHING
    which = "newest" if address == registration.addresses[0] else "older"
    return f"{which}, port {registration.port}, {max(0, registration.until_ns - now_ns) / 1e9:.0f} s left"


def _resolved(address: str, found: Found | None) -> str:
    if found is None or address not in found.addresses:
        return _NOTHING
    return f"port {found.port}, TTL {found.ttl_s} s"
