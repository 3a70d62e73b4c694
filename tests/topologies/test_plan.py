"""A network plan follows from names and order alone, and nothing in it collides."""

from __future__ import annotations

from itertools import combinations

import pytest

from dmmlab.topologies.plan import NetworkPlan, Wire, plan_network


def plan(routers: int = 3, hosts: int = 4, nodes: int = 2) -> NetworkPlan:
    names = [f"MR{i}" for i in range(1, routers + 1)]
    return plan_network(
        mobile_routers={name: Wire(0.005) for name in names},
        inter_mr={pair: Wire(0.004) for pair in combinations(names, 2)},
        hosts={f"CN{k}": Wire(0.01) for k in range(1, hosts + 1)},
        mobile_nodes={f"MN{j}": Wire(0.002) for j in range(1, nodes + 1)},
        control=Wire(0.001),
    )


def interfaces(of: NetworkPlan) -> list[str]:
    names = [name for router in of.mobile_routers for name in (router.core_interface, router.router_interface)]
    names += [name for router in of.mobile_routers for name in (router.access_interface, router.router_port)]
    names += [name for host in of.hosts for name in (host.interface, host.core_interface)]
    names += [name for link in of.inter_mr for name in (*link.ports, *link.middle)]
    names += [name for node in of.mobile_nodes for name in (node.interface, node.radio_port, *node.middle)]
    return [*names, of.control.interface, of.control.switch_interface]


def test_the_same_names_give_the_same_plan() -> None:
    assert plan() == plan()


def test_interfaces_are_unique_and_short_enough_for_linux() -> None:
    for of in (plan(), plan(routers=99, hosts=3, nodes=99)):
        names = interfaces(of)
        assert len(set(names)) == len(names)
        assert max(map(len, names)) <= 15


def test_addresses_and_macs_are_unique() -> None:
    of = plan(routers=20, hosts=20, nodes=20)
    addresses = [router.gateway.ip for router in of.mobile_routers] + [host.address.ip for host in of.hosts]
    addresses += [address for node in of.mobile_nodes for address in node.addresses.values()]
    assert len(set(addresses)) == len(addresses)
    macs = [mac for router in of.mobile_routers for mac in (router.access_mac, router.core_mac, router.router_mac)]
    macs += [mac for host in of.hosts for mac in (host.mac, host.core_mac)] + [node.mac for node in of.mobile_nodes]
    assert len(set(macs)) == len(macs)


def test_a_mobile_node_has_an_address_in_each_access_prefix() -> None:
    of = plan()
    for node in of.mobile_nodes:
        for router in of.mobile_routers:
            assert node.addresses[router.name] in router.prefix
            assert node.addresses[router.name] != router.gateway.ip


def test_a_plan_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 99 mobile routers"):
        plan(routers=100)
