"""The key ``costs``: how long controller, server and nodes take over a message, in virtual time as in real time.

``controller: {packet_in}`` is what the controller takes over each copy of a frame, ``server: {register}`` what the
registration server takes over each message of its protocol, ``node: {dhcp}`` what a mobile node takes, once it has a
link, to ask for a lease. Each processor takes one message at a time, in order.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from dmmlab.experiments.scenario.mobility.files import durations_in
from dmmlab.experiments.scenario.section import Section
from dmmlab.experiments.scenario.units import Duration, format_duration
from dmmlab.machine.processing import Cost


class Time(Section):
    """A processing time: always ``constant``, or one of a ``file``'s durations (s), each as likely."""

    constant: Duration | None = None
    file: tuple[float, ...] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.constant is None) == (self.file is None):
            raise ValueError("give a duration, such as 1.2ms, or {file: FILE}, a CSV of durations in seconds")
        return self

    @property
    def words(self) -> str:
        """As a person says it."""
        if self.constant is not None:
            return format_duration(self.constant)
        values = sorted(self.file or ())
        return f"one of {len(values)} durations, median {format_duration(values[len(values) // 2])}"

    def cost(self, seed: int, whose: str) -> Cost:
        """For the processor ``whose``, in a scenario of ``seed``."""
        return Cost(self.file or (self.constant or 0.0,), f"{seed}/costs/{whose}")


def _as_time(value: object) -> object:
    return {"constant": value} if isinstance(value, str | int | float) else value


Taken = Annotated[Time, BeforeValidator(_as_time)]


def constant_s(time: Time | None) -> float:
    """What it always is, seconds: 0 if none is given; NaN if it is drawn."""
    if time is None:
        return 0.0
    return math.nan if time.constant is None else time.constant


class ControllerCosts(Section):
    """Of the controller."""

    packet_in: Taken | None = None


class ServerCosts(Section):
    """Of the registration server."""

    register_: Taken | None = Field(default=None, alias="register")


class NodeCosts(Section):
    """Of each mobile node."""

    dhcp: Taken | None = None


class Costs(Section):
    """Processing times, by whose they are."""

    controller: ControllerCosts = ControllerCosts()
    server: ServerCosts = ServerCosts()
    node: NodeCosts = NodeCosts()

    @property
    def packet_in_s(self) -> float:
        """Of the controller, as `constant_s`."""
        return constant_s(self.controller.packet_in)

    @property
    def register_s(self) -> float:
        """Of the registration server, as `constant_s`."""
        return constant_s(self.server.register_)

    @property
    def dhcp_s(self) -> float:
        """Of a node, as `constant_s`."""
        return constant_s(self.node.dhcp)

    @property
    def drawn(self) -> bool:
        """Whether one of them is drawn: then there are no closed forms."""
        return any(time.constant is None for time in self.given.values())

    @property
    def given(self) -> dict[str, Time]:
        """The times that are given, by the keys under which they stand."""
        times = {
            "controller: packet_in": self.controller.packet_in,
            "server: register": self.server.register_,
            "node: dhcp": self.node.dhcp,
        }
        return {name: time for name, time in times.items() if time is not None}


def read(costs: Any, folder: Path) -> Any:
    """``costs`` of a scenario, with what its files hold in the place of their names.

    Files are looked for in ``folder``. What is no mapping is given back as it is, for others to refuse.
    Raises `FileProblem`.
    """
    if not isinstance(costs, dict):
        return costs
    found: dict[str, Any] = {}
    for whose, times in costs.items():
        found[whose] = times
        if isinstance(times, dict):
            found[whose] = {key: _read_in(time, folder, f"{whose}: {key}") for key, time in times.items()}
    return found


def _read_in(time: Any, folder: Path, where: str) -> Any:
    if not isinstance(time, dict) or not isinstance(name := time.get("file"), str):
        return time
    return {**time, "file": durations_in(folder, name, f"{where}: file {name}", "processing time")}
