"""A scenario at the prompt: whatever its nodes can do may be asked for while it is played."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.policies import POLICIES
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.selection import Selection, selection


class Playground(Scenario):
    """The scenario, but all that it has nodes for is started, and every end may open a session to every other."""

    open_ended: ClassVar[bool] = True

    @classmethod
    def of(cls, scenario: Scenario) -> Playground:
        """``scenario`` with nothing added to its keys."""
        return cls.model_validate(scenario.model_dump(mode="json", by_alias=True))

    @cached_property
    def openers(self) -> frozenset[str]:
        """All ends."""
        return frozenset(self.ends)

    @cached_property
    def opened(self) -> frozenset[str]:
        """All ends."""
        return frozenset(self.ends)

    @cached_property
    def peers(self) -> bool:
        """Whether there are two mobile nodes."""
        return len(self.mobile_nodes) > 1

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that it has the servers for, in the registry's order."""
        return tuple(name for name, method in METHODS.items() if set(method.needs).issubset(self.hosts))

    def methods_of(self, opener: str) -> frozenset[str]:  # noqa: ARG002 - whoever it is
        """All that can be had."""
        return frozenset(self.methods)

    def selections_of(self, opener: str) -> tuple[Selection, ...]:  # noqa: ARG002 - whoever it is
        """All, with their usual parameters."""
        return tuple(selection(name) for name in POLICIES)

    @property
    def kept_in_dns(self) -> frozenset[str]:
        """All that it names, and those that a node always has."""
        return frozenset({"echo", "bulk", *self.more_services})

    def needs(self, service: str) -> bool:
        """Whether it has the node ``service``."""
        return any(service in METHODS[name].needs for name in self.methods)
