"""The network that a scenario describes, as the plan from which it is built."""

from __future__ import annotations

from dmmlab.experiments.scenario.model import CONTROLLER, CORE, RADIO, SWITCHES, Scenario
from dmmlab.experiments.scenario.sections.links import Link
from dmmlab.experiments.scenario.tunnels import tunnels
from dmmlab.topologies.plan import Air, NetworkPlan, Wire
from dmmlab.topologies.planning import plan_network


def _wire(link: Link | None) -> Wire:
    return Wire() if link is None else Wire(link.delay, link.jitter, link.loss, link.rate)


def _air(scenario: Scenario, node: str) -> Air:
    """The radio links of a mobile node."""
    elsewhere = {router: scenario.radio(node, router) for router in scenario.mobile_routers}
    wires = {router: _wire(link) for router, link in elsewhere.items() if link is not None and link.at is not None}
    return Air(_wire(scenario.link(node, RADIO)), wires, scenario.has_two_radios(node))


def network_plan(scenario: Scenario) -> NetworkPlan:
    """The network that the scenario describes."""
    routers = scenario.mobile_routers
    names = set(routers)
    pairs = [link for link in scenario.links if names.issuperset(link.between)]
    plan = plan_network(
        mobile_routers={name: _wire(scenario.link(name, CORE)) for name in routers},
        inter_mr={link.between: _wire(link) for link in pairs},
        hosts={name: _wire(scenario.link(name, CORE)) for name in scenario.hosts},
        mobile_nodes={name: _air(scenario, name) for name in scenario.mobile_nodes},
        control=_wire(scenario.link(CONTROLLER, SWITCHES)),
        pairs=scenario.pairs,
        family=scenario.family,
        dad=scenario.addresses.dad,
    )
    return plan.with_tunnels(tunnels(scenario))
