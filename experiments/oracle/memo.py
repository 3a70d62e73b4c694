"""Closed forms that others ask for again and again are worked out once for each scenario."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from dmmlab.experiments.scenario.model import Scenario

Of = ParamSpec("Of")  # whom and what of: names and numbers
Result = TypeVar("Result")


def once(form: Callable[Concatenate[Scenario, Of], Result]) -> Callable[Concatenate[Scenario, Of], Result]:
    """``form``, which remembers in the scenario what it came to (`Scenario.memo`): nobody may change that."""

    @wraps(form)
    def remembered(scenario: Scenario, /, *of: Of.args, **named: Of.kwargs) -> Result:
        key = (form, *of, *named.values())
        if key not in scenario.memo:
            scenario.memo[key] = form(scenario, *of, **named)
        found: Result = scenario.memo[key]
        return found

    return remembered
