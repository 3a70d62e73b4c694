"""What a method is: one declaration of a way in which a correspondent finds a mobile node (docs/methods.md).

Scenario keys, plan, runner, closed forms, records, figures, ladders and documents ask it. It knows neither scenario nor
network: its closed form gets what it needs as a `World`, and its node's side is named, not imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

RESOLVER, DDNS, SERVER = "RESOLVER", "DDNS", "SERVER"  # hosts that methods may need
SERVICES = (RESOLVER, DDNS, SERVER)
CN, MN = "CN", "MN"  # whoever opens the session, and whom it is opened to
Dash = str | tuple[int, tuple[int, ...]]
RoundTrip = tuple[str, str]


class Look(NamedTuple):
    """A series' colour, marker, line style and name."""

    colour: str
    marker: str
    dash: Dash
    label: str


class Lookup(NamedTuple):
    """What a lookup must take, in seconds, and the mobile router whose address it must give."""

    lookup_s: float
    anchor: str


class Opened(Protocol):
    """What a closed form may know of a session: who opens it to whom, when (s), over what, on which known anchor."""

    @property
    def cn(self) -> str:
        """Who opens it."""

    @property
    def mn(self) -> str:
        """Whom it is opened to."""

    @property
    def at_s(self) -> float:
        """When, in seconds since the scenario's start."""

    @property
    def transport(self) -> str:
        """``udp`` or ``tcp``."""

    @property
    def service(self) -> str:
        """Which of the node's services it is with."""

    @property
    def anchor(self) -> str | None:
        """Where nothing is asked, the router whose address is known; None: the first one's."""


@dataclass(frozen=True)
class CachedAnswer:
    """A record in a cache: when it came, the router of the address in it, until when it is used; seconds."""

    came_s: float
    anchor: str
    until_s: float


class Resolver(Protocol):
    """The caching resolver, as far as a scenario decides what it holds."""

    def answer_s(self, node: str, record: str, at_s: float) -> CachedAnswer | None:
        """Its copy of a record for a question that reaches it at ``at_s``; None if there is no such name yet."""


class World(Protocol):
    """What a scenario decides, for closed forms to ask: one-way delays, who is where, who knows what. Seconds."""

    cn_cache: str  # off, ttl or forever
    lazy: bool  # whether a node that has moved is known at the server by an older address for a while
    server_s: float  # what the registration server takes over a message
    remembered: dict[tuple[str, ...], tuple[float, str]]  # by a method and what it looks up: until when, the router

    @property
    def resolver(self) -> Resolver:
        """The correspondents' caching resolver."""

    def hosts_s(self, one: str, other: str) -> float:
        """One way between two hosts on the core."""

    def way_s(self, one: str, other: str, at_s: float) -> float | None:
        """One way between two ends by what each uses for what is new at ``at_s``; None where one cannot."""

    def to_node_s(self, host: str, node: str, anchor: str, serving: str) -> float | None:
        """One way from ``host`` to ``node`` by its address of ``anchor``, at ``serving``; None if there is none."""

    def serving(self, node: str, at_s: float) -> str | None:
        """Where ``node`` is attached at ``at_s``; None in a gap."""

    def newest(self, node: str, at_s: float) -> str | None:
        """The router of the address that ``node`` uses for what is new; None where it cannot, or older ones do not work
        yet.
        """

    def first(self, node: str) -> str:
        """Where ``node`` attaches first; empty for a host."""

    def known(self, node: str, host: str, at_s: float) -> str | None:
        """The router of the newest address of ``node`` that ``host`` has been told of by ``at_s``."""


ClosedForm = Callable[[World, Opened], Lookup | None]


@dataclass(frozen=True)
class Signalling:
    """What is said for a method: ``updates`` are the protocols in which a move is made known, ``lookups`` the one in
    which it is asked; ``messages`` the fewest and the most that a session's set-up over UDP takes without loss.
    """

    updates: tuple[str, ...] = ()
    lookups: str | None = None
    messages: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Draft:
    """Where the draft describes it, and what its message ladder shows beside the session and the updates.

    ``registers`` the correspondent's own registration, ``opened_before`` sessions on the node's earlier addresses.
    """

    section: str
    figure: int
    registers: bool = False
    opened_before: bool = False


@dataclass(frozen=True)
class Method:
    """A way to find a mobile node.

    ``name`` is its key in scenarios and records, ``words`` what `dmmlab list` says of it. ``side`` is the class of its
    node's side (``module:Class``, a `dmmlab.nodes.methods.base.Method`), made with ``parameters``. ``needs`` are the
    hosts without which it cannot be used. ``asks`` are the round trips of a lookup from nothing, ``carries`` those of
    the user plane, each between two of `CN`, `MN` and hosts; ``closed_form`` is its lookup's.
    """

    name: str
    words: str
    look: Look
    side: str
    closed_form: ClosedForm
    parameters: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    asks: tuple[RoundTrip, ...] = ()
    carries: tuple[RoundTrip, ...] = ((CN, MN),)
    cached: bool = False  # somebody may have asked before, and then it takes less
    gives_all: bool = False  # of the node's addresses, so that a selection policy has a choice
    signalling: Signalling = Signalling()
    draft: Draft | None = None

    @property
    def relayed(self) -> bool:
        """Whether a host carries the user plane."""
        return self.carries != ((CN, MN),)
