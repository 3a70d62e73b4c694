"""What a selection policy costs a session: set-up, the round trip that it ends on, packets to the node's addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from dmmlab.experiments.policies import POLICIES
from dmmlab.experiments.policies.base import Offer

_NOBODY_S = 1.0  # how long is waited for an address that does not answer


class Chosen(NamedTuple):
    """The router of the address; until the first answer and the session's round trip, s; packets until then."""

    router: str
    setup_s: float
    path_s: float
    packets: int


def chosen(
    name: str, ways_s: Mapping[str, float], last: str | None = None, parameters: Mapping[str, float] | None = None
) -> Chosen:
    """What policy ``name`` comes to where the addresses are ``ways_s`` (one way, by router, newest first) away, and
    ``last`` is the one that this correspondent used before; ``parameters`` beside its defaults.
    """
    policy = POLICIES[name]
    known = {key: parameter.default for key, parameter in policy.parameters.items()} | dict(parameters or {})
    choice = policy.closed_form(Offer(ways_s, _NOBODY_S, last if last in ways_s else None, known))
    path_s = 2 * ways_s[choice.anchor]
    answered_s = choice.turn_s + path_s
    count = 1
    if choice.measuring_s:
        count = 1 + len(ways_s)
    elif name == "race":
        count = len(ways_s)
    elif name == "staggered":
        count = sum(turn * known["delay"] < answered_s for turn in range(len(ways_s)))
    return Chosen(choice.anchor, choice.measuring_s + answered_s, path_s, count)


def older_is_better(cn_new_s: float, cn_old_s: float, across_s: float) -> bool:
    """Whether the way by the old router is shorter than the direct one to the new router."""
    return cn_old_s + across_s < cn_new_s
