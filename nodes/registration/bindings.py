"""What the registration server knows and what it tells: bindings, sessions, and the events it gives its shell."""

from dataclasses import dataclass, field

from dmmlab.nodes.registration.replay import Window
from dmmlab.nodes.registration.wire import Leg, Mode, Transport

Peer = tuple[str, str, int]  # transport ("udp", "tcp" or "leg"), host, port
MOST_HOSTS = 16  # of a node that are remembered


def spell(peer: tuple[object, ...]) -> str:
    """Return an address or a peer as the event log spells it, e.g. ``udp:10.0.0.1:48620``."""
    return ":".join(map(str, peer))


@dataclass(slots=True)
class Binding:
    """Where a node can be reached: newest address first; instants in nanoseconds since the epoch."""

    addresses: tuple[str, ...]
    port: int
    service: str
    control: Peer
    registered_ns: int
    expires_ns: int
    sequence: int
    services: tuple[tuple[str, int], ...] = ()

    def port_of(self, service: str) -> int | None:
        """Return the port of a service, by its name; the empty name is the first service's."""
        return self.port if service in ("", self.service) else dict(self.services).get(service)


@dataclass(slots=True)
class Record:
    """A node: its replay window, its binding or the sequence of what withdrew it, the answers it may ask for again,
    sent when (ns), and the addresses that it has been heard from since the server started, the latest last.
    """

    name: str
    window: Window
    binding: Binding | None = None
    withdrawn: int = 0
    expired: bool = False
    answers: dict[int, tuple[Peer, bytes, int]] = field(default_factory=dict)
    hosts: dict[str, None] = field(default_factory=dict)

    @property
    def newest(self) -> int:
        """The sequence of the newest registration or withdrawal; what is older comes too late to count."""
        return self.withdrawn if self.binding is None else self.binding.sequence

    def hear(self, host: str) -> None:
        """It has sent, signed and anew, from this address: here it can be reached (as return routability has it)."""
        self.hosts.pop(host, None)
        self.hosts[host] = None
        if len(self.hosts) > MOST_HOSTS:
            del self.hosts[next(iter(self.hosts))]


@dataclass(slots=True)
class Session:
    """A relayed session; ``legs`` holds the MN's user planes, newest last, ``retire_ns`` when the older ones end."""

    number: int
    requester: str
    target: str
    transport: Transport
    peer: tuple[str, int]
    port: int = 0
    leg_port: int = 0
    legs: list[tuple[str, int]] = field(default_factory=list)
    retire_ns: dict[tuple[str, int], int] = field(default_factory=dict)


@dataclass(slots=True)
class Pending:
    """A service request of a CN that waits for the MN's answer to ours."""

    requester: str
    request: int
    source: Peer
    target: str
    mode: Mode
    session: int | None
    data: bytes
    wait_s: float
    deadline_ns: int
    attempts: int = 0


@dataclass(slots=True, frozen=True)
class Backoff:
    """When to send again: after ``first_s``, then ``factor`` times as long up to ``most_s``; ``deadline_s`` in all.

    The default is SIP's for UDP (RFC 3261, 17.1.2.2) with a longest wait and an end of our own.
    """

    first_s: float = 0.5
    factor: float = 2.0
    most_s: float = 2.0
    deadline_s: float = 10.0

    def after(self, wait_s: float) -> float:
        """Return the wait that follows this one."""
        return min(wait_s * self.factor, self.most_s)


@dataclass(slots=True, frozen=True)
class Noted:
    """Something for the event log, and when it happened, in nanoseconds since the epoch."""

    name: str
    time_ns: int
    fields: dict[str, object]


@dataclass(slots=True, frozen=True)
class RelayWanted:
    """The shell is to open a relay and report it with ``relay_ready`` or ``relay_failed``."""

    session: int
    transport: Transport
    peer: tuple[str, int]


@dataclass(slots=True, frozen=True)
class LegOpened:
    """A user plane of the session towards the MN is open: it is the newest from now on."""

    session: int
    address: tuple[str, int]
    leg: Leg
    source: Peer
    offset: int
    request: int


@dataclass(slots=True, frozen=True)
class LegRetired:
    """A user plane of the session is to be used no more."""

    session: int
    address: tuple[str, int]


@dataclass(slots=True, frozen=True)
class RelayReleased:
    """The relay of the session is to be closed."""

    session: int


Event = Noted | RelayWanted | LegOpened | LegRetired | RelayReleased
