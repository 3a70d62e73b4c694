"""A scheme has room for what it promises, and no two of its prefixes overlap."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from itertools import pairwise

import pytest

from dmmlab.topologies.addressing import (
    IPV6_SCHEME,
    SCHEMES,
    Network,
    Port,
    Scheme,
    Size,
    interface_identifier,
    link_local,
    scheme_for,
)

SMALL, LARGE = SCHEMES


def prefixes(scheme: Scheme, size: Size) -> list[Network]:
    """Every prefix of a network of ``size``."""
    routers, hosts = range(1, size.mobile_routers + 1), range(1, size.hosts + 1)
    access = [scheme.gateway(i).network for i in routers]
    links = [scheme.router_link(i) for i in routers] + [scheme.host_link(k) for k in hosts] + [scheme.control_link()]
    assert all(link.near.network == link.far.network and link.near != link.far for link in links)
    return [*access, *(link.near.network for link in links)]


def test_a_network_has_the_first_scheme_that_holds_it() -> None:
    assert scheme_for(Size(1, 1, 1)) is SMALL
    assert scheme_for(SMALL.limits) is SMALL
    for size in (Size(100, 1, 1), Size(1, 200, 1), Size(1, 1, 100), LARGE.limits):
        assert scheme_for(size) is LARGE
    for size in (Size(251, 1, 1), Size(1, 2001, 1), Size(1, 1, 2001)):
        with pytest.raises(ValueError, match="at most 250 mobile routers, 2,000 hosts and 2,000 mobile nodes"):
            scheme_for(size)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_two_prefixes_overlap(scheme: Scheme) -> None:
    found = sorted(prefixes(scheme, scheme.limits), key=lambda prefix: int(prefix.network_address))
    assert len(found) == 2 * scheme.limits.mobile_routers + scheme.limits.hosts + 1
    for before, after in pairwise(found):
        assert int(before.broadcast_address) < int(after.network_address)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_mobile_node_has_an_address_of_its_own_in_every_access_prefix(scheme: Scheme) -> None:
    nodes = range(1, scheme.limits.mobile_nodes + 1)
    for router in (1, 2, scheme.limits.mobile_routers):
        gateway = scheme.gateway(router)
        addresses = {scheme.mobile_node(router, node) for node in nodes}
        assert len(addresses) == len(nodes)
        assert all(address in gateway.network for address in addresses)
        assert not addresses & {gateway.ip, gateway.network.network_address, gateway.network.broadcast_address}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_everything_is_inside_what_is_nobody_elses(scheme: Scheme) -> None:
    private, link_local = ip_network("10.0.0.0/8"), ip_network("169.254.0.0/16")
    *found, control = prefixes(scheme, scheme.limits)
    assert all(prefix.subnet_of(private) for prefix in found)  # type: ignore[arg-type]
    assert control.subnet_of(link_local)  # type: ignore[arg-type]


def test_macs_differ_by_port_and_by_index() -> None:
    macs = [LARGE.mac(port, index) for port in Port for index in range(1, 2001)]
    assert len(set(macs)) == len(macs)
    assert all(len(bytes.fromhex(mac.replace(":", ""))) == 6 and mac.startswith("02:00:00:") for mac in macs)


def test_a_small_network_reads_as_it_always_did() -> None:
    assert str(SMALL.gateway(7)) == "10.1.7.1/24"
    assert SMALL.mobile_node(7, 1) == ip_address("10.1.7.100")
    assert str(SMALL.host_link(3).far) == "10.2.3.2/24"
    assert str(SMALL.router_link(99).near) == "10.3.99.1/24"
    assert str(SMALL.control_link().far) == "169.254.253.2/30"
    assert SMALL.mac(Port.MOBILE_NODE, 1) == "02:00:00:00:02:01"


def test_ipv6_has_the_same_room_in_the_documentation_prefix() -> None:
    found = sorted(prefixes(IPV6_SCHEME, LARGE.limits)[:-1], key=lambda prefix: int(prefix.network_address))
    assert len(set(found)) == len(found) and {prefix.prefixlen for prefix in found} == {64}
    assert all(prefix.subnet_of(ip_network("2001:db8::/32")) for prefix in found)  # type: ignore[arg-type]
    assert scheme_for(Size(1, 1, 1), "ipv6") is IPV6_SCHEME
    with pytest.raises(ValueError, match="at most 250 mobile routers"):
        scheme_for(Size(251, 1, 1), "ipv6")


def test_a_mobile_node_forms_its_address_from_the_prefix_and_its_mac() -> None:
    assert interface_identifier("34:56:78:9a:bc:de") == 0x365678FFFE9ABCDE  # the example of RFC 4291 appendix A
    assert str(link_local("02:00:00:00:02:01")) == "fe80::ff:fe00:201"
    assert str(IPV6_SCHEME.mobile_node(2, 1)) == "2001:db8:1:2:0:ff:fe00:201"
    formed = {IPV6_SCHEME.mobile_node(router, node) for router in (1, 250) for node in range(1, 2001)}
    assert len(formed) == 4000
