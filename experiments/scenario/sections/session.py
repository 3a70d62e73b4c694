"""``sessions`` and ``services``: who opens what to whom, and what waits there."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.policies import DEFAULT
from dmmlab.experiments.scenario.programs import Run
from dmmlab.experiments.scenario.section import Section
from dmmlab.experiments.scenario.selection import Select, selection
from dmmlab.experiments.scenario.units import Duration, Size

Transport = Literal["udp", "tcp"]
NAME = re.compile(r"^[A-Za-z][A-Za-z0-9-]{0,8}\Z")  # of nodes and sessions


def _known(kind: str, names: Collection[str]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"unknown {kind} {value!r}; known are {', '.join(names)}")
        return value

    return AfterValidator(check)


MethodName = Annotated[str, _known("method", METHODS)]


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


class Service(Section):
    """A service that every node has beside ``echo`` and ``bulk``: it echoes, too, on a port of its own."""

    name: str
    port: int = Field(ge=1024, le=65535)
