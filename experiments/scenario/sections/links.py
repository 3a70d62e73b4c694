"""``links`` and ``geometry``: the delays of a network."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from dmmlab.experiments.scenario.section import Section
from dmmlab.experiments.scenario.units import Duration, Rate, Share
from dmmlab.experiments.scenario.worlds import MOST_VIOLATIONS


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
