"""What the controller is told before it starts: the access switches, their routers, and the inter-MR ports.

The plan is a JSON file and says nothing of mobile nodes: those are learned from the network. Ports are found by
name, in the switch's port description and in port status; a port that the plan does not name is a mobile node's.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FORMAT = 1
FAMILIES = ("ipv4", "ipv6")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class PlanError(ValueError):
    """The plan does not hold together; the message names the key."""


@dataclass(frozen=True)
class InterMrPort:
    """One end of an inter-MR link: its port on this switch, the datapath id behind it, one-way delay in seconds."""

    port_name: str
    peer_dpid: int
    delay_s: float


@dataclass(frozen=True)
class Station:
    """A radio that the link layer has authenticated: the name that its port has at any switch, and its MAC."""

    port: str
    mac: str


@dataclass(frozen=True)
class SwitchPlan:
    """One mobile router's access switch.

    ``router_mac`` is the MAC of the router's interface on the switch (lower case, colons), ``router_ip`` its IPv4
    address, ``prefix`` the IPv4 prefix that it allocates from. The ``6`` fields are the same for IPv6.
    """

    dpid: int
    name: str
    mobile_router: str
    router_mac: str
    router_port_name: str
    router_ip: str | None = None
    prefix: str | None = None
    inter_mr: tuple[InterMrPort, ...] = ()
    router_ip6: str | None = None
    prefix6: str | None = None


@dataclass(frozen=True)
class Plan:
    """All access switches under one controller."""

    switches: tuple[SwitchPlan, ...]
    family: str = "ipv4"
    peers: bool = False  # whether mobile nodes speak to each other, and so to those that have left their link
    releases: bool = False  # whether mobile nodes give IPv6 addresses back (RFC 6775), as they do with DHCP's
    announced: bool = False  # whether mobile nodes say that they are about to leave, and where to
    buffered: bool = False  # whether routers keep what comes for a mobile node that is between two links
    several_radios: bool = False  # whether mobile nodes have: routers may hear of the other one before switches do
    stations: tuple[tuple[Station, ...], ...] = ()  # each node's radios, where source addresses are checked (`guard`)

    def __post_init__(self) -> None:
        _check(self)

    def switch(self, dpid: int) -> SwitchPlan:
        """The switch with this datapath id; KeyError if the plan has none."""
        for switch in self.switches:
            if switch.dpid == dpid:
                return switch
        raise KeyError(dpid)

    def anchor_of(self, address: str) -> SwitchPlan | None:
        """The switch whose router allocates from the prefix that the address is in, if there is one."""
        wanted = ipaddress.ip_address(address)
        for switch in self.switches:
            prefix = switch.prefix if wanted.version == 4 else switch.prefix6
            if prefix is not None and wanted in ipaddress.ip_network(prefix):
                return switch
        return None

    def to_json(self) -> str:
        """The plan as the text that :meth:`from_json` reads."""
        fields = asdict(self)
        if not self.stations:
            del fields["stations"]
        return json.dumps({"format": FORMAT, **fields}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Read a plan; PlanError names what is missing, unknown or inconsistent."""
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise PlanError(f"not JSON: {error}") from None
        flagged = ("peers", "releases", "announced", "buffered", "several_radios")
        top = _fields(data, "plan", {"switches"}, {"format", "family", "stations", *flagged})
        if top.pop("format", FORMAT) != FORMAT:
            raise PlanError(f"format: expected {FORMAT}")
        switches = tuple(_switch(each, f"switches[{i}]") for i, each in enumerate(_list(top["switches"], "switches")))
        flags = {name: bool(top.get(name, False)) for name in flagged}
        stations = tuple(_stations(each) for each in _list(top.get("stations", []), "stations"))
        return cls(switches=switches, family=str(top.get("family", "ipv4")), stations=stations, **flags)


def _stations(data: object) -> tuple[Station, ...]:
    radios = [_fields(each, "stations", {"port", "mac"}, set()) for each in _list(data, "stations")]
    if not radios or not all(_MAC.fullmatch(str(radio["mac"])) for radio in radios):
        raise PlanError("stations: expected each node's radios, {port, mac}, a mac as lower-case aa:bb:cc:dd:ee:ff")
    return tuple(Station(str(radio["port"]), str(radio["mac"])) for radio in radios)


def _switch(data: object, where: str) -> SwitchPlan:
    required = {"dpid", "name", "mobile_router", "router_mac", "router_port_name"}
    optional = {"router_ip", "prefix", "inter_mr", "router_ip6", "prefix6"}
    values = _fields(data, where, required, optional)
    ports = _list(values.pop("inter_mr", []), f"{where}.inter_mr")
    inter_mr = []
    for i, each in enumerate(ports):
        port = _fields(each, f"{where}.inter_mr[{i}]", {"port_name", "peer_dpid", "delay_s"}, set())
        inter_mr.append(InterMrPort(str(port["port_name"]), int(port["peer_dpid"]), float(port["delay_s"])))
    return SwitchPlan(inter_mr=tuple(inter_mr), **values)


def _list(data: object, where: str) -> list[object]:
    if not isinstance(data, list):
        raise PlanError(f"{where}: expected a list")
    return data


def _fields(data: object, where: str, required: set[str], optional: set[str]) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise PlanError(f"{where}: expected an object")
    if missing := required - set(data):
        raise PlanError(f"{where}: missing {', '.join(sorted(missing))}")
    if unknown := set(data) - required - optional:
        raise PlanError(f"{where}: unknown {', '.join(sorted(unknown))}")
    return dict(data)


def _check(plan: Plan) -> None:
    if plan.family not in FAMILIES:
        raise PlanError(f"family: expected one of {', '.join(FAMILIES)}")
    if not plan.switches:
        raise PlanError("switches: none")
    dpids = [switch.dpid for switch in plan.switches]
    for key in ("dpid", "name", "mobile_router", "router_mac"):
        values = [getattr(switch, key) for switch in plan.switches]
        if len(set(values)) != len(values):
            raise PlanError(f"{key}: each switch needs its own")
    for switch in plan.switches:
        _check_switch(switch, plan.family, set(dpids))


def _check_switch(switch: SwitchPlan, family: str, dpids: set[int]) -> None:
    if not _MAC.fullmatch(switch.router_mac):
        raise PlanError(f"{switch.name}.router_mac: expected lower-case aa:bb:cc:dd:ee:ff, got {switch.router_mac!r}")
    suffix = "" if family == "ipv4" else "6"
    for key in (f"router_ip{suffix}", f"prefix{suffix}"):
        if getattr(switch, key) is None:
            raise PlanError(f"{switch.name}.{key}: needed for family {family}")
    _check_addresses(switch)
    for port in switch.inter_mr:
        if port.peer_dpid not in dpids or port.peer_dpid == switch.dpid:
            raise PlanError(f"{switch.name}.inter_mr {port.port_name}: no such peer {port.peer_dpid}")
        if port.delay_s < 0:
            raise PlanError(f"{switch.name}.inter_mr {port.port_name}: delay_s is negative")


def _check_addresses(switch: SwitchPlan) -> None:
    try:
        for address in (switch.router_ip, switch.router_ip6):
            if address is not None:
                ipaddress.ip_address(address)
        for prefix in (switch.prefix, switch.prefix6):
            if prefix is not None:
                ipaddress.ip_network(prefix)
    except ValueError as error:
        raise PlanError(f"{switch.name}: {error}") from None
