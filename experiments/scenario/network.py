"""The network that a scenario describes, as the plan from which it is built."""

from __future__ import annotations

from dmmlab.experiments.scenario.model import CONTROLLER, CORE, RADIO, SWITCHES, Link, Scenario
from dmmlab.experiments.scenario.tunnels import tunnels
from dmmlab.topologies.plan import NetworkPlan, Wire, plan_network


def _wire(link: Link | None) -> Wire:
    return Wire() if link is None else Wire(link.delay, link.jitter, link.loss, link.rate)


def network_plan(scenario: Scenario) -> NetworkPlan:
    """The network that the scenario describes."""
    routers = scenario.mobile_routers
    names = set(routers)
    pairs = [link for link in scenario.links if names.issuperset(link.between)]
    plan = plan_network(
        mobile_routers={name: _wire(scenario.link(name, CORE)) for name in routers},
        inter_mr={link.between: _wire(link) for link in pairs},
        hosts={name: _wire(scenario.link(name, CORE)) for name in scenario.hosts},
        mobile_nodes={name: _wire(scenario.link(name, RADIO)) for name in scenario.mobile_nodes},
        control=_wire(scenario.link(CONTROLLER, SWITCHES)),
        pairs=scenario.pairs,
        family=scenario.family,
        dad=scenario.addresses.dad,
    )
    return plan.with_tunnels(tunnels(scenario))
