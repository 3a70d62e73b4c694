"""The rules that the controller wants in a switch, as pure functions of ports, bindings and paths.

What differs between address families is in one table, :data:`FAMILIES`. Which rules suffice for a redirect was tried
by hand first; docs/redirect.md gives the reason for each.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dmmlab.controllers.leaving import ANNOUNCEMENT_PORT, ORDERS
from dmmlab.controllers.nd import DEREGISTRATION
from dmmlab.controllers.paths import Hop, Path
from dmmlab.controllers.plan import Plan, SwitchPlan
from dmmlab.controllers.rules import (
    ADMIT,
    FORWARD,
    LEDGER,
    Action,
    Goto,
    Key,
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
_ON_LINK, _PAIR, _STAYS, _ANSWERED, _REDIRECT, _FROM_PEER, _DEFAULT = 140, 130, 120, 115, 110, 10, 0
_SENT_AT_HOME, _AT_HOME = 106, 105


@dataclass(frozen=True)
class Family:
    """How one address family is matched: packets to and from an address, and the question who has it.

    ``on_link`` is what a router says to a host before the host can send: see :func:`pair_rules`. ``stays`` is what a
    host sends from an old address and means for its new link all the same. ``overheard`` is what tells of bindings,
    ``given_back`` what ends them, ``withheld`` what a router says that its mobile nodes are spared.
    ``hardware`` is where a host's MAC is written inside a message, the first of them in a question; ``teller`` who says
    so, where such messages are not ``overheard``.
    """

    to_address: Mapping[str, Value]
    destination: str
    source: str
    resolve: Mapping[str, Value]
    target: str
    on_link: tuple[Mapping[str, Value], ...]
    hardware: tuple[tuple[Mapping[str, Value], str], ...]
    teller: str | None = None
    stays: tuple[Mapping[str, Value], ...] = ()
    overheard: tuple[Mapping[str, Value], ...] = ()
    given_back: tuple[Mapping[str, Value], ...] = ()
    withheld: tuple[Mapping[str, Value], ...] = ()
    answered: bool = False  # the question who has an address of a node that is not there, by the controller

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
    hardware=(({"eth_type": 0x0806}, "arp_sha"),),
    teller="arp_spa",
    given_back=({"eth_type": 0x0800, "ip_proto": 17, "udp_src": 68, "udp_dst": 67},),
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
    hardware=((_SOLICITATION, "ipv6_nd_sll"), (_ADVERTISEMENT, "ipv6_nd_tll")),
    # Linux asks for its new router from the old address, if that is what the packet in hand is from.
    stays=(_SOLICITATION, _ADVERTISEMENT),
    overheard=(_SOLICITATION, _ADVERTISEMENT),
    given_back=({**_ND, "icmpv6_type": DEREGISTRATION},),
    # An advertisement to all nodes comes at random and wakes them for nothing (RFC 7772): they have solicited theirs.
    withheld=({**_ROUTER_ADVERTISEMENT, "eth_dst": "33:33:00:00:00:01"},),
    answered=True,
)
FAMILIES = {"ipv4": IPV4, "ipv6": IPV6}


def family_of(address: str) -> Family:
    """The matches for this address's family."""
    return FAMILIES["ipv6" if ":" in address else "ipv4"]


def leaving(plan: Plan) -> list[Rule]:
    """What mobile nodes announce is for the controller, and what routers are told comes from it alone."""
    mark, rules = cookie(Kind.BASE), list[Rule]()
    if plan.announced:
        said = match(**FAMILIES[plan.family].to_address, ip_proto=17, udp_dst=ANNOUNCEMENT_PORT)
        rules.append(Rule(ADMIT, _DHCP, said, (ToController(DHCP_BYTES),), mark))
    if plan.buffered:
        rules.append(Rule(ADMIT, _DHCP, match(eth_type=ORDERS), (), mark))
    return rules


def base(switch: SwitchPlan, ports: Mapping[str, int], family: str = "ipv4", releases: bool = False) -> list[Rule]:
    """What a switch does for everybody: local traffic by learning, nothing from a peer, copies of what reveals a move.

    ``ports`` is port number by name. The first frame of an unknown sender is copied, not held up.
    """
    mark = cookie(Kind.BASE)
    copy_dhcp = (ToController(DHCP_BYTES), Goto(FORWARD))
    given_back = (*IPV4.given_back, *(IPV6.given_back if family == "ipv6" and releases else ()))
    rules = [
        # In from anywhere: a release counts where it reaches the anchor, and then it comes from an inter-MR port.
        *(Rule(ADMIT, _DHCP, match(**each), copy_dhcp, mark) for each in given_back),
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
        for each in FAMILIES[family].withheld:
            rules.append(Rule(ADMIT, _DHCP, match(**{**each, "in_port": router}), (), mark))
    for number in sorted({ports[link.port_name] for link in switch.inter_mr if link.port_name in ports}):
        rules.append(Rule(ADMIT, _INFRASTRUCTURE, match(in_port=number), (Goto(FORWARD),), mark))
        rules.append(Rule(FORWARD, _FROM_PEER, match(in_port=number), (), mark))
    return rules


def sighting(port: int, radio: str, mac: str, forward: bool = True) -> Rule:
    """The mobile node ``mac`` has been seen at this port by its radio: its further frames are no news.

    Without ``forward`` they go no further than other rules say (`dmmlab.controllers.guard`).
    """
    mark, actions = cookie(Kind.SIGHTING, mac_tag(mac)), (Goto(FORWARD),) if forward else ()
    return Rule(ADMIT, _KNOWN, match(in_port=port, eth_src=radio), actions, mark)


def ledger(hardware: str, address: str, mac: str, lease_s: int) -> Rule:
    """The binding, written down in its anchor's switch, which times the lease (0 = for ever, as above 18 hours)."""
    timeout_s = lease_s if lease_s <= MAX_TIMEOUT_S else 0
    return Rule(
        LEDGER,
        1,
        family_of(address).of(address, eth_src=hardware),
        (),
        cookie(Kind.BINDING, mac_tag(mac)),
        timeout_s,
        notify_removal=timeout_s > 0,
    )


@dataclass(frozen=True)
class Route:
    """A path, and the mobile node's two names on it.

    ``hardware`` is the MAC that the anchor's router knows it by, ``radio`` its MAC where it is served: the serving
    switch puts one for the other. They differ only if it has changed radios. ``several`` is whether it has more than
    one: then its router may in truth know it by another one's MAC, if it left again too soon to tell, or is back and
    has told the router before the switch.
    """

    path: Path
    hardware: str
    radio: str
    several: bool = False

    def outer(self, hop: Hop) -> str:
        """The mobile node's MAC on the outward side of a hop."""
        return self.radio if hop is self.path.serving else self.hardware

    def outwards(self, hop: Hop) -> tuple[Action, ...]:
        """Send to the mobile node's side."""
        return (*_renamed("eth_dst", self.hardware, self.outer(hop)), output(hop.outward, hop.inward))

    def inwards(self, hop: Hop, *inside: str) -> tuple[Action, ...]:
        """Send to the anchor's side; ``inside`` are the fields of the message that have the MAC too."""
        renamed = [each for name in ("eth_src", *inside) for each in _renamed(name, self.outer(hop), self.hardware)]
        return (*renamed, output(hop.inward, hop.outward))

    def from_anchor(self) -> tuple[Action, ...]:
        """Send from the anchor along the path and to the anchor's own ports."""
        anchor = self.path.anchor
        return self.outwards(anchor) if len(self.path.hops) == 1 else (*self.outwards(anchor), Normal())


def _renamed(name: str, old: str, new: str) -> tuple[Action, ...]:
    return () if old == new else (SetField(name, new),)


def pair_rules(routes: Iterable[Route], router: SwitchPlan, radios: Iterable[str] = ()) -> dict[int, list[Rule]]:
    """Per switch, what carries frames between a mobile node and its old router, whichever address they are about.

    ``routes`` are those of all its addresses from this router: they differ in the hardware address at most.

    A mobile node that comes back to its anchor asks for its router, or for a lease, and is answered before the
    controller has heard of it. So the anchor gives the on-link answers both ways, along the path and to its own ports:
    sent along the path alone they are lost, and the mobile node waits for a retransmission of half a second and more.
    It may come back by another of its ``radios``, and is answered by that one's MAC.
    """
    addresses = [each for each in (router.router_ip, router.router_ip6) if each is not None]
    rules: dict[tuple[int, Key], Rule] = {}
    for route in sorted(set(routes), key=lambda each: each.hardware):
        mark = cookie(Kind.REDIRECT_PAIR, mac_tag(route.hardware))
        for hop in route.path.hops:
            for rule in (
                *_down(route, hop, router, addresses, mark, radios),
                *_up(route, hop, router, addresses, mark),
            ):
                # One radio, two hardware addresses: either will do inwards, for the router goes by the IP address.
                rules.setdefault((hop.dpid, rule.key), rule)
    whole: dict[int, list[Rule]] = {}
    for (dpid, _), rule in rules.items():
        whole.setdefault(dpid, []).append(rule)
    return whole


def _down(
    route: Route, hop: Hop, router: SwitchPlan, addresses: list[str], mark: int, radios: Iterable[str]
) -> Iterator[Rule]:
    fields = match(in_port=hop.inward, eth_src=router.router_mac, eth_dst=route.hardware)
    yield Rule(FORWARD, _PAIR, fields, route.outwards(hop), mark)
    if hop is route.path.anchor:
        for answer in (answer for address in addresses for answer in family_of(address).on_link):
            away = len(route.path.hops) > 1
            for mac in dict.fromkeys((route.hardware, *radios)) if away else (route.hardware,):
                fields = match(**{**answer, "in_port": hop.inward, "eth_dst": mac})
                yield Rule(FORWARD, _ON_LINK, fields, route.from_anchor(), mark)


def _up(route: Route, hop: Hop, router: SwitchPlan, addresses: list[str], mark: int) -> Iterator[Rule]:
    """Back at its anchor by another radio a mobile node is heard with that one's MAC, so that its router learns it.
    What it sends from an address of another anchor's goes there all the same, by that one's rules.
    """
    away = len(route.path.hops) > 1
    fields: dict[str, Value] = {"in_port": hop.outward, "eth_src": route.outer(hop)}
    to_router = {**fields, "eth_dst": router.router_mac}
    yield Rule(FORWARD, _PAIR if away else _AT_HOME, match(**to_router), route.inwards(hop), mark)
    for family in {address: family_of(address) for address in addresses}.values():
        for message, inside in family.hardware if away and route.outer(hop) != route.hardware else ():
            yield Rule(FORWARD, _ON_LINK, match(**{**message, **to_router}), route.inwards(hop, inside), mark)
    # The mobile node asks by broadcast for its old router, so the pair of MACs is not enough.
    for address in addresses:
        family = family_of(address)
        asked = family.question(address, **fields)
        learned = (family.hardware[0][1],) if away else ()
        yield Rule(FORWARD, _PAIR, asked, route.inwards(hop, *learned), mark)


def redirect_rules(route: Route, address: str, router_mac: str) -> dict[int, list[Rule]]:
    """Per switch, what is about one redirected address, beside :func:`pair_rules`."""
    family = family_of(address)
    mark = cookie(Kind.REDIRECT, address_tag(address))
    anchor, serving = route.path.anchor, route.path.serving
    rules: dict[int, list[Rule]] = {}
    for hop in route.path.hops:
        if family.answered and serving is not anchor:
            rules[hop.dpid] = []
            continue
        asked = family.question(address, in_port=hop.inward, eth_src=router_mac)
        answer: tuple[Action, ...] = (output(hop.outward, hop.inward),)
        if hop is anchor and hop is not serving:
            answer = (*answer, Normal())
        rules[hop.dpid] = [Rule(FORWARD, _REDIRECT, asked, answer, mark)]
    delivered = family.to(address, in_port=anchor.inward)
    named = (SetField("eth_dst", route.outer(anchor)), output(anchor.outward, anchor.inward))
    outwards = named if route.several else route.outwards(anchor)
    rules[anchor.dpid].append(Rule(FORWARD, _REDIRECT, delivered, outwards, mark))
    # The mobile node sends all that it sends to its new default router, also from the old address. Addressed to the
    # old router instead it leaves by the anchor, without a policy route on the mobile node.
    sent: dict[str, Value] = {"in_port": serving.outward, "eth_src": route.radio}
    handed_back = (SetField("eth_dst", router_mac), *route.inwards(serving))
    priority = _SENT_AT_HOME if serving is anchor else _REDIRECT
    rules[serving.dpid].append(Rule(FORWARD, priority, family.of(address, **sent), handed_back, mark))
    if serving is anchor and family.teller:
        # At home by another radio, by which its router does not know it yet: it does when that radio has said so.
        told, own = family.hardware[0]
        said = match(**{**told, family.teller: address, own: route.radio, **sent})
        rules[anchor.dpid].append(Rule(ADMIT, _OVERHEARD, said, (ToController(SIGHTING_BYTES), Goto(FORWARD)), mark))
    for each in family.stays:
        rules[serving.dpid].append(Rule(FORWARD, _STAYS, family.of(address, **sent, **each), (Normal(),), mark))
    return rules


def answered(address: str, router_port: int) -> Rule:
    """At the anchor of a node that is not there: its router's question for the address is for the controller."""
    fields = family_of(address).question(address, in_port=router_port)
    mark = cookie(Kind.REDIRECT, address_tag(address))
    return Rule(FORWARD, _ANSWERED, fields, (ToController(SIGHTING_BYTES),), mark)


def diverts(rule: Rule, router_port: int | None) -> bool:
    """Whether the rule takes traffic off its ordinary way at the anchor, so that removing it is a change of path."""
    return rule.kind in (Kind.REDIRECT, Kind.REDIRECT_PAIR) and rule.get("in_port") in (None, router_port)
