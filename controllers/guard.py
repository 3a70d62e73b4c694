"""Source address validation at the access switches (SAVI, RFC 7039), where the plan says whose radio each port is.

The link layer has authenticated a radio (as IEEE 802.1X does) before its port is there: the plan names it. From such a
port a switch takes what is from that radio's MAC and from an address that is bound to its node, in IP, ARP and
neighbour discovery alike. The first to claim an IPv6 address that nobody has, has it (FCFS SAVI, RFC 6620); IPv4's come
by DHCP (RFC 7513). A plan that names no radios has none of this: whoever is on a link is believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dmmlab.controllers.dhcp import DhcpMessage, mac_text
from dmmlab.controllers.flows import DHCP_BYTES, FAMILIES, SIGHTING_BYTES
from dmmlab.controllers.identity import Identities
from dmmlab.controllers.nd import link_local
from dmmlab.controllers.plan import Plan
from dmmlab.controllers.rulebook import Rulebook
from dmmlab.controllers.rules import (
    ADMIT,
    FORWARD,
    Action,
    Goto,
    Kind,
    Match,
    Rule,
    ToController,
    Value,
    cookie,
    mac_tag,
    match,
)
from dmmlab.controllers.state import Binding, Location, MobileNode, Switch

_ROUTERS, _DHCP, _NO_OTHER_DHCP, _DISCOVERY, _CLAIM, _OWN, _REFUSED = 325, 320, 315, 310, 305, 210, 190
_ND = {"eth_type": 0x86DD, "ip_proto": 58, "icmpv6_code": 0}
_SOLICITATION, _ADVERTISEMENT = ({**_ND, "icmpv6_type": each} for each in (135, 136))
# What a router alone says: advertisements and redirects (RFC 6105), and leases.
_ROUTERS_OWN: tuple[Mapping[str, Value], ...] = (
    *({**_ND, "icmpv6_type": each} for each in (134, 137)),
    {"eth_type": 0x0800, "ip_proto": 17, "udp_src": 67, "udp_dst": 68},
)
_NOBODY, _UNSPECIFIED = "0.0.0.0", "::"


class Guard:
    """What the radios' ports may send; ``book`` takes the rules, an owner a port."""

    def __init__(
        self,
        plan: Plan,
        switches: Mapping[int, Switch],
        nodes: Mapping[str, MobileNode],
        bindings: Mapping[str, Binding],
        identities: Identities,
        book: Rulebook,
    ) -> None:
        self._plan, self._switches, self._nodes, self._bindings = plan, switches, nodes, bindings
        self._identities, self._book = identities, book
        self._radios = {radio.port: radio.mac for node in plan.stations for radio in node}
        self._impostors: set[str] = set()
        for node in plan.stations:
            for radio in node[1:]:
                identities.join(radio.mac, node[0].mac)

    @property
    def on(self) -> bool:
        """Whether anything is checked."""
        return bool(self._radios)

    def admits(self, port: str, radio: str) -> bool:
        """Whether a frame from this MAC may come from a port of this name."""
        return not self.on or self._radios.get(port) == radio

    def hear(self, radio: str, message: DhcpMessage) -> None:
        """What a client has sent from a port of this radio's, to a server that goes by what it says: by its hardware
        address, or by its client id, which is made of one (RFC 2132 section 9.14, RFC 4361 section 6.1).
        """
        named = {message.mac, mac_text((message.client_id or b"")[-6:])} & set(self._radios.values())
        if any(self._identities.of(each) != self._identities.of(radio) for each in named):
            self._impostors.add(radio)

    def leases(self, message: DhcpMessage, held: Binding | None, now_ns: int) -> bool:
        """Whether the address that a server has granted is the client's: not one that another node has, nor any, for as
        long as its port is there, if it has asked in another's name.
        """
        if not self.on:
            return True
        others = held is not None and held.mac != self._identities.of(message.mac)
        lasts = held is not None and (held.expires_ns is None or held.expires_ns > now_ns)
        return message.mac not in self._impostors and not (others and lasts)

    def port(self, switch: Switch, name: str) -> None:
        """Bring the rules of a mobile node's port in line with what is known of it."""
        if not self.on:
            return
        number, radio = switch.ports.get(name), self._radios.get(name)
        if number is None and radio is not None:
            self._impostors.discard(radio)
        rules: list[Rule] = []
        if number is not None:
            mark = cookie(Kind.GUARD, mac_tag(radio) if radio else 0)
            rules += [Rule(ADMIT, _ROUTERS, match(**{**each, "in_port": number}), (), mark) for each in _ROUTERS_OWN]
            # Nothing of a stranger's is copied: a flood of it costs the switch, and nobody else.
            rules.append(Rule(ADMIT, _REFUSED, match(in_port=number), (), mark))
            if radio is not None:
                rules += self._own(switch.plan.dpid, number, radio)
        self._book.assign(("guard", switch.plan.dpid, name), {switch.plan.dpid: rules})

    def switch(self, switch: Switch) -> None:
        """Bring the rules of all of its ports in line."""
        for name in list(switch.ports) if self.on else ():
            if switch.role(name) == "mobile_node" and name != switch.plan.name:
                self.port(switch, name)

    def node(self, mac: str) -> None:
        """The node has another address, or one less, or has been seen: bring its ports in line."""
        for name, radio in self._radios.items():
            if self._identities.of(radio) == mac:
                for switch in self._switches.values():
                    if name in switch.ports:
                        self.port(switch, name)

    def _own(self, dpid: int, number: int, radio: str) -> Iterator[Rule]:
        mac = self._identities.of(radio)
        node, mark = self._nodes.get(mac), cookie(Kind.GUARD, mac_tag(mac))
        seen = node is not None and Location(dpid, number, radio) in node.sightings
        copied: tuple[Action, ...] = () if seen else (ToController(SIGHTING_BYTES),)
        addresses = [each.address for each in self._bindings.values() if each.mac == mac]

        def rule(priority: int, fields: Mapping[str, Value], *actions: Action) -> Rule:
            own: Match = match(**{**fields, "in_port": number, "eth_src": radio})
            return Rule(ADMIT, priority, own, actions, mark)

        six = self._plan.family == "ipv6"
        sources: dict[str, list[str]] = {"ipv4": [] if six else [_NOBODY, *addresses]}
        if six and self._plan.releases:
            sources["ipv6"] = addresses
        for name, mine in sources.items():
            for each in FAMILIES[name].given_back:
                for address in mine:
                    said = {**each, FAMILIES[name].source: address}
                    yield rule(_DHCP, said, ToController(DHCP_BYTES), Goto(FORWARD))
                yield Rule(ADMIT, _NO_OTHER_DHCP, match(**each, in_port=number), (), mark)
        if not six:
            yield rule(_OWN, {"eth_type": 0x0806, "arp_spa": _NOBODY, "arp_sha": radio}, *copied, Goto(FORWARD))
            for address in addresses:
                yield rule(_OWN, {"eth_type": 0x0800, "ipv4_src": address}, *copied, Goto(FORWARD))
                arp: dict[str, Value] = {"eth_type": 0x0806, "arp_spa": address, "arp_sha": radio}
                yield rule(_OWN, arp, *copied, Goto(FORWARD))
            return
        for kind in (_SOLICITATION, _ADVERTISEMENT):
            yield rule(_CLAIM, kind, ToController(SIGHTING_BYTES))  # which passes it on if nobody else has the address
            yield Rule(ADMIT, _CLAIM - 1, match(**kind, in_port=number), (), mark)
        overheard: tuple[Action, ...] = (ToController(SIGHTING_BYTES), Goto(FORWARD))
        yield rule(_DISCOVERY, {**_SOLICITATION, "ipv6_src": _UNSPECIFIED}, *overheard)
        yield rule(_OWN, {"eth_type": 0x86DD, "ip_proto": 58, "ipv6_src": _UNSPECIFIED}, *copied, Goto(FORWARD))
        for address in (link_local(radio), *addresses):
            yield rule(_DISCOVERY, {**_SOLICITATION, "ipv6_src": address}, *overheard)
            yield rule(_DISCOVERY, {**_ADVERTISEMENT, "ipv6_nd_target": address}, *overheard)
            yield rule(_OWN, {"eth_type": 0x86DD, "ipv6_src": address}, *copied, Goto(FORWARD))
