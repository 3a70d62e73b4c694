"""dnsmasq as the DHCP server of a mobile router's access link.

Timings that chance would decide are switched off: it does not ping an address before it offers it, and is the only
server of its link (RFC 2131 section 4.3.2, authoritative).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from dmmlab.nodes.daemons.daemon import Daemon

_SHORTEST_S = 120  # dnsmasq grants nothing shorter


@dataclass(frozen=True)
class Dnsmasq(Daemon):
    """Addresses of ``prefix`` on ``interface`` for the clients in ``leases`` (MAC to address), and for no other.

    All that it is told is on its command line, which it checks as it starts.
    """

    interface: str
    prefix: str
    leases: Mapping[str, str]
    lease_s: int

    @property
    def argv(self) -> list[str]:
        """The command that runs it in the foreground, its log beside that of its standard output."""
        network = ipaddress.ip_network(self.prefix)
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
            f"--dhcp-range={network.network_address},static,{network.netmask},{max(self.lease_s, _SHORTEST_S)}",
            *(f"--dhcp-host={mac},{address}" for mac, address in self.leases.items()),
        ]
