"""``select`` of a session: a policy's name, or its name with parameters (``{hysteresis: {better_by: 5ms}}``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dmmlab.experiments.policies import POLICIES
from dmmlab.experiments.policies.base import Policy
from dmmlab.experiments.scenario.units import parse_duration, parse_share

Select = str | dict[str, dict[str, str | float]]
_PARSE = {"duration": parse_duration, "share": parse_share}


@dataclass(frozen=True)
class Selection:
    """A policy, and its parameters in seconds or shares."""

    policy: Policy
    parameters: Mapping[str, float]

    @property
    def key(self) -> str:
        """A name of its own for each policy with other parameters than the usual ones."""
        changed = [f"{n}={v:.12g}" for n, v in self.parameters.items() if v != self.policy.parameters[n].default]
        return " ".join([self.policy.name, *changed])


def selection(select: Select) -> Selection:
    """What ``select`` says; ValueError in one sentence for an unknown policy or parameter, or a bad value."""
    name, given = (select, {}) if isinstance(select, str) else _named(select)
    policy = POLICIES.get(name)
    if policy is None:
        raise ValueError(f"unknown policy {name!r}; known are {', '.join(POLICIES)}")
    for parameter in given:
        if parameter not in policy.parameters:
            known = ", ".join(policy.parameters) or "none"
            raise ValueError(f"select: {name} has no parameter {parameter!r}; it has {known}")
    values = {
        key: _PARSE[parameter.unit](given[key]) if key in given else parameter.default
        for key, parameter in policy.parameters.items()
    }
    return Selection(policy, values)


def _named(select: Mapping[str, Mapping[str, str | float]]) -> tuple[str, Mapping[str, str | float]]:
    if len(select) != 1:
        raise ValueError(f"select takes one policy, such as {{hysteresis: {{better_by: 5ms}}}}; found {len(select)}")
    return next(iter(select.items()))
