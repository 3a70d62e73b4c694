"""What a scenario is: the keys of its file, typed and frozen, and who takes part.

The keys are fixed by the project's contract (see docs/scenarios.md); unknown keys are errors. Each section is a class
of its own, in `sections` or, if it is more than keys, beside them (`costs`, `faults`, `mobility`). What must hold
between keys stands in `checks`, how a file is read in `load`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import SERVICES
from dmmlab.experiments.scenario.costs import Costs
from dmmlab.experiments.scenario.faults import Fault
from dmmlab.experiments.scenario.mobility.expansion import Ground, Leg, itineraries
from dmmlab.experiments.scenario.mobility.section import Mobility
from dmmlab.experiments.scenario.section import Section
from dmmlab.experiments.scenario.sections.addresses import Addresses, Identity
from dmmlab.experiments.scenario.sections.links import Geometry, Link
from dmmlab.experiments.scenario.sections.movement import Handover, Movement
from dmmlab.experiments.scenario.sections.servers import Ddns, Registration, Retry
from dmmlab.experiments.scenario.sections.session import Service, Session
from dmmlab.experiments.scenario.selection import Selection, selection
from dmmlab.experiments.scenario.units import Duration

Family = Literal["ipv4", "ipv6"]

CORE, RADIO, SWITCHES, CONTROLLER = "CORE", "radio", "switches", "CONTROLLER"
_TITLE = re.compile(r"[^\W_][\w .,+()-]{0,63}")  # of a scenario: the name of a folder


def title(value: str) -> str:
    """A run is kept in a folder of this name: no other folder can be named by it."""
    if not _TITLE.fullmatch(value):
        raise ValueError(f"{value!r} is no name of a folder: use letters, digits, spaces and .,+()-_, 64 at most")
    return value


class Scenario(Section):
    """A scenario: the keys of its file (docs/scenarios.md), times in seconds."""

    open_ended: ClassVar[bool] = False  # whether sessions are ordered while it is played (`playground`)

    name: Annotated[str, AfterValidator(title)]
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
