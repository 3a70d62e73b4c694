"""What the model's costs are a function of: where everybody stands, how nodes move, how often they are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Residence = Literal["constant", "exponential"]
Family = Literal["ipv4", "ipv6"]


@dataclass(frozen=True)
class Distances:
    """One-way delays in seconds, as `two-mr` has them: of correspondent, mobile routers, resolver, DDNS server and
    registration server to the core, of the radio hop, of a redirect between two mobile routers (``across``), and of a
    switch's control channel.
    """

    cn_s: float = 0.010
    router_s: float = 0.005
    radio_s: float = 0.002
    resolver_s: float = 0.001
    ddns_s: float = 0.015
    server_s: float = 0.015
    across_s: float = 0.004
    control_s: float = 0.001

    @property
    def mn_s(self) -> float:
        """Of the mobile node to the core."""
        return self.router_s + self.radio_s

    @property
    def direct_s(self) -> float:
        """Round trip of correspondent and mobile node by its newest address."""
        return 2 * (self.cn_s + self.mn_s)

    @property
    def detour_s(self) -> float:
        """What the redirect adds to that by an older address."""
        return 2 * self.across_s

    @property
    def settling_s(self) -> float:
        """From a new link until the node speaks: DHCP's two exchanges, and one for the router's hardware address."""
        return 6 * self.radio_s


@dataclass(frozen=True)
class Setting:
    """A mobile node that stays ``residence_s`` in the mean at each router, and is called ``calls_per_move`` times
    meanwhile, at random, by ``correspondents`` in all. A call is a session of ``exchanges`` requests and answers.

    ``ttl_s`` is of its DNS records, ``lifetime_s`` of a registration, which is repeated at half of it. ``loss`` is the
    share of packets lost in each direction on the links of the three servers. The node keeps ``old_addresses`` beside
    its newest one, and is without a link for ``gap_s`` when it moves.
    """

    ways: Distances = Distances()
    residence_s: float = 20.0
    residence: Residence = "constant"
    calls_per_move: float = 2.0
    correspondents: int = 1
    exchanges: int = 1
    ttl_s: float = 5.0
    lifetime_s: float = 300.0
    loss: float = 0.0
    old_addresses: int = 1
    gap_s: float = 0.05
    redirect: bool = True
    family: Family = "ipv4"

    @property
    def calls_per_s(self) -> float:
        """How often the node is called."""
        return self.calls_per_move / self.residence_s
