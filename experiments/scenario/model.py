"""What a scenario is: the file's keys, typed and frozen, and who takes part.

The keys are fixed by the project's contract (see docs/scenarios.md); unknown keys are errors. What must hold between
keys stands in `checks`, how a file is read in `load`.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import SERVICES
from dmmlab.experiments.policies import DEFAULT
from dmmlab.experiments.scenario.costs import Costs
from dmmlab.experiments.scenario.faults import Fault
from dmmlab.experiments.scenario.mobility.expansion import Ground, Leg, itineraries
from dmmlab.experiments.scenario.mobility.section import Mobility
from dmmlab.experiments.scenario.programs import Run
from dmmlab.experiments.scenario.section import Section
from dmmlab.experiments.scenario.selection import Select, Selection, selection
from dmmlab.experiments.scenario.units import Duration, Rate, Share, Size
from dmmlab.experiments.scenario.worlds import MOST_VIOLATIONS

# Or pydantic asks every installed package whether it has something to add to a model.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

Transport = Literal["udp", "tcp"]
Family = Literal["ipv4", "ipv6"]
Lifetime = Literal["fixed", "session-lasting", "non-persistent"]
Dad = Literal["off", "on", "optimistic"]

CORE, RADIO, SWITCHES, CONTROLLER = "CORE", "radio", "switches", "CONTROLLER"
NAME = re.compile(r"^[A-Za-z][A-Za-z0-9-]{0,8}\Z")  # of nodes and sessions
_TITLE = re.compile(r"[^\W_][\w .,+()-]{0,63}")  # of a scenario: the name of a folder


def _title(value: str) -> str:
    """A run is kept in a folder of this name: no other folder can be named by it."""
    if not _TITLE.fullmatch(value):
        raise ValueError(f"{value!r} is no name of a folder: use letters, digits, spaces and .,+()-_, 64 at most")
    return value


def _known(kind: str, names: Collection[str]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"unknown {kind} {value!r}; known are {', '.join(names)}")
        return value

    return AfterValidator(check)


MethodName = Annotated[str, _known("method", METHODS)]


class Link(Section):
    """A link; ``delay`` is one-way and holds in both directions.

    With ``at``, a mobile router, it is what a mobile node's radio link is like there (another radio technology).
    """

    between: tuple[str, str]
    delay: Duration
    at: str | None = None
    jitter: Duration = 0.0
    loss: Share = 0.0
    rate: Rate | None = None

    def joins(self, one: str, other: str) -> bool:
        """Whether it is between these two, in either order."""
        return set(self.between) == {one, other}


class PairDelay(Section):
    """The one-way delay between two nodes at the core, in place of the sum of their ways there."""

    between: tuple[str, str]
    delay: Duration


class Generated(Section):
    """A matrix of round trips between so many hosts that nobody measured, and how much of it is no plane
    (`dmmlab.experiments.scenario.worlds`).
    """

    nodes: int = Field(ge=2, le=500)
    violations: Share = 0.0

    @model_validator(mode="after")
    def _can_be_had(self) -> Self:
        if self.violations > MOST_VIOLATIONS:
            raise ValueError(f"violations: at most {MOST_VIOLATIONS:.0%} of all triples; found {self.violations:.3g}")
        return self


class Geometry(Section):
    """Pair delays from a matrix of round trips (`geometry.expanded`): its file, or how to make one; who stands at which
    row of it (from 0), and what follows for each pair. With ``near``, places drawn at random have no longer round trip
    than that between the mobile routers of a couple: MR1 and MR2, MR3 and MR4, and so on.
    """

    matrix: str | None = None
    generate: Generated | None = None
    unit: Literal["rtt-ms"] = "rtt-ms"
    place: dict[str, int] | Literal["random"] = "random"
    near: Duration | None = None
    delays: tuple[PairDelay, ...] = ()

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.matrix is None) == (self.generate is None):
            raise ValueError("give a matrix, or generate one: matrix: FILE, or generate: {nodes: 60, violations: 6%}")
        if self.near is not None and self.place != "random" and not self.delays:
            raise ValueError("near: goes with place: random; whoever gives the rows says who is near whom")
        return self

    @property
    def source(self) -> str:
        """Where its round trips are from, in words."""
        if self.generate is not None:
            return f"a world of {self.generate.nodes} hosts, {self.generate.violations:.3g} of all triples no plane"
        return str(self.matrix)


class Ddns(Section):
    """The DDNS solution: TTL of the MNs' records, whether an old address stays beside the new one while the MN keeps
    it, and whether a correspondent caches what it learned (``forever`` is the draft's words taken literally).
    """

    ttl: Duration = 5.0
    old_address: Literal["remove", "keep"] = "remove"
    cn_cache: Literal["off", "ttl", "forever"] = "off"


class Registration(Section):
    """The registration server: how long a registration holds, and over what the nodes speak to the server.

    ``update`` is whether a node that moved registers its new address at once, or ``after`` that long (draft 4.2.2: its
    relayed sessions have another user plane meanwhile).
    """

    lifetime: Duration = 300.0
    control: Transport = "udp"
    update: Literal["at-once", "lazy"] = "at-once"
    after: Duration = 5.0

    @property
    def delay_s(self) -> float:
        """How long after it has a new address a node registers it, seconds."""
        return self.after if self.update == "lazy" else 0.0

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if self.delay_s > self.lifetime / 2:
            raise ValueError(
                f"after: {self.after:g}s is more than half the lifetime of {self.lifetime:g}s: "
                "the old registration could end before the new one"
            )
        return self


class Retry(Section):
    """What a correspondent does when nobody answers: after ``after`` it looks the mobile node up again and tries what
    it finds, ``attempts`` times in all. With method `fixed` there is nothing to look up.
    """

    after: Duration = 1.0
    attempts: int = Field(default=3, ge=1, le=10)


class Movement(Section):
    """At ``at`` seconds ``node`` loses its radio link, and has one to ``to`` after ``gap`` (break-before-make).

    With ``overlap`` it is make-before-break: at ``at`` its other radio has a link to ``to``, the first one's is gone
    ``overlap`` later. ``gap`` is 0 then.
    """

    at: Duration
    node: str
    to: str
    gap: Duration = 0.05
    overlap: Duration | None = None

    @property
    def over_s(self) -> float:
        """When it has its one link to ``to``, seconds."""
        return self.at + (self.gap if self.overlap is None else self.overlap)

    @model_validator(mode="before")
    @classmethod
    def _either(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("overlap") is None:
            return data
        if "gap" in data:
            raise ValueError("gap and overlap exclude each other: give one of them")
        return {**data, "gap": 0.0}

    @model_serializer(mode="wrap")
    def _as_given(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As a file has it, so that it can be read again."""
        data: dict[str, Any] = written(self)
        left_out = "overlap" if self.overlap is None else "gap"
        return {key: value for key, value in data.items() if key != left_out}


class Handover(Section):
    """What the network knows of a node's leaving, and does about it, where a movement is break-before-make.

    A node tells it ``announce`` before it leaves (as RFC 5568's predictive mode); with ``buffer`` the routers that its
    addresses are from keep what comes for it meanwhile.
    """

    announce: Annotated[Duration, Field(gt=0)] | None = None
    buffer: bool = False


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class Session(Section):
    """Sessions that a correspondent or a mobile node opens: one, or ``repeat`` of them ``every`` so often, by each
    ``method``.

    With ``interval`` and ``duration`` a session sends numbered probes; with ``size`` it is a bulk transfer over TCP;
    with ``run`` programs are started at its two ends for ``duration``; with none it is one request and its answer.
    """

    name: str
    at: Duration
    from_: str = Field(alias="from")
    to: str
    method: Annotated[tuple[MethodName, ...], BeforeValidator(_as_tuple)] = (next(iter(METHODS)),)
    transport: Annotated[tuple[Transport, ...], BeforeValidator(_as_tuple)] = ("udp",)
    anchor: str | None = None  # where nothing is asked: the MR whose address the correspondent knows (the first one)
    select: Select = DEFAULT  # which of several addresses that a lookup gave
    interval: Duration | None = None
    spacing: Literal["even", "random"] = "even"  # of probes: always the interval, or exponential with that mean
    duration: Duration | None = None
    size: Size | None = None
    service: str | None = None  # which of a node's services; the port is the one that the method gives
    run: Run | None = None  # programs of one's own
    repeat: int = Field(default=1, ge=1, le=100_000)
    every: Duration | None = None

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if not NAME.match(self.name):
            raise ValueError(f"name {self.name!r}: use a letter, then up to eight letters, digits or dashes")
        if self.run is None and (self.interval is None) != (self.duration is None):
            raise ValueError("interval and duration go together: give both or neither")
        if self.interval is not None and (self.interval <= 0 or not self.duration):
            raise ValueError("interval and duration must be greater than 0")
        if self.spacing == "random" and (self.interval is None or set(self.transport) != {"udp"}):
            raise ValueError(
                "spacing: random is that of probes over UDP: it needs interval, duration and transport: udp"
            )
        if self.size is not None and (self.interval is not None or set(self.transport) != {"tcp"}):
            raise ValueError("size makes a bulk transfer: it needs transport: tcp and no interval")
        if self.repeat > 1 and not self.every:
            raise ValueError("repeat needs every, the time between two sessions")
        if self.anchor is not None and any(METHODS[name].asks for name in self.method):
            idle = " or ".join(name for name, method in METHODS.items() if not method.asks)
            raise ValueError(f"anchor goes with method: {idle} only")
        policy = selection(self.select).policy
        if policy.compares and (
            set(self.transport) != {"udp"} or not all(METHODS[name].gives_all for name in self.method)
        ):
            able = " or ".join(name for name, method in METHODS.items() if method.gives_all)
            raise ValueError(f"select: {policy.name} needs transport: udp, and method {able}, which give all")
        return self


def _as_switch(value: object) -> object:
    """YAML reads ``on`` and ``off`` as truth values."""
    return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


class Addresses(Section):
    """What an MN does with an old address: it is released ``keep`` after it was deprecated (never, if not given).

    ``lifetime`` is the kind of address (RFC 8653 section 3.1): a ``fixed`` one is kept, with its redirect; a
    ``session-lasting`` one is given back, and its redirect goes, when its last session has ended; a ``non-persistent``
    one goes with the link, and has no redirect. A session over UDP that somebody else opened has ended when nothing
    has come for ``idle``.

    ``dad`` is duplicate address detection, IPv6's (RFC 4862 section 5.4): without it an address is the MN's at once,
    as with ``optimistic`` (RFC 4429), which looks for a duplicate meanwhile.

    With ``guard`` the access switches take from a node what comes from its own addresses, and nothing else
    (`dmmlab.controllers.guard`).
    """

    keep: Duration | None = None
    lease: Duration = 3600.0
    dad: Annotated[Dad, BeforeValidator(_as_switch)] = "off"
    lifetime: Lifetime = "fixed"
    idle: Duration = 1.0
    guard: bool = False


class Service(Section):
    """A service that every node has beside ``echo`` and ``bulk``: it echoes, too, on a port of its own."""

    name: str
    port: int = Field(ge=1024, le=65535)


class Identity(Section):
    """The DNS label of a node's permanent ID, where that is not its name: what a ledger of GUIDs has (`identities`)."""

    node: str
    label: str


class Scenario(Section):
    """A scenario: the keys of its file (docs/scenarios.md), times in seconds."""

    open_ended: ClassVar[bool] = False  # whether sessions are ordered while it is played (`playground`)

    name: Annotated[str, AfterValidator(_title)]
    family: Family = "ipv4"
    mobile_routers: tuple[str, ...] = Field(min_length=1)
    links: tuple[Link, ...]
    geometry: Geometry | None = None
    ddns: Ddns = Ddns()
    registration: Registration = Registration()
    # How nodes learn where the registration server is; with dns-sd also the DDNS server, and each other's IDs.
    discovery: Literal["configuration", "dns", "dns-sd"] = "configuration"
    retry: Retry = Retry()
    addresses: Addresses = Addresses()
    identities: tuple[Identity, ...] = ()
    services: tuple[Service, ...] = ()
    movement: tuple[Movement, ...] = ()
    mobility: tuple[Mobility, ...] = ()
    handover: Handover = Handover()
    costs: Costs = Costs()
    sessions: tuple[Session, ...] = ()
    faults: tuple[Fault, ...] = ()
    redirect: bool = True
    # What a redirect may go over: inter-MR links, or whatever is shortest, tunnels through the core included.
    transit: Literal["links", "shortest"] = "links"
    duration: Duration
    seed: int = Field(default=1, ge=0, lt=2**32)

    @cached_property
    def memo(self) -> dict[tuple[object, ...], Any]:
        """What closed forms have worked out from it once, by which it is and of whom (`oracle.memo.once`)."""
        return {}

    def __copy__(self) -> Self:
        """Without what was worked out from the keys: `model_copy` changes keys of the copy."""
        copied = super().__copy__()
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied

    # -- who takes part ---------------------------------------------------------------------------------------
    @cached_property
    def mobile_nodes(self) -> tuple[str, ...]:
        """Whatever has a radio link, in the order of the links."""
        return tuple(self.other_end(link, RADIO) for link in self.links if RADIO in link.between and link.at is None)

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        """Correspondents and servers: whatever has a link to the core and is no mobile router."""
        routers = set(self.mobile_routers)
        ends = (self.other_end(link, CORE) for link in self.links if CORE in link.between)
        return tuple(end for end in ends if end not in routers)

    @cached_property
    def correspondents(self) -> tuple[str, ...]:
        """The hosts that are none of the services."""
        return tuple(host for host in self.hosts if host not in SERVICES)

    @cached_property
    def ends(self) -> tuple[str, ...]:
        """Whoever may open a session, or have one opened to: correspondents and mobile nodes."""
        return (*self.correspondents, *self.mobile_nodes)

    @cached_property
    def openers(self) -> frozenset[str]:
        """Those that open a session."""
        return frozenset(session.from_ for session in self.sessions)

    @cached_property
    def program_nodes(self) -> tuple[str, ...]:
        """Nodes at which programs wait for sessions."""
        served = {s.to for s in self.sessions if s.run is not None and s.run.server is not None}
        return tuple(name for name in self.ends if name in served)

    @property
    def more_agents(self) -> int:
        """How many agents there are beside the one that each node has, for those that open sessions or run programs."""
        return self.mobile_openers + len(self.program_nodes)

    @cached_property
    def opened(self) -> frozenset[str]:
        """Those that a session is opened to."""
        return frozenset(session.to for session in self.sessions)

    def methods_of(self, opener: str) -> frozenset[str]:
        """The methods by which ``opener`` opens sessions."""
        return frozenset(name for session in self.sessions if session.from_ == opener for name in session.method)

    def selections_of(self, opener: str) -> tuple[Selection, ...]:
        """How the sessions that ``opener`` opens choose among addresses."""
        return tuple(selection(session.select) for session in self.sessions if session.from_ == opener)

    @property
    def fills_disk(self) -> bool:
        """Whether the disk beneath the registration server's database is ever full."""
        return any(fault.disk_full is not None for fault in self.faults)

    @property
    def kept_in_dns(self) -> frozenset[str]:
        """Services that are in the DNS whether a session looks them up or not."""
        return frozenset()

    @property
    def redirects(self) -> bool:
        """Whether anything is redirected."""
        return self.redirect and self.addresses.lifetime != "non-persistent"

    @property
    def mobile_openers(self) -> int:
        """How many mobile nodes open sessions."""
        return len(self.openers.intersection(self.mobile_nodes))

    @cached_property
    def peers(self) -> bool:
        """Whether a mobile node has a session with another one."""
        nodes = set(self.mobile_nodes)
        return any({session.from_, session.to} <= nodes for session in self.sessions)

    @cached_property
    def more_services(self) -> dict[str, int]:
        """Ports of the services that nodes have beside the usual ones, by name."""
        return {service.name: service.port for service in self.services}

    @cached_property
    def labels(self) -> dict[str, str]:
        """By node, the labels that are given."""
        return {identity.node: identity.label for identity in self.identities}

    def needs(self, service: str) -> bool:
        """Whether a method that any session is opened by needs ``service``."""
        return any(service in METHODS[name].needs for session in self.sessions for name in session.method)

    def moves_of(self, node: str) -> tuple[Movement, ...]:
        """The movements of ``node``, by their time."""
        return self._moves.get(node, ())

    @cached_property
    def moves(self) -> tuple[Movement, ...]:
        """All movements: those that are written, and then what ``mobility`` comes to, by time."""
        if not self.mobility:
            return self.movement
        written = [Leg(move.at, move.node, move.to, move.gap) for move in self.movement]
        drawn = (
            Movement.model_construct(at=leg.at_s, node=leg.node, to=leg.to, gap=leg.gap_s, overlap=leg.overlap_s)
            for leg in itineraries(self.mobility, written, self.ground, self.seed)
        )
        return (*self.movement, *drawn)

    @cached_property
    def ground(self) -> Ground:
        """What ``mobility`` is drawn on."""
        neighbours = {
            name: [self.other_end(link, name) for link in links] for name, links in self.inter_mr_links.items()
        }
        return Ground(self.mobile_routers, neighbours, self.duration, Movement.model_fields["gap"].default)

    def resolved(self) -> Self:
        """The same with all movements written: what a run's record has, and what its seed no longer changes."""
        return self.model_copy(update={"movement": self.moves, "mobility": ()}) if self.mobility else self

    @cached_property
    def _moves(self) -> dict[str, tuple[Movement, ...]]:
        moves: dict[str, list[Movement]] = defaultdict(list)
        for move in self.moves:
            moves[move.node].append(move)
        return {node: tuple(sorted(found, key=lambda move: move.at)) for node, found in moves.items()}

    def radio_of(self, node: str, turn: int) -> int:
        """Which of its radios ``node`` has for its movement number ``turn`` (from 0): each overlap takes the other."""
        return sum(move.overlap is not None for move in self.moves_of(node)[: turn + 1]) % 2

    def has_two_radios(self, node: str) -> bool:
        """Whether any of its movements is make-before-break."""
        return any(move.overlap is not None for move in self.moves_of(node))

    def link(self, one: str, other: str) -> Link | None:
        """The link between two ends, in either order; None if there is none."""
        return self._links.get((frozenset((one, other)), None))

    def radio(self, node: str, router: str) -> Link | None:
        """The radio link of mobile node ``node`` to mobile router ``router``; None if it is no mobile node."""
        return self._links.get((frozenset((RADIO, node)), router)) or self.link(RADIO, node)

    @cached_property
    def _links(self) -> dict[tuple[frozenset[str], str | None], Link]:
        return {(frozenset(link.between), link.at): link for link in reversed(self.links)}  # of two, the first

    @cached_property
    def inter_mr_links(self) -> dict[str, list[Link]]:
        """By mobile router, its links to others, in the order of the links."""
        routers = set(self.mobile_routers)
        found: dict[str, list[Link]] = defaultdict(list)
        for link in self.links:
            if routers.issuperset(link.between):
                for end in dict.fromkeys(link.between):
                    found[end].append(link)
        return dict(found)

    @cached_property
    def pairs(self) -> dict[frozenset[str], float]:
        """By two nodes at the core, the one-way delay between them where it is not the sum of their ways, seconds.

        A link says so (two mobile routers' is none: that is an inter-MR link), or else the geometry.
        """
        routers, at_core = set(self.mobile_routers), {*self.mobile_routers, *self.hosts}
        found: dict[frozenset[str], float] = {}
        if self.geometry is not None:
            found = {frozenset(pair.between): pair.delay for pair in self.geometry.delays}
        links = (link for link in self.links if at_core.issuperset(link.between))
        return found | {frozenset(link.between): link.delay for link in links if not routers.issuperset(link.between)}

    @staticmethod
    def other_end(link: Link, end: str) -> str:
        """The end of ``link`` that is not ``end``."""
        return link.between[0] if link.between[1] == end else link.between[1]
