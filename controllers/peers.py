"""Rules for mobile nodes that are on an anchor's link and speak to a node that has left it.

What such a peer sends goes to the MAC that it knows, or that it asks for, and no router sees it: so the anchor's switch
hands it to the anchor's router, whose copy the redirect takes along, and answers the question itself, as a home agent
does (proxy ARP, RFC 5944 section 4.6). A scenario in which no two mobile nodes speak has none of this.
"""

from __future__ import annotations

from dmmlab.controllers.flows import Route, family_of
from dmmlab.controllers.plan import Plan, SwitchPlan
from dmmlab.controllers.rules import (
    FORWARD,
    Copy,
    Kind,
    Normal,
    Output,
    OutputInPort,
    Rule,
    SetField,
    address_tag,
    cookie,
    match,
)

_PEER = 100  # below what concerns the anchor's router, above what comes from other switches
_BY_ROUTER = 101
_REQUEST, _REPLY = 1, 2  # of ARP (RFC 826)


def peer_rules(route: Route, address: str, router: SwitchPlan) -> list[Rule]:
    """What the anchor's switch does about a redirected address for the anchor's other nodes.

    IPv6 has the first of them only: there a router that announces its prefix as off-link is sent everything.
    """
    rules = [_by_the_router(address, router, route.path.anchor.inward)]
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
    return [*rules, Rule(FORWARD, _PEER, question, answer, _mark(address))]


def by_any_radio(plan: Plan, address: str, router: SwitchPlan, router_port: int | None) -> list[Rule]:
    """The same about an address that is not redirected, in IPv4, where nodes may have several radios: a peer that was
    away when the node came home by another one, and told its router, goes on with the MAC that it knows.
    """
    if router_port is None or not (plan.peers and plan.several_radios and plan.family == "ipv4"):
        return []
    delivered = Rule(
        FORWARD, _BY_ROUTER, family_of(address).to(address, in_port=router_port), (Normal(),), _mark(address)
    )
    return [_by_the_router(address, router, router_port), delivered]


def _by_the_router(address: str, router: SwitchPlan, router_port: int) -> Rule:
    to_router = (SetField("eth_dst", router.router_mac), Output(router_port))
    return Rule(FORWARD, _PEER, family_of(address).to(address), to_router, _mark(address))


def _mark(address: str) -> int:
    return cookie(Kind.REDIRECT, address_tag(address))
