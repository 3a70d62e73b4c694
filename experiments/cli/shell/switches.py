"""What the access switches hold, in the words of the field: whose anchor they are, whom they serve, what they redirect.

A rule says by its cookie what it is for (`controllers.rules.Kind`); here rules that are for one address of one node
become a line.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dmmlab.controllers.rules import Kind, address_tag, is_own, mac_tag
from dmmlab.topologies.plan import MobileRouter, NetworkPlan

HEADS = ("switch", "role", "node", "address", "what it does", "rules", "packets")
_NOTHING = "-"
_FIELD = re.compile(r'([a-z0-9_]+)="?([^, "]+)')
_ADDRESS_TO = ("nw_dst", "ipv6_dst")
_ADDRESS_OF = ("nw_src", "ipv6_src")


@dataclass(frozen=True)
class Entry:
    """A flow entry as ``ovs-ofctl --names dump-flows`` has it."""

    cookie: int
    packets: int
    left_s: int | None
    match: Mapping[str, str]
    actions: str

    @property
    def kind(self) -> Kind | None:
        """What it is for; None of a rule that is not the controller's."""
        return Kind(self.cookie >> 48 & 0xFF) if is_own(self.cookie) else None

    @property
    def tag(self) -> int:
        """Whose it is."""
        return self.cookie & ((1 << 48) - 1)


def entries(dump: str) -> Iterator[Entry]:
    """The entries in the output of ``ovs-ofctl --names dump-flows``."""
    for line in dump.splitlines():
        if "cookie=" not in line:
            continue
        head, _, actions = line.partition(" actions=")
        stats, _, match = head.strip().rpartition(" ")
        known, fields = dict(_FIELD.findall(stats)), dict(_FIELD.findall(match))
        timeout = known.get("hard_timeout")
        left_s = None if timeout is None else round(int(timeout) - float(known["duration"].removesuffix("s")))
        yield Entry(int(known["cookie"], 16), int(known["n_packets"]), left_s, fields, actions)


def table(plan: NetworkPlan, dumps: Mapping[str, str]) -> list[tuple[str, ...]]:
    """A row under `HEADS` for what each switch does for an address; ``dumps`` is what each switch said."""
    rows: list[tuple[str, ...]] = []
    for router in plan.mobile_routers:
        if router.switch in dumps:
            rows += _switch(plan, router, list(entries(dumps[router.switch])))
    return rows


def _switch(plan: NetworkPlan, router: MobileRouter, found: list[Entry]) -> Iterator[tuple[str, ...]]:
    where = f"{router.switch} ({router.name})"
    nodes = {mac_tag(node.mac): node.name for node in plan.mobile_nodes}
    addresses = {address_tag(address): address for address in plan.owners}
    groups: dict[tuple[Kind | None, int], list[Entry]] = defaultdict(list)
    for entry in found:
        groups[entry.kind, entry.tag].append(entry)
    for (kind, tag), group in sorted(groups.items(), key=lambda item: (item[0][0] or 0, item[0][1])):
        counts = str(len(group)), str(sum(entry.packets for entry in group))
        match kind:
            case Kind.SIGHTING:
                port = group[0].match.get("in_port", "?")
                yield (where, "serving", nodes.get(tag, "?"), _NOTHING, f"sees it at port {port}", *counts)
            case Kind.BINDING:
                yield from _bindings(where, nodes.get(tag, "?"), group)
            case Kind.REDIRECT:
                address = addresses.get(tag, "?")
                node, anchor = plan.owners.get(address, ("?", "?"))
                role, does = _redirect(plan, router, anchor, group)
                yield (where, role, node, address, does, *counts)
            case Kind.REDIRECT_PAIR:
                node = nodes.get(tag, "?")
                does = f"carries the frames between {node} and {_anchors(plan, group)}, an anchor that it has left"
                yield (where, "redirect", node, _NOTHING, does, *counts)
            case Kind.GUARD:
                node = nodes.get(tag, "?")
                yield (where, "serving", node, _NOTHING, f"lets {node} send from its own addresses alone", *counts)
            case Kind.BASE:
                yield (
                    where,
                    "all",
                    _NOTHING,
                    _NOTHING,
                    "local traffic by learning; copies to the controller what is new",
                    *counts,
                )
            case None:
                yield (where, "others", _NOTHING, _NOTHING, "not the controller's", *counts)


def _bindings(where: str, node: str, group: Iterable[Entry]) -> Iterator[tuple[str, ...]]:
    for entry in group:
        address = next((entry.match[name] for name in _ADDRESS_OF if name in entry.match), "?")
        lease = "" if entry.left_s is None else f", lease {entry.left_s} s left"
        yield (where, "anchor", node, address, f"the address is from here{lease}", "1", str(entry.packets))


def _redirect(plan: NetworkPlan, router: MobileRouter, anchor: str, group: Iterable[Entry]) -> tuple[str, str]:
    """The switch's part in the redirect of an address, and what it does with its packets."""
    peers = {port: link.routers[1 - end] for link in plan.inter_mr for end, port in enumerate(link.ports)}
    to = [entry for entry in group if any(name in entry.match for name in _ADDRESS_TO)]
    of = [entry for entry in group if any(name in entry.match for name in _ADDRESS_OF)]
    if router.name == anchor:
        following = {peers[port] for entry in to for port in _ports(entry.actions) if port in peers}
        return "anchor", f"redirects packets to it to {', '.join(sorted(following)) or 'its radio'}"
    back = {peers[port] for entry in of for port in _ports(entry.actions) if port in peers}
    if back:
        return "serving", f"sends packets from it back to its anchor {anchor}, by {', '.join(sorted(back))}"
    return "transit", f"carries it between its anchor {anchor} and where it is served"


def _anchors(plan: NetworkPlan, group: Iterable[Entry]) -> str:
    """The mobile routers that rules for a node's frames name by their MACs."""
    names = {router.access_mac: router.name for router in plan.mobile_routers}
    macs = (entry.match.get(end) for entry in group for end in ("dl_src", "dl_dst"))
    return ", ".join(sorted({names[mac] for mac in macs if mac in names}))


def _ports(actions: str) -> list[str]:
    return [word.strip('"') for word in re.findall(r'output:("?[\w-]+"?)', actions)]
