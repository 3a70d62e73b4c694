"""What the controller knows: switches, mobile nodes and where they were seen, bindings, changes not yet confirmed."""

from dataclasses import dataclass, field

from dmmlab.controllers.flows import Route
from dmmlab.controllers.plan import SwitchPlan


@dataclass(frozen=True)
class Location:
    """A port of an access switch, by datapath id and port number, and the MAC of the radio that was seen there."""

    dpid: int
    port: int
    radio: str


@dataclass
class Switch:
    """One access switch: its plan, its ports by name, and how far its configuration has got."""

    plan: SwitchPlan
    ports: dict[str, int] = field(default_factory=dict)
    connected: bool = False
    synced: bool = False  # its rules are known
    seen: bool = False  # has been synced at least once
    configured: bool = False  # and its base rules are confirmed
    sync_token: int | None = None

    def role(self, name: str) -> str:
        """What a port is for, by its name: ``router``, ``inter_mr`` or ``mobile_node``."""
        if name == self.plan.router_port_name:
            return "router"
        return "inter_mr" if any(link.port_name == name for link in self.plan.inter_mr) else "mobile_node"

    def name_of(self, number: int) -> str | None:
        """The name of the port with this number, if there is one now."""
        return next((name for name, each in self.ports.items() if each == number), None)

    def router_port(self) -> int | None:
        """The number of the router's port, if it is there."""
        return self.ports.get(self.plan.router_port_name)


@dataclass
class MobileNode:
    """A mobile node, known by its MAC: with several radios, by that of the first that was seen.

    ``sightings`` says at which ports it has been seen, and when (ns), for as long as the port exists: with an overlap
    there are two. ``location`` is the latest of them, and stays when the last is gone: a detached mobile node's
    traffic goes on to where it was until it is seen elsewhere.
    """

    mac: str
    sightings: dict[Location, int] = field(default_factory=dict)
    location: Location | None = None
    leaves_for: int | None = None  # the switch to which it said that it is about to go, and
    port_name: str = ""  # what its port was called when it did
    expected: Location | None = None  # where its port has appeared there, and it has not been heard yet

    @property
    def place(self) -> Location | None:
        """Where its traffic is to go."""
        return self.expected or self.location

    @property
    def attached(self) -> bool:
        """Whether it is at a port now."""
        return bool(self.sightings)

    def latest(self) -> Location | None:
        """Where it was seen last, of the ports that exist."""
        return max(self.sightings, key=self.sightings.__getitem__) if self.sightings else None


@dataclass
class Binding:
    """An address that an anchor's router allocated to a mobile node, and the route that it is redirected along.

    ``mac`` is the mobile node, ``hardware`` the MAC that the router knows the address by. At home by another radio, the
    node tells the router of that: ``told``, which counts when it leaves. Until then its switch puts one for the other,
    for what the router has kept, or others of the link send, goes by the MAC that it had.
    """

    mac: str
    hardware: str
    address: str
    anchor: int
    expires_ns: int | None
    route: Route | None = None
    stranded: bool = False  # away from its anchor, and no path leads there
    told: str | None = None

    def known_as(self, location: Location) -> str:
        """The MAC that its router knows the address by, if the node is there."""
        stays = (location.dpid, location.radio) == (self.anchor, self.told)
        return self.hardware if self.told is None or stays else self.told

    def left(self, location: Location) -> bool:
        """The node is at ``location``; whether what it had told its router counts from now on."""
        if self.told is None or self.known_as(location) != self.told:
            return False
        self.hardware, self.told = self.told, None
        return True

    def rename(self, radio: str) -> bool:
        """The router has heard that the address has this radio's MAC; whether it knew another one's for good."""
        before = self.hardware
        if self.route is not None and len(self.route.path.hops) == 1:
            self.hardware, self.told = self.route.hardware, radio
        else:
            self.hardware, self.told = radio, None
        return self.hardware != before


@dataclass
class Change:
    """A decision about one address that some switches have not confirmed; no ``route`` is no redirect."""

    mac: str
    address: str
    anchor: int
    serving: int | None
    route: Route | None
    token: int
    decided_ns: int
    waiting: set[int]
    cause: str


@dataclass
class Update:
    """Rules sent under one token: when (ns), and to how many switches that have not answered."""

    sent_ns: int
    waiting: set[int]


@dataclass
class Counters:
    """What one switch and the controller said to each other: numbers of messages."""

    packet_ins: int = 0
    flow_mods: int = 0
    barriers: int = 0
