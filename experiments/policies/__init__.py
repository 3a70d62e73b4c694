"""The selection policies, the default first. A new one is a module of this folder and a line here."""

from __future__ import annotations

from importlib import import_module

from dmmlab.experiments.policies.base import Policy

_MODULES = (
    "latest",
    "anchor",
    "cached",
    "lowest_rtt",
    "hysteresis",
    "scored",
    "race",
    "staggered",
)
POLICIES: dict[str, Policy] = {
    policy.name: policy for policy in (import_module(f"{__name__}.{module}").POLICY for module in _MODULES)
}
DEFAULT = next(iter(POLICIES))
