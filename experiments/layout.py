"""From a scenario to what each part is told: the network's plan, the controller's plan, the correspondents' orders."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from dmmlab.controllers.plan import InterMrPort, Plan, SwitchPlan
from dmmlab.experiments.scenario import CONTROLLER, CORE, RADIO, SWITCHES, Link, Method, Scenario, Session, Transport
from dmmlab.nodes.orders import Order
from dmmlab.topologies.plan import MobileRouter, NetworkPlan, Wire, plan_network


@dataclass(frozen=True)
class OneSession:
    """One session of a run: an entry of the scenario's ``sessions``, by one method, over one transport, once.

    ``number`` counts all sessions of the run from 0; ``name`` is the entry's name, with method, transport and
    repetition added where the entry has several.
    """

    number: int
    name: str
    entry: Session
    method: Method
    transport: Transport
    at_s: float

    @property
    def count(self) -> int:
        """How many probes it sends (one that has neither interval nor size sends one)."""
        if self.entry.size is not None:
            return 0
        if self.entry.interval is None or self.entry.duration is None:
            return 1
        return round(self.entry.duration / self.entry.interval)


def sessions_of(scenario: Scenario) -> list[OneSession]:
    """Every session of a run, in the order of the file."""
    sessions: list[OneSession] = []
    for entry in scenario.sessions:
        for method in entry.method:
            for transport in entry.transport:
                for turn in range(entry.repeat):
                    words = [entry.name]
                    words += [method] if len(entry.method) > 1 else []
                    words += [transport] if len(entry.transport) > 1 else []
                    words += [str(turn + 1)] if entry.repeat > 1 else []
                    at_s = entry.at + turn * (entry.every or 0.0)
                    sessions.append(OneSession(len(sessions), ".".join(words), entry, method, transport, at_s))
    return sessions


def _wire(link: Link | None) -> Wire:
    return Wire() if link is None else Wire(link.delay, link.jitter, link.loss, link.rate)


def network_plan(scenario: Scenario) -> NetworkPlan:
    """The network that the scenario describes."""
    routers = scenario.mobile_routers
    pairs = [link for link in scenario.links if set(link.between) <= set(routers)]
    return plan_network(
        mobile_routers={name: _wire(scenario.link(name, CORE)) for name in routers},
        inter_mr={link.between: _wire(link) for link in pairs},
        hosts={name: _wire(scenario.link(name, CORE)) for name in scenario.hosts},
        mobile_nodes={name: _wire(scenario.link(name, RADIO)) for name in scenario.mobile_nodes},
        control=_wire(scenario.link(CONTROLLER, SWITCHES)),
    )


def redirect_plan(plan: NetworkPlan) -> Plan:
    """What the controller is told of the network: switches, routers and inter-MR ports, and nothing of any MN."""
    return Plan(tuple(_switch_plan(plan, router) for router in plan.mobile_routers))


def _switch_plan(plan: NetworkPlan, router: MobileRouter) -> SwitchPlan:
    ports = [
        InterMrPort(link.ports[end], plan.mobile_router(link.routers[1 - end]).dpid, link.wire.delay_s)
        for link in plan.inter_mr
        for end in (0, 1)
        if link.routers[end] == router.name
    ]
    return SwitchPlan(
        dpid=router.dpid,
        name=router.switch,
        mobile_router=router.name,
        router_mac=router.access_mac,
        router_port_name=router.router_port,
        router_ip=str(router.gateway.ip),
        prefix=str(router.prefix),
        inter_mr=tuple(ports),
    )


def known_address(scenario: Scenario, plan: NetworkPlan, session: OneSession) -> str:
    """The address that a correspondent with no mechanism knows: that of ``anchor``, or of the first attachment."""
    anchor = session.entry.anchor or scenario.moves_of(session.entry.to)[0].to
    return str(plan.mobile_node(session.entry.to).addresses[anchor])


def orders_of(scenario: Scenario, plan: NetworkPlan, correspondent: str, start_ns: int) -> list[Order]:
    """What correspondent ``correspondent`` is to do, when the scenario starts at ``start_ns`` (ns since the epoch)."""
    return [
        Order(
            number=session.number,
            session=session.name,
            start_ns=start_ns + round(session.at_s * 1e9),
            method=session.method,
            transport=session.transport,
            address=known_address(scenario, plan, session),
            count=session.count,
            interval_ns=round((session.entry.interval or 0.0) * 1e9),
            size=session.entry.size,
            seed=int.from_bytes(hashlib.sha256(f"{scenario.seed}/{session.name}".encode()).digest()[:8], "big"),
        )
        for session in sessions_of(scenario)
        if session.entry.from_ == correspondent
    ]
