"""The rules that the controller wants in a switch, as pure functions of ports, bindings and paths.

What differs between address families is in one table, :data:`FAMILIES`. Which rules suffice for a redirect was tried
by hand first; docs/redirect.md gives the reason for each.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dmmlab.controllers.paths import Hop, Path
from dmmlab.controllers.plan import SwitchPlan
from dmmlab.controllers.rules import (
    ADMIT,
    FORWARD,
    LEDGER,
    Action,
    Goto,
    Kind,
    Match,
    Normal,
    Rule,
    SetField,
    ToController,
    Value,
    address_tag,
    cookie,
    mac_tag,
    match,
    output,
)

OFPP_LOCAL = 0xFFFFFFFE
OFPP_MAX = 0xFFFFFF00
SIGHTING_BYTES = 128  # enough for the headers that say who and where; the frame itself goes its way uncopied
DHCP_BYTES = 0xFFFF  # OFPCML_NO_BUFFER: the whole message
MAX_TIMEOUT_S = 0xFFFF  # an OpenFlow timeout is 16 bits wide

_DHCP, _INFRASTRUCTURE, _OVERHEARD, _KNOWN, _UNKNOWN = 300, 250, 240, 200, 0
_ON_LINK, _PAIR, _STAYS, _REDIRECT, _FROM_PEER, _DEFAULT = 140, 130, 120, 110, 10, 0


@dataclass(frozen=True)
class Family:
    """How one address family is matched: packets to and from an address, and the question who has it.

    ``on_link`` is what a router says to a host before the host can send: see :func:`pair_rules`. ``stays`` is what a
    host sends from an old address and means for its new link all the same. ``overheard`` is what tells of bindings.
    """

    to_address: Mapping[str, Value]
    destination: str
    source: str
    resolve: Mapping[str, Value]
    target: str
    on_link: tuple[Mapping[str, Value], ...]
    stays: tuple[Mapping[str, Value], ...] = ()
    overheard: tuple[Mapping[str, Value], ...] = ()

    def to(self, address: str, **where: Value) -> Match:
        """Packets to the address."""
        return match(**{**self.to_address, self.destination: address, **where})

    def of(self, address: str, **where: Value) -> Match:
        """Packets from the address."""
        return match(**{**self.to_address, self.source: address, **where})

    def question(self, address: str, **where: Value) -> Match:
        """Address resolution that is about the address."""
        return match(**{**self.resolve, self.target: address, **where})


IPV4 = Family(
    to_address={"eth_type": 0x0800},
    destination="ipv4_dst",
    source="ipv4_src",
    resolve={"eth_type": 0x0806},
    target="arp_tpa",
    on_link=({"eth_type": 0x0806}, {"eth_type": 0x0800, "ip_proto": 17, "udp_src": 67, "udp_dst": 68}),
)
_ND = {"eth_type": 0x86DD, "ip_proto": 58, "icmpv6_code": 0}  # OVS 3.1 gets a match on nd_target wrong without code
_SOLICITATION, _ADVERTISEMENT, _ROUTER_ADVERTISEMENT = ({**_ND, "icmpv6_type": each} for each in (135, 136, 134))
IPV6 = Family(
    to_address={"eth_type": 0x86DD},
    destination="ipv6_dst",
    source="ipv6_src",
    resolve=_SOLICITATION,
    target="ipv6_nd_target",
    on_link=(_SOLICITATION, _ADVERTISEMENT, _ROUTER_ADVERTISEMENT),
    # Linux asks for its new router from the old address, if that is what the packet in hand is from.
    stays=(_SOLICITATION, _ADVERTISEMENT),
    overheard=(_SOLICITATION, _ADVERTISEMENT),
)
FAMILIES = {"ipv4": IPV4, "ipv6": IPV6}


def family_of(address: str) -> Family:
    """The matches for this address's family."""
    return FAMILIES["ipv6" if ":" in address else "ipv4"]


def base(switch: SwitchPlan, ports: Mapping[str, int], family: str = "ipv4") -> list[Rule]:
    """What a switch does for everybody: local traffic by learning, nothing from a peer, copies of what reveals a move.

    ``ports`` is port number by name. The first frame of an unknown sender is copied, not held up.
    """
    mark = cookie(Kind.BASE)
    copy_dhcp = (ToController(DHCP_BYTES), Goto(FORWARD))
    rules = [
        # In from anywhere: a DHCPRELEASE counts where it reaches the anchor, and then it comes from an inter-MR port.
        Rule(ADMIT, _DHCP, match(eth_type=0x0800, ip_proto=17, udp_src=68, udp_dst=67), copy_dhcp, mark),
        Rule(ADMIT, _INFRASTRUCTURE, match(in_port=OFPP_LOCAL), (), mark),
        Rule(ADMIT, _UNKNOWN, match(), (ToController(SIGHTING_BYTES), Goto(FORWARD)), mark),
        Rule(FORWARD, _DEFAULT, match(), (Normal(),), mark),
    ]
    for each in FAMILIES[family].overheard:
        rules.append(Rule(ADMIT, _OVERHEARD, match(**each), (ToController(SIGHTING_BYTES), Goto(FORWARD)), mark))
    router = ports.get(switch.router_port_name)
    if router is not None:
        reply = match(in_port=router, eth_type=0x0800, ip_proto=17, udp_src=67, udp_dst=68)
        rules.append(Rule(ADMIT, _DHCP, reply, copy_dhcp, mark))
        rules.append(Rule(ADMIT, _INFRASTRUCTURE, match(in_port=router), (Goto(FORWARD),), mark))
    for number in sorted({ports[link.port_name] for link in switch.inter_mr if link.port_name in ports}):
        rules.append(Rule(ADMIT, _INFRASTRUCTURE, match(in_port=number), (Goto(FORWARD),), mark))
        rules.append(Rule(FORWARD, _FROM_PEER, match(in_port=number), (), mark))
    return rules


def sighting(port: int, mac: str) -> Rule:
    """The mobile node has been seen at this port: its further frames are no news."""
    return Rule(ADMIT, _KNOWN, match(in_port=port, eth_src=mac), (Goto(FORWARD),), cookie(Kind.SIGHTING, mac_tag(mac)))


def ledger(mac: str, address: str, lease_s: int) -> Rule:
    """The binding, written down in its anchor's switch, which times the lease (0 = for ever, as above 18 hours)."""
    timeout_s = lease_s if lease_s <= MAX_TIMEOUT_S else 0
    return Rule(
        LEDGER,
        1,
        family_of(address).of(address, eth_src=mac),
        (),
        cookie(Kind.BINDING, address_tag(address)),
        timeout_s,
        notify_removal=timeout_s > 0,
    )


def pair_rules(path: Path, mac: str, router: SwitchPlan) -> dict[int, list[Rule]]:
    """Per switch, what carries frames between a mobile node and its old router, whichever address they are about.

    A mobile node that comes back to its anchor asks for its router, or for a lease, and is answered before the
    controller has heard of it. So the anchor gives the on-link answers both ways, along the path and to its own ports:
    sent along the path alone they are lost, and the mobile node waits for a retransmission of half a second and more.
    """
    addresses = [each for each in (router.router_ip, router.router_ip6) if each is not None]
    rules = {hop.dpid: list(_pair(hop, mac, router.router_mac, addresses)) for hop in path.hops}
    mark = cookie(Kind.REDIRECT_PAIR, mac_tag(mac))
    for answer in (answer for address in addresses for answer in family_of(address).on_link):
        fields = match(**{**answer, "in_port": path.anchor.inward, "eth_dst": mac})
        rules[path.anchor.dpid].append(Rule(FORWARD, _ON_LINK, fields, _both_ways(path), mark))
    return rules


def _both_ways(path: Path) -> tuple[Action, ...]:
    return (output(path.anchor.outward, path.anchor.inward), Normal())


def _pair(hop: Hop, mac: str, router_mac: str, addresses: list[str]) -> Iterator[Rule]:
    mark = cookie(Kind.REDIRECT_PAIR, mac_tag(mac))
    outwards = (output(hop.outward, hop.inward),)
    inwards = (output(hop.inward, hop.outward),)
    yield Rule(FORWARD, _PAIR, match(in_port=hop.inward, eth_src=router_mac, eth_dst=mac), outwards, mark)
    yield Rule(FORWARD, _PAIR, match(in_port=hop.outward, eth_src=mac, eth_dst=router_mac), inwards, mark)
    # The mobile node asks by broadcast for its old router, so the pair of MACs is not enough.
    for address in addresses:
        asked = family_of(address).question(address, in_port=hop.outward, eth_src=mac)
        yield Rule(FORWARD, _PAIR, asked, inwards, mark)


def redirect_rules(path: Path, address: str, mac: str, router_mac: str) -> dict[int, list[Rule]]:
    """Per switch, what is about one redirected address, beside :func:`pair_rules`."""
    family = family_of(address)
    mark = cookie(Kind.REDIRECT, address_tag(address))
    anchor, serving = path.anchor, path.serving
    rules: dict[int, list[Rule]] = {}
    for hop in path.hops:
        asked = family.question(address, in_port=hop.inward, eth_src=router_mac)
        outwards = _both_ways(path) if hop is anchor else (output(hop.outward, hop.inward),)
        rules[hop.dpid] = [Rule(FORWARD, _REDIRECT, asked, outwards, mark)]
    delivered: tuple[Action, ...] = (output(anchor.outward, anchor.inward),)
    rules[anchor.dpid].append(Rule(FORWARD, _REDIRECT, family.to(address, in_port=anchor.inward), delivered, mark))
    # The mobile node sends all that it sends to its new default router, also from the old address. Addressed to the
    # old router instead it leaves by the anchor, without a policy route on the mobile node.
    handed_back: tuple[Action, ...] = (SetField("eth_dst", router_mac), output(serving.inward, serving.outward))
    sent = family.of(address, in_port=serving.outward, eth_src=mac)
    rules[serving.dpid].append(Rule(FORWARD, _REDIRECT, sent, handed_back, mark))
    for each in family.stays:
        local = family.of(address, in_port=serving.outward, eth_src=mac, **each)
        rules[serving.dpid].append(Rule(FORWARD, _STAYS, local, (Normal(),), mark))
    return rules


def diverts(rule: Rule, router_port: int | None) -> bool:
    """Whether the rule takes traffic off its ordinary way at the anchor, so that removing it is a change of path."""
    return rule.kind in (Kind.REDIRECT, Kind.REDIRECT_PAIR) and rule.get("in_port") == router_port


def merged(parts: Iterable[Mapping[int, list[Rule]]]) -> dict[int, list[Rule]]:
    """Several sets of rules per switch as one."""
    whole: dict[int, list[Rule]] = {}
    for part in parts:
        for dpid, rules in part.items():
            whole.setdefault(dpid, []).extend(rules)
    return whole
