"""What each part of a run is told: the controller's plan, the nodes' accounts and keys, the agents' orders."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

from dmmlab.controllers.plan import InterMrPort, Plan, Station, SwitchPlan
from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import DDNS, RESOLVER, SERVER
from dmmlab.experiments.scenario import program_ports
from dmmlab.experiments.scenario.identities import ZONE, node_id
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of
from dmmlab.nodes.orders import SERVICES, Account, CorrespondentFile, MobileNodeFile, Order, Side, ZoneKey
from dmmlab.nodes.programs.program import Program
from dmmlab.nodes.registration import wire
from dmmlab.topologies.plan import MobileRouter, NetworkPlan


def redirect_plan(plan: NetworkPlan, scenario: Scenario, releases: bool = False) -> Plan:
    """What the controller is told of the network: switches, routers and inter-MR ports, and nothing of any MN but
    whether they are peers of each other, give addresses back without DHCP, announce that they leave, have several
    radios, and whether routers keep packets for them; and, where source addresses are checked, whose radio each port
    is.
    """
    return Plan(
        tuple(_switch_plan(plan, router) for router in plan.mobile_routers),
        plan.family,
        scenario.peers,
        releases,
        scenario.handover.announce is not None,
        scenario.handover.buffer,
        any(len(node.radios) > 1 for node in plan.mobile_nodes),
        tuple(tuple(Station(radio.port, radio.mac) for radio in node.radios) for node in plan.mobile_nodes)
        if scenario.addresses.guard
        else (),
    )


def _switch_plan(plan: NetworkPlan, router: MobileRouter) -> SwitchPlan:
    ports = [
        InterMrPort(link.ports[end], plan.mobile_router(link.routers[1 - end]).dpid, link.wire.delay_s)
        for link in plan.inter_mr
        for end in (0, 1)
        if link.routers[end] == router.name
    ]
    ports += [
        InterMrPort(tunnel.ports[end], plan.mobile_router(tunnel.routers[1 - end]).dpid, tunnel.delay_s)
        for tunnel in plan.tunnels
        for end in (0, 1)
        if tunnel.routers[end] == router.name
    ]
    six = "6" if plan.family == "ipv6" else ""
    addresses = {f"router_ip{six}": str(router.router_id), f"prefix{six}": str(router.prefix)}
    return SwitchPlan(
        dpid=router.dpid,
        name=router.switch,
        mobile_router=router.name,
        router_mac=router.access_mac,
        router_port_name=router.router_port,
        inter_mr=tuple(ports),
        **addresses,
    )


def secret(scenario: Scenario, purpose: str) -> bytes:
    """A key of 256 bits: the same in every run of a seed, so that runs are the same to the byte."""
    return hashlib.sha256(f"{scenario.seed}/{purpose}".encode()).digest()


def account_of(scenario: Scenario, plan: NetworkPlan, name: str) -> Account | None:
    """Node ``name``'s account at the registration server; None in a scenario without one."""
    if not scenario.needs(SERVER):
        return None
    key = secret(scenario, f"account/{name}").hex()
    control, lifetime_s = scenario.registration.control, scenario.registration.lifetime
    server, after_s = str(plan.host(SERVER).address.ip), scenario.registration.delay_s
    return Account(server, wire.PORT, node_id(scenario, name), key, control, lifetime_s, after_s)


def tsig_secret(scenario: Scenario, node: str) -> str:
    """The TSIG key of mobile node ``node``, base64."""
    return base64.b64encode(secret(scenario, f"tsig/{node}")).decode()


def services_of(scenario: Scenario, node: str) -> dict[str, int]:
    """The ports of all services that ``node`` has, of programs too."""
    return {**SERVICES, **_more_services(scenario, node)}


def _more_services(scenario: Scenario, node: str) -> dict[str, int]:
    """Those beside the usual ones."""
    return {**scenario.more_services, **program_ports.programs_at(sessions_of(scenario), node)}


def _named_services(scenario: Scenario, node: str) -> dict[str, int]:
    """Those that somebody looks up in the DNS, beside the one that is always there."""
    asked = {s.service for s in sessions_of(scenario) if DDNS in METHODS[s.method].needs} | scenario.kept_in_dns
    return {name: port for name, port in services_of(scenario, node).items() if name in asked - {"echo"}}


def _zone_key(scenario: Scenario, plan: NetworkPlan, node: str) -> ZoneKey | None:
    if not scenario.needs(DDNS):
        return None
    return ZoneKey(
        server=str(plan.host(DDNS).address.ip),
        zone=ZONE,
        name=node_id(scenario, node),
        secret=tsig_secret(scenario, node),
        ttl_s=round(scenario.ddns.ttl),
        keep_old=scenario.ddns.old_address == "keep",
        services=_named_services(scenario, node),
    )


def _resolver(scenario: Scenario, plan: NetworkPlan) -> str | None:
    return str(plan.host(RESOLVER).address.ip) if scenario.needs(RESOLVER) else None


def _browse(scenario: Scenario) -> str | None:
    return ZONE if scenario.discovery == "dns-sd" else None


def mobile_node_file(
    scenario: Scenario, plan: NetworkPlan, node: str, desk: str | None = None
) -> MobileNodeFile | None:
    """Whom mobile node ``node`` is to tell of its addresses, and where its programs ask it; None if nobody."""
    account, zone = account_of(scenario, plan, node), _zone_key(scenario, plan, node)
    if account is None and zone is None:
        return None
    discover, resolver = ZONE if scenario.discovery != "configuration" else None, _resolver(scenario, plan)
    return MobileNodeFile(
        account,
        zone,
        discover,
        resolver,
        _more_services(scenario, node),
        _browse(scenario),
        desk if account is not None else None,
        scenario.family,
    )


def known_address(scenario: Scenario, plan: NetworkPlan, session: SessionSpec) -> str:
    """The address that an opener with no mechanism knows: a host's own, a mobile node's of ``anchor``, or its first."""
    if session.mn in scenario.correspondents:
        return str(plan.host(session.mn).address.ip)
    anchor = session.anchor or scenario.moves_of(session.mn)[0].to
    return str(plan.mobile_node(session.mn).addresses[anchor])


def correspondent_file(
    scenario: Scenario,
    plan: NetworkPlan,
    name: str,
    start_ns: int,
    desk: str | None = None,
    client: Callable[[SessionSpec], Program | None] = lambda _: None,
    counter: str | None = None,
) -> CorrespondentFile:
    """What ``name`` is to open, when the scenario starts at ``start_ns`` (ns since the epoch).

    With ``desk`` it is a mobile node, whose agent has the node's account: what is asked goes there. ``client`` gives
    the program that a session runs at who opens it. At ``counter`` it takes further orders.
    """
    mine = [session for session in sessions_of(scenario) if session.cn == name]
    methods = scenario.methods_of(name)
    return CorrespondentFile(
        orders=tuple(order_of(scenario, plan, session, start_ns, client(session)) for session in mine),
        methods={
            name: Side(method.side, dict(method.parameters)) for name, method in METHODS.items() if name in methods
        },
        policies={
            chosen.key: Side(chosen.policy.side, {name: f"{value:.12g}" for name, value in chosen.parameters.items()})
            for chosen in scenario.selections_of(name)
        },
        retry_s=scenario.retry.after,
        attempts=scenario.retry.attempts,
        resolver=_resolver(scenario, plan),
        cn_cache=scenario.ddns.cn_cache,
        account=account_of(scenario, plan, name) if desk is None else None,
        desk=desk if scenario.needs(SERVER) else None,
        discover=ZONE if scenario.discovery != "configuration" else None,
        browse=_browse(scenario),
        family=scenario.family,
        counter=counter,
    )


def order_of(
    scenario: Scenario, plan: NetworkPlan, session: SessionSpec, start_ns: int, program: Program | None = None
) -> Order:
    """What its opener is told of a session of a scenario that started, or starts, at ``start_ns``."""
    return Order(
        number=session.number,
        session=session.name,
        start_ns=start_ns + round(session.at_s * 1e9),
        method=session.method,
        transport=session.transport,
        target=node_id(scenario, session.mn),
        address=known_address(scenario, plan, session),
        count=session.count,
        interval_ns=round((session.interval_s or 0.0) * 1e9),
        size=session.size,
        seed=int.from_bytes(secret(scenario, f"bulk/{session.name}")[:8], "big"),
        select=session.selection.key,
        port=services_of(scenario, session.mn)[session.service],
        service=session.service,
        called=session.mn,
        program=program,
        at_random=session.entry.spacing == "random",
    )
