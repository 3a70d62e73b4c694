"""``ddns``, ``registration``, ``retry``: how nodes become known, and what is done when nobody answers."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from dmmlab.experiments.scenario.section import Section
from dmmlab.experiments.scenario.sections.session import Transport
from dmmlab.experiments.scenario.units import Duration


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
