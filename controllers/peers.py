"""Rules for mobile nodes that are on an anchor's link and speak to a node that has left it.

What such a peer sends goes to the MAC that it knows, or that it asks for, and no router sees it: so the anchor's switch
hands it to the anchor's router, whose copy the redirect takes along, and answers the question itself, as a home agent
does (proxy ARP, RFC 5944 section 4.6). A scenario in which no two mobile nodes speak has none of this.
"""

from __future__ import annotations

from dmmlab.controllers.flows import Route, family_of
from dmmlab.controllers.plan import SwitchPlan
from dmmlab.controllers.rules import (
    FORWARD,
    Copy,
    Kind,
    Output,
    OutputInPort,
    Rule,
    SetField,
    address_tag,
    cookie,
    match,
)

_PEER = 100  # below what concerns the anchor's router, above what comes from other switches
_DELIVERED = 108  # below what is redirected, above what hands to that router all that a node sends at home
_REQUEST, _REPLY = 1, 2  # of ARP (RFC 826)


def peer_rules(route: Route, address: str, router: SwitchPlan) -> list[Rule]:
    """What the anchor's switch does about a redirected address for the anchor's other nodes.

    IPv6 has the first of them only: there a router that announces its prefix as off-link is sent everything.
    """
    anchor, mark = route.path.anchor, cookie(Kind.REDIRECT, address_tag(address))
    if len(route.path.hops) == 1:
        return [delivered(address, route.radio, anchor.outward)]
    to_router = (SetField("eth_dst", router.router_mac), Output(anchor.inward))
    rules = [Rule(FORWARD, _PEER, family_of(address).to(address), to_router, mark)]
    if ":" in address:
        return rules
    question = match(eth_type=0x0806, arp_op=_REQUEST, arp_tpa=address)
    answer = (
        Copy("eth_src", "eth_dst", 48),
        SetField("eth_src", router.router_mac),
        SetField("arp_op", _REPLY),
        Copy("arp_sha", "arp_tha", 48),
        SetField("arp_sha", route.hardware),
        Copy("arp_spa", "arp_tpa", 32),
        SetField("arp_spa", address),
        OutputInPort(),
    )
    return [*rules, Rule(FORWARD, _PEER, question, answer, mark)]


def delivered(address: str, radio: str, port: int) -> Rule:
    """To a node that is at its anchor, by whichever MAC: a peer that was away when the node came home by another radio,
    and told all who were there, goes on with the one that it knows.
    """
    mark = cookie(Kind.REDIRECT, address_tag(address))
    return Rule(FORWARD, _DELIVERED, family_of(address).to(address), (SetField("eth_dst", radio), Output(port)), mark)
