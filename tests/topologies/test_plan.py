"""A network plan follows from names and order alone, and nothing in it collides."""

from __future__ import annotations

import hashlib
from itertools import combinations

import pytest

from dmmlab.topologies.addressing import Size
from dmmlab.topologies.plan import SITE_PORTS, NetworkPlan, Wire
from dmmlab.topologies.planning import plan_network


def plan(routers: int = 3, hosts: int = 4, nodes: int = 2, meshed: bool = True) -> NetworkPlan:
    names = [f"MR{i}" for i in range(1, routers + 1)]
    return plan_network(
        mobile_routers={name: Wire(0.005) for name in names},
        inter_mr={pair: Wire(0.004) for pair in combinations(names, 2) if meshed},
        hosts={f"CN{k}": Wire(0.01) for k in range(1, hosts + 1)},
        mobile_nodes={f"MN{j}": Wire(0.002) for j in range(1, nodes + 1)},
        control=Wire(0.001),
    ).with_tunnels(list(combinations(names, 2)) if meshed else [])


def interfaces(of: NetworkPlan) -> list[str]:
    names = [name for router in of.mobile_routers for name in (router.core_interface, router.router_interface)]
    names += [name for router in of.mobile_routers for name in (router.access_interface, router.router_port)]
    names += [name for host in of.hosts for name in (host.interface, host.core_interface)]
    names += [name for link in of.inter_mr for name in (*link.ports, *link.middle)]
    names += [name for tunnel in of.tunnels for name in tunnel.ports]
    names += [name for node in of.mobile_nodes for name in (node.interface, node.radio_port, *node.middle)]
    names += [name for site in of.sites for name in (site.interface, site.hub_interface)]
    return [*names, of.control.interface, of.control.switch_interface]


def test_the_same_names_give_the_same_plan() -> None:
    assert plan() == plan()


def test_interfaces_are_unique_and_short_enough_for_linux() -> None:
    for of in (plan(), plan(routers=99, hosts=3, nodes=99)):
        names = interfaces(of)
        assert len(set(names)) == len(names)
        assert max(map(len, names)) <= 15


def test_addresses_and_macs_are_unique() -> None:
    for of in (plan(routers=20, hosts=20, nodes=20), plan(routers=250, hosts=2000, nodes=200, meshed=False)):
        addresses = [router.gateway.ip for router in of.mobile_routers]
        addresses += [end.ip for router in of.mobile_routers for end in (router.core_address, router.router_address)]
        addresses += [end.ip for host in of.hosts for end in (host.address, host.gateway)]
        addresses += [address for node in of.mobile_nodes for address in node.addresses.values()]
        addresses += [of.control.address.ip, of.control.switch_address.ip]
        addresses += [end.ip for site in of.sites for end in (site.address, site.hub_address)]
        assert len(set(addresses)) == len(addresses)
        macs = [mac for router in of.mobile_routers for mac in (router.access_mac, router.core_mac, router.router_mac)]
        macs += [mac for host in of.hosts for mac in (host.mac, host.core_mac)] + [node.mac for node in of.mobile_nodes]
        macs += [of.control.mac, of.control.switch_mac]
        macs += [mac for site in of.sites for mac in (site.mac, site.hub_mac)]
        assert len(set(macs)) == len(macs)


def test_a_mobile_node_has_an_address_in_each_access_prefix() -> None:
    of = plan()
    for node in of.mobile_nodes:
        for router in of.mobile_routers:
            assert node.addresses[router.name] in router.prefix
            assert node.addresses[router.name] != router.gateway.ip


def test_the_largest_plan_has_all_that_it_was_asked_for() -> None:
    of = plan(routers=250, hosts=2000, nodes=2000, meshed=False)
    assert Size(len(of.mobile_routers), len(of.hosts), len(of.mobile_nodes)) == of.scheme.limits
    last, router = of.mobile_node("MN2000"), of.mobile_router("MR250")
    assert last.addresses["MR250"] in router.prefix
    assert last.addresses["MR249"] not in router.prefix
    assert max(map(len, interfaces(of))) <= 15
    assert max(len(name) for name in interfaces(plan(routers=250, hosts=1, nodes=1))) <= 15


def test_a_small_network_has_one_site_and_in_a_large_one_each_switch_is_one() -> None:
    (site,) = plan(routers=4, nodes=8, hosts=20).sites
    assert (site.name, sorted(site.switches)) == ("access", ["s1", "s2", "s3", "s4"])
    for routers, nodes in ((10, 60), (20, 200), (250, 2000), (3, 500), (100, 1)):
        of = plan(routers, 1, nodes, meshed=False)
        assert [site.switches for site in of.sites] == [{router.switch} for router in of.mobile_routers]
        assert nodes + 2 * routers > SITE_PORTS


# Of every field of the plans that the first scheme holds, before there was another. Captures of such scenarios are
# compared to the byte with those in results/reference, so not one address, MAC or name may change.
@pytest.mark.parametrize(
    ("routers", "hosts", "nodes", "digest"),
    [
        (1, 1, 1, "e3a02b9d6c48"),
        (3, 4, 2, "4e49fe330ac5"),
        (99, 3, 2, "34362f6b7b54"),
        (3, 199, 99, "d94877245c07"),
        (99, 199, 99, "9086a1a8c3b5"),
    ],
)
def test_small_plans_are_what_they_always_were(routers: int, hosts: int, nodes: int, digest: str) -> None:
    of = plan(routers, hosts, nodes)
    text = "\n".join(map(repr, (of.mobile_routers, of.inter_mr, of.hosts, of.mobile_nodes, of.control)))
    assert hashlib.sha256(text.encode()).hexdigest().startswith(digest)


@pytest.mark.parametrize("size", [(251, 1, 1), (1, 2001, 1), (1, 1, 2001)])
def test_a_plan_that_does_not_fit_is_refused(size: tuple[int, int, int]) -> None:
    at_most = r"^a network holds at most 250 mobile routers, 2,000 hosts and 2,000 mobile nodes; this has [^\n]*"
    with pytest.raises(ValueError, match=at_most + f"{max(size):,} "):
        plan(*size, meshed=False)
