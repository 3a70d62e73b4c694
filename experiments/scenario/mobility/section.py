"""The keys of ``mobility``: a model with its residence times, or a trace."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from dmmlab.experiments.scenario.mobility.models import MODELS
from dmmlab.experiments.scenario.section import Section
from dmmlab.experiments.scenario.units import Duration


def _known_model(name: str) -> str:
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; known are {', '.join(MODELS)}")
    return name


class Residence(Section):
    """How long a node stays at a router: always ``constant``, ``exponential`` with that mean, or one of a ``file``'s
    durations (s), each as likely.
    """

    constant: Duration | None = None
    exponential: Duration | None = None
    file: tuple[float, ...] | None = None

    @property
    def words(self) -> str:
        """As a person says it."""
        if self.constant is not None:
            return f"{self.constant:g} s at each router"
        if self.exponential is not None:
            return f"exponential, {self.exponential:g} s in the mean"
        return f"one of {len(self.file or ())} durations"

    @model_validator(mode="after")
    def _one(self) -> Self:
        ways = {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}
        if len(ways) != 1:
            raise ValueError(f"give one of {', '.join(type(self).model_fields)}, such as {{exponential: 10s}}")
        if not all(ways.values()):
            raise ValueError("must be longer than 0")
        return self


class Row(Section):
    """A row of a trace: at ``time_s`` the node leaves for ``mr``, where it is ``gap_s`` later (None: as always).

    With ``overlap_s`` it has a second radio there at once, and the first no more so much later.
    """

    time_s: float
    node: str
    mr: str
    gap_s: float | None = None
    overlap_s: float | None = None


class Mobility(Section):
    """Itineraries: of ``nodes`` by a ``model``, or as a ``trace`` has them."""

    nodes: tuple[str, ...] = ()
    model: Annotated[str, AfterValidator(_known_model)] | None = None
    residence: Residence | None = None
    routers: tuple[str, ...] = ()  # that the nodes go to; all, if none are named
    from_: Duration = Field(default=0.0, alias="from")
    until: Duration | None = None  # the scenario's end, if not given
    gap: Duration | None = None
    overlap: Duration | None = None
    passing: Duration = 2.0  # of a commuter, at each router on the way
    trace: tuple[Row, ...] | None = None

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.trace is not None:
            if extra := self.model_fields_set - {"trace"}:
                names = ", ".join(sorted("from" if name == "from_" else name for name in extra))
                raise ValueError(f"a trace says all of its nodes' movements; leave out {names}")
            return self
        if self.model is None or self.residence is None or not self.nodes:
            raise ValueError("give nodes, model and residence, or a trace")
        if self.until is not None and self.until <= self.from_:
            raise ValueError(f"until {self.until:g}s is not after from {self.from_:g}s")
        if self.gap is not None and self.overlap is not None:
            raise ValueError("gap and overlap exclude each other: give one of them")
        if not self.passing:
            raise ValueError("passing must be longer than 0")
        return self

    @cached_property
    def moved(self) -> tuple[str, ...]:
        """The nodes that it moves."""
        return self.nodes or tuple(dict.fromkeys(row.node for row in self.trace or ()))
