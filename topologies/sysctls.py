"""What the kernel is told in each namespace, by the address family of the network.

Whatever a host would draw by chance before it says something is switched off: the delay before a router solicitation
(RFC 4861 section 6.3.7) and before duplicate address detection, and MLD's reports. Duplicate address detection is the
mobile nodes' alone, and only if the scenario asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from dmmlab.topologies.addressing import Dad, Family

NO_IPV6 = {"net/ipv6/conf/all/disable_ipv6": "1", "net/ipv6/conf/default/disable_ipv6": "1"}
_ROUTER_IPV4 = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
}
# What any host with several addresses on one interface wants: ask for neighbours with the address of their own subnet,
# and keep the neighbours that it knows when the radio link goes, which is when it needs them next.
_MOBILE_IPV4 = {
    "net/ipv4/conf/all/arp_announce": "2",
    "net/ipv4/conf/all/arp_evict_nocarrier": "0",
    "net/ipv4/conf/default/arp_evict_nocarrier": "0",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
}
_EXACT = {"mldv1_unsolicited_report_interval": "1", "mldv2_unsolicited_report_interval": "1"}  # ms
# Configured by hand, both ends of each link known to each other: nothing to ask, detect or solicit.
_STATIC = {**_EXACT, "accept_dad": "0", "dad_transmits": "0", "accept_ra": "0", "addr_gen_mode": "1"}
# It forms its link-local address, from which it advertises itself, and takes a node's address from an advertisement
# that it has not asked for (RFC 9131): else the first packet to each new address would wait for an exchange.
_ACCESS = {**_STATIC, "addr_gen_mode": "0", "accept_untracked_na": "1"}
_MOBILE = {
    **_EXACT,
    "router_solicitation_delay": "0",
    "accept_ra": "1",
    "accept_redirects": "0",
    "keep_addr_on_down": "1",  # what its agent has made permanent
    "ndisc_notify": "1",  # an address is advertised as soon as it is the node's
}
_DAD: dict[Dad, dict[str, str]] = {
    "off": {"accept_dad": "0", "dad_transmits": "0"},
    "on": {"accept_dad": "1", "dad_transmits": "1"},
    "optimistic": {"accept_dad": "1", "dad_transmits": "1", "optimistic_dad": "1", "use_optimistic": "1"},
}


def host(family: Family, interface: str) -> dict[str, str]:
    """Of a host that is configured by hand."""
    return NO_IPV6 if family == "ipv4" else _of(interface, _STATIC)


def router(family: Family, interfaces: Sequence[str], access: str | None = None) -> dict[str, str]:
    """Of a router with these ``interfaces``; by ``access``, if it has that, mobile nodes reach it."""
    if family == "ipv4":
        return {**NO_IPV6, **_ROUTER_IPV4}
    found = {"net/ipv6/conf/all/forwarding": "1"}
    for interface in interfaces:
        found |= _of(interface, _STATIC)
    return found if access is None else found | _of(access, _ACCESS)


def mobile_node(family: Family, interface: str, dad: Dad) -> dict[str, str]:
    """Of a mobile node."""
    return {**NO_IPV6, **_MOBILE_IPV4} if family == "ipv4" else _of(interface, _MOBILE | _DAD[dad])


def _of(interface: str, values: dict[str, str]) -> dict[str, str]:
    return {f"net/ipv6/conf/{interface}/{name}": value for name, value in values.items()}
