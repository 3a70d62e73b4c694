"""What a message of signalling is, of which protocol, who said it to whom; `decoding` reads them from captures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dmmlab.experiments.analysis.openflow import OpenFlow
from dmmlab.experiments.records import pcap
from dmmlab.experiments.records.pcap import Frame
from dmmlab.nodes.registration import wire
from dmmlab.topologies.addressing import link_local
from dmmlab.topologies.plan import CONTROLLER, NetworkPlan

BROADCAST = "broadcast"
LOST_HEADER = "not captured"  # the message of bytes whose header was beyond the snapshot length
_BROADCASTS = ("255.255.255.255", "ff:ff:ff:ff:ff:ff")
MULTICAST = "multicast"
ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT = pcap.DISCOVERY


@dataclass(frozen=True, slots=True)
class Dhcp:
    """A DHCP message: its transaction, and whom it concerns."""

    transaction: int
    client_mac: str
    address: str  # the client's, where the message has it


@dataclass(frozen=True, slots=True)
class Dns:
    """A query, an update, or the answer to either; ``client`` is the asking end's address and port, ``data`` all of
    the message that was captured.
    """

    transaction: int
    client: tuple[str, int]
    answer: bool
    name: str
    kind: str
    data: bytes

    @property
    def question(self) -> tuple[str, str]:
        """Type and name."""
        return self.kind, self.name


@dataclass(frozen=True, slots=True)
class Arp:
    """Who asks for, or tells, whose hardware address: the nodes' names."""

    asks: bool
    sender: str
    target: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """A message of neighbour discovery (RFC 4861): its ICMPv6 type, the node whose address is its target (empty in
    router discovery), and whether it is for a group: a question to whoever has the target, or what nobody asked for.
    """

    kind: int
    asked: str
    to_group: bool


Detail = Dhcp | Dns | Arp | Discovery | OpenFlow | wire.Message | None


@dataclass(frozen=True, slots=True)
class Message:
    """``time_ns`` at host ``at``, which is the sender if ``sent``; ``peers`` the addresses of sender and receiver."""

    time_ns: int
    protocol: str
    source: str
    destination: str
    text: str
    length: int
    at: str
    detail: Detail
    peers: tuple[str, str] = ("", "")
    ports: tuple[int, int] = (0, 0)

    @property
    def sent(self) -> bool:
        """Whether this is the sender's copy."""
        return self.at == self.source


class Names:
    """Who has which address or MAC, and which names are those of mobile nodes."""

    def __init__(self, plan: NetworkPlan) -> None:
        self.mobile_nodes = {node.name for node in plan.mobile_nodes}
        self._names = dict.fromkeys(_BROADCASTS, BROADCAST)
        self._names |= {radio.mac: node.name for node in plan.mobile_nodes for radio in node.radios}
        self._names |= {address: node for address, (node, _) in plan.owners.items()}
        for router in plan.mobile_routers:
            own = (router.access_mac, str(router.gateway.ip), str(router.core_address.ip))
            self._names |= dict.fromkeys(own, router.name)
        for host in plan.hosts:
            self._names |= dict.fromkeys((host.mac, str(host.address.ip)), host.name)
        if plan.family == "ipv6":
            ends = [(router.access_mac, router.name) for router in plan.mobile_routers]
            ends += [(radio.mac, node.name) for node in plan.mobile_nodes for radio in node.radios]
            self._names |= {str(link_local(mac)): name for mac, name in ends}
        self._names |= dict.fromkeys((plan.control.mac, str(plan.control.address.ip)), CONTROLLER)

    def of(self, address: str) -> str:
        """The node that has this address or MAC; the address itself if nobody has it."""
        return self._names.get(address, address)


def once(messages: Sequence[Message], captured_hosts: Sequence[str]) -> list[Message]:
    """Each message once: from its sender's capture, or from its receiver's where the sender's host has none.

    An ARP question of a host without a capture counts where the one that it asks for has heard it, and a question of
    neighbour discovery likewise.
    """
    kept = []
    for message in messages:
        if message.source in captured_hosts:
            wanted = message.at == message.source
        elif isinstance(message.detail, Arp):
            wanted = message.at == message.detail.target
        elif isinstance(message.detail, Discovery) and message.detail.to_group:
            wanted = message.at == message.detail.asked
        else:
            wanted = message.at in (message.destination, CONTROLLER)
        if wanted:
            kept.append(message)
    return kept


def asks_again(frame: Frame | None) -> bool:
    """Whether it is neighbour discovery between two that know each other: one sees whether the other is still there."""
    if frame is None or frame.protocol != pcap.ICMPV6:
        return False
    kinds = (NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT)
    return frame.payload[0] in kinds and not frame.destination.startswith("ff")
