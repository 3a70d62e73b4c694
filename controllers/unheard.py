"""Who came to a port while its switch had no controller: whose radio it is, and which addresses it has.

What tells of both, a DHCP exchange or neighbour discovery, has been missed, and may not come again before half a lease
is over. So the controller goes on reading the headers of what is sent there, as a source address validation device does
that has lost its bindings (data snooping, RFC 7513 section 7): an address that is bound tells whose radio it is, one of
the anchor's own that is not bound is. No lease is known of that one until it is renewed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from dmmlab.controllers.dhcp import mac_text
from dmmlab.controllers.state import Binding, Location, MobileNode, Switch
from dmmlab.controllers.updates import NS

LISTENS_NS = 10 * NS  # at least: what is sent from older addresses tells more, and sessions are not always busy
_ETHERNET = 14
_ARP, _IPV4, _IPV6 = b"\x08\x06", b"\x08\x00", b"\x86\xdd"
Port = tuple[int, int]  # datapath id, number


class Unheard:
    """The ports that are listened to, each with the time (ns) since when; ``family`` is the network's."""

    def __init__(self, nodes: Mapping[str, MobileNode], bindings: Mapping[str, Binding], family: str) -> None:
        self._nodes, self._bindings, self._family = nodes, bindings, family
        self._since: dict[Port, int] = {}
        self._snooped: set[str] = set()  # addresses of which nothing else tells whose they are

    def listens(self, at: Location) -> bool:
        """Whether what is sent there is to be copied, although somebody has been seen."""
        return (at.dpid, at.port) in self._since

    def switch_reported(self, switch: Switch, now_ns: int) -> list[MobileNode]:
        """The switch has said what it knows: listened to is where it has a mobile node's port and knows of nobody.

        In IPv4 also where it knows who is there and of no address from here; in IPv6 neighbour discovery will tell of
        that. Returns the nodes that are known to be where it is listened to.
        """
        dpid = switch.plan.dpid
        there = {port: name for name, port in switch.ports.items() if name != switch.plan.name}
        ports = {(dpid, port) for port, name in there.items() if switch.role(name) == "mobile_node"}
        seen = [node for node in self._nodes.values() if any((at.dpid, at.port) in ports for at in node.sightings)]
        known = {
            (at.dpid, at.port)
            for node in seen
            if self._family == "ipv6" or self._at_home(node, dpid)
            for at in node.sightings
        }
        for port in ports - known:
            self._since.setdefault(port, now_ns)
        return [node for node in seen if any(self.listens(at) for at in node.sightings)]

    def port_gone(self, port: Port) -> None:
        """There is no such port any more."""
        self._since.pop(port, None)

    def deadline_ns(self) -> int | None:
        """When enough may have been heard somewhere; None if no time tells."""
        return min((self._since[at.dpid, at.port] + LISTENS_NS for at, _ in self._at_home_there()), default=None)

    def settled(self, now_ns: int) -> list[MobileNode]:
        """The nodes of which enough has been heard where they are: nobody listens there any more."""
        done = [
            (at, node) for at, node in self._at_home_there() if self._since[at.dpid, at.port] + LISTENS_NS <= now_ns
        ]
        for at, _ in done:
            self._since.pop((at.dpid, at.port), None)
        return [node for _, node in done]

    def _at_home_there(self) -> list[tuple[Location, MobileNode]]:
        if not self._since:
            return []
        seen = ((at, node) for node in self._nodes.values() for at in node.sightings if self.listens(at))
        return [(at, node) for at, node in seen if self._at_home(node, at.dpid)]

    def snooped(self, address: str) -> None:
        """That the address is bound is known by what was sent from it alone."""
        self._snooped.add(address)

    def stranger(self, mac: str) -> bool:
        """Whether nothing but what it has sent tells of the node: it may turn out to be another one's radio."""
        return all(each.address in self._snooped for each in self._bindings.values() if each.mac == mac)

    def _at_home(self, node: MobileNode, dpid: int) -> bool:
        return any((each.mac, each.anchor) == (node.mac, dpid) for each in self._bindings.values())


def is_arp(frame: bytes) -> bool:
    """Whether who hears it learns the sender's MAC."""
    return frame[12:14] == _ARP


def source_address(frame: bytes) -> str | None:
    """The address that an untagged Ethernet frame is from: its IP source, or of ARP the sender's; None if it has none.

    An ARP message that names another MAC than the frame's as the sender's has none.
    """
    kind, body = frame[12:14], frame[_ETHERNET:]
    if kind == _ARP and len(body) >= 28 and mac_text(body[8:14]) == mac_text(frame[6:12]):
        packed = body[14:18]
    elif kind == _IPV4 and len(body) >= 20:
        packed = body[12:16]
    elif kind == _IPV6 and len(body) >= 40:
        packed = body[8:24]
    else:
        return None
    return str(ipaddress.ip_address(packed)) if any(packed) else None
