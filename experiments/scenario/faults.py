"""Faults (``faults``): what breaks, when, and for how long; after that it is as it was.

A fault is of one kind. Processes crash (SIGKILL, and are started again) or are paused (SIGSTOP, SIGCONT); links are cut
or impaired; the resolver answers otherwise; the disk beneath the registration server's database is full; the clock that
all hosts go by is put forward, and back. What survives each, and what recovers within which time, is in docs/faults.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from dmmlab.experiments.methods.base import RESOLVER, SERVER, SERVICES
from dmmlab.experiments.scenario.section import Section
from dmmlab.experiments.scenario.units import Duration, Share, format_duration

if TYPE_CHECKING:
    from dmmlab.experiments.scenario.model import Scenario

SWITCHES, CONTROLLER = "switches", "CONTROLLER"  # as links name them
Way = Literal["out", "in", "both"]
Dns = Literal["servfail", "truncated", "silent"]


class Impair(Section):
    """What a link does to packets besides what it does anyway, in the directions that ``way`` names.

    ``loss`` comes in bursts of ``burst`` packets on average (Gilbert's model); ``delay`` is added, one-way.
    """

    between: tuple[str, str]
    way: Way = "both"
    loss: Share = 0.0
    burst: Annotated[float, Field(ge=1, le=1000)] = 1.0
    duplicate: Share = 0.0
    reorder: Share = 0.0
    corrupt: Share = 0.0
    delay: Duration = 0.0

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.loss or self.duplicate or self.reorder or self.corrupt or self.delay):
            raise ValueError("nothing is impaired; give loss, duplicate, reorder, corrupt or delay")
        if self.burst > 1 and not self.loss:
            raise ValueError("burst is how many packets are lost in a row; give loss, too")
        if self.burst > 1 and self.loss > 1 - 1 / (1 + self.burst):
            raise ValueError(f"loss of {self.loss:.0%} in bursts of {self.burst:g}: no gap would be a packet long")
        return self


class Fault(Section):
    """At ``at`` seconds something breaks, of exactly one kind, and ``for`` that long.

    ``crash``, ``pause`` and ``disk-full`` name whose processes; ``partition`` a link, of which ``way`` is cut: ``out``
    from the first to the second, ``in`` the other way; ``clock-step`` says by how much CLOCK_REALTIME is put forward.
    """

    at: Duration
    for_: Annotated[Duration, Field(gt=0)] = Field(alias="for")
    crash: str | None = None
    pause: str | None = None
    partition: tuple[str, str] | None = None
    way: Way = "both"
    impair: Impair | None = None
    dns: Dns | None = None
    disk_full: str | None = Field(default=None, alias="disk-full")
    clock_step: Annotated[Duration, Field(gt=0)] | None = Field(default=None, alias="clock-step")

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        given = self._kinds
        if len(given) != 1:
            found = " and ".join(given) if given else "none"
            raise ValueError(f"a fault is of one kind, of {', '.join(KINDS)}; found {found}")
        if self.way != "both" and self.partition is None:
            raise ValueError("way goes with partition, or into impair")
        return self

    @model_serializer(mode="wrap")
    def _as_given(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As a file has it: of the kinds only its own."""
        data: dict[str, Any] = written(self)
        kept = {"at", "for", "for_", *self._kinds, self.kind, *(["way"] if self.partition is not None else [])}
        return {key: value for key, value in data.items() if key in kept}

    @property
    def _kinds(self) -> list[str]:
        return [kind for kind, name in KINDS.items() if getattr(self, name) is not None]

    @property
    def kind(self) -> str:
        """Which kind it is, as a file names it."""
        return self._kinds[0]

    @property
    def over_s(self) -> float:
        """When it is over, seconds."""
        return self.at + self.for_

    @property
    def link(self) -> tuple[str, str] | None:
        """The link that it concerns, if it does one."""
        return self.impair.between if self.impair is not None else self.partition

    @property
    def directions(self) -> tuple[tuple[str, str], ...]:
        """The directions of its link that it concerns, each from one end to the other."""
        if self.link is None:
            return ()
        way, (one, other) = self.impair.way if self.impair is not None else self.way, self.link
        return {"out": ((one, other),), "in": ((other, one),), "both": ((one, other), (other, one))}[way]

    @property
    def target(self) -> str | None:
        """Whose processes it concerns, if any's."""
        return RESOLVER if self.dns is not None else self.crash or self.pause or self.disk_full

    @property
    def parties(self) -> list[str]:
        """Whose processes it concerns, or the ends of the link."""
        return [self.target] if self.target is not None else [*(self.link or ())]

    @property
    def words(self) -> str:
        """What it is, as a person says it."""
        if self.impair is not None:
            parts = self.impair.model_dump(mode="json", exclude_defaults=True, exclude={"between", "way"})
            done = f"{' - '.join(self.impair.between)} impaired: {', '.join(f'{k} {v}' for k, v in parts.items())}"
            return done + ("" if self.impair.way == "both" else f" ({self.impair.way} only)")
        if self.partition is not None:
            return f"{' - '.join(self.partition)} cut" + ("" if self.way == "both" else f" ({self.way} only)")
        if self.dns is not None:
            answers = {"servfail": "SERVFAIL", "truncated": "over UDP by a truncated message", "silent": "nothing"}
            return f"{RESOLVER} answers {answers[self.dns]}"
        if self.clock_step is not None:
            return f"all hosts' clock is put {format_duration(self.clock_step)} forward"
        return {"crash": "{} is killed", "pause": "{} stands still", "disk-full": "the disk of {} is full"}[
            self.kind
        ].format(self.target)


# By the name that a file has for it, the field.
KINDS = {
    "crash": "crash",
    "pause": "pause",
    "partition": "partition",
    "impair": "impair",
    "dns": "dns",
    "disk-full": "disk_full",
    "clock-step": "clock_step",
}


def targets(scenario: Scenario) -> tuple[str, ...]:
    """Whose processes there are in ``scenario``: a mobile router's is its DHCP server, or what advertises it."""
    servers = (name for name in SERVICES if scenario.needs(name))
    busy = (name for name in scenario.correspondents if name in scenario.openers | scenario.opened)
    return (*servers, CONTROLLER, SWITCHES, *scenario.mobile_routers, *scenario.mobile_nodes, *busy)


def problems(scenario: Scenario) -> Iterator[str]:
    """What of the faults cannot be, a sentence each."""
    known = targets(scenario)
    for number, fault in enumerate(scenario.faults, 1):
        where = f"faults: entry {number} ({fault.kind})"
        if fault.over_s > scenario.duration:
            yield f"{where}: ends at {fault.over_s:g}s, after the scenario's duration of {scenario.duration:g}s"
        if fault.link is not None and scenario.link(*fault.link) is None:
            links = ", ".join(f"[{', '.join(link.between)}]" for link in scenario.links if link.at is None)
            yield f"{where}: no link between [{', '.join(fault.link)}]; known are {links}"
        elif fault.link is not None and frozenset(fault.link) in scenario.pairs:
            yield f"{where}: [{', '.join(fault.link)}] is a delay and no link; name a link of either to CORE"
        if fault.disk_full not in (None, SERVER):
            yield f"{where}: {fault.disk_full} keeps nothing on a disk of its own; use disk-full: {SERVER}"
        elif fault.target is not None and fault.target not in known:
            yield f"{where}: {fault.target}: nothing runs there; known are {', '.join(known)}"
    for (one, first), (other, second) in combinations(enumerate(scenario.faults, 1), 2):
        same = _subject(first) == _subject(second)
        if same and first.at <= second.over_s and second.at <= first.over_s:
            yield f"faults: entries {one} and {other} concern the same at one time; let the first end before the other"


def _subject(fault: Fault) -> object:
    return fault.target if fault.link is None else frozenset(fault.link)
