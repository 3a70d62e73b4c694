"""``movement`` and ``handover``: who goes where, when, and how."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from dmmlab.experiments.scenario.section import Section
from dmmlab.experiments.scenario.units import Duration


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
