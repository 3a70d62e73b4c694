"""dnsmasq on the access link of a mobile router: as the DHCP server of IPv4, or advertising IPv6's router and prefix.

Timings that chance would decide are switched off: it does not ping an address before it offers it, and is the only
server of its link (RFC 2131 section 4.3.2, authoritative). Advertisements that nobody asked for come at random
instants; the access switch spares its mobile nodes those (`dmmlab.controllers.flows`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from dmmlab.nodes.daemons.daemon import Daemon

_SHORTEST_S = 120  # dnsmasq grants nothing shorter


@dataclass(frozen=True)
class _Dnsmasq(Daemon):
    """All that it is told is on its command line, which it checks as it starts."""

    interface: str
    prefix: str

    @property
    def _common(self) -> list[str]:
        """In the foreground, its log beside that of its standard output."""
        return [
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--port=0",
            f"--interface={self.interface}",
            "--bind-interfaces",
            "--except-interface=lo",
            "--no-ping",
            "--dhcp-authoritative",
            "--leasefile-ro",
            "--user=root",
            "--group=root",
            "--pid-file=",
            f"--log-facility={self.log.parent / f'dnsmasq-{self.interface}.log'}",
            "--log-dhcp",
        ]


@dataclass(frozen=True)
class Dnsmasq(_Dnsmasq):
    """Addresses of ``prefix`` on ``interface`` for the clients in ``leases`` (MAC to address), and for no other."""

    leases: Mapping[str, str]
    lease_s: int
    broadcasts: bool = False  # its replies: what is sent to an address whose packets are kept would wait, too

    @property
    def argv(self) -> list[str]:
        """The command that runs it."""
        network = ipaddress.ip_network(self.prefix)
        return [
            *self._common,
            f"--dhcp-range={network.network_address},static,{network.netmask},{max(self.lease_s, _SHORTEST_S)}",
            *(["--dhcp-broadcast"] if self.broadcasts else []),
            *(f"--dhcp-host={mac},{address}" for mac, address in self.leases.items()),
        ]


@dataclass(frozen=True)
class RouterAdvertiser(_Dnsmasq):
    """Answers router solicitations on ``interface`` (RFC 4861): it is a default router, and addresses are formed from
    ``prefix`` (RFC 4862), preferred and valid for ``lifetime_s`` seconds. The prefix is not said to be on the link: a
    node sends to its neighbours by the router, too, for one of them may have moved (RFC 5942 section 4).
    """

    lifetime_s: int

    @property
    def argv(self) -> list[str]:
        """The command that runs it."""
        network = ipaddress.ip_network(self.prefix)
        lifetime_s = max(self.lifetime_s, _SHORTEST_S)
        return [
            *self._common,
            "--enable-ra",
            f"--dhcp-range={network.network_address},ra-only,off-link,{network.prefixlen},{lifetime_s}",
        ]
