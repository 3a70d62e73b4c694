"""What a selection policy is: which of the addresses that a lookup gave a session is opened on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple


class Offer(NamedTuple):
    """What a policy may know when it chooses: the addresses, by the mobile router that each is from, newest first.

    ``ways_s`` are their one-way delays; None where nobody answers, which takes ``wait_s`` to find out. ``last`` is the
    router of the address that this correspondent chose by this policy the last time; None the first time, or if the
    node has it no more.
    """

    ways_s: Mapping[str, float | None]
    wait_s: float
    last: str | None
    parameters: Mapping[str, float]

    def best(self) -> str:
        """The one with the lowest round trip; of equal ones the newest."""
        return min(self.ways_s, key=self.round_trip_s)

    def round_trip_s(self, router: str) -> float:
        """Of a probe and its answer; infinite where nobody answers."""
        way_s = self.ways_s[router]
        return float("inf") if way_s is None else 2 * way_s

    def measuring_s(self) -> float:
        """How long it takes to probe all at once and wait for every answer."""
        return max(min(self.round_trip_s(router), self.wait_s) for router in self.ways_s)

    def kept_unless(self, gains: Callable[[float, float], bool]) -> Choice:
        """All are measured; the address used before stays unless ``gains`` says so of the best one's round trip and its
        own, both in seconds.
        """
        best, last = self.best(), self.last
        stays = last is not None and not gains(self.round_trip_s(best), self.round_trip_s(last))
        return Choice(last if stays and last is not None else best, measuring_s=self.measuring_s())


class Choice(NamedTuple):
    """The router whose address the session ends up on; how much longer the lookup took for it, and how long after
    the session's opening this address had its turn, in seconds.
    """

    anchor: str
    measuring_s: float = 0.0
    turn_s: float = 0.0


@dataclass(frozen=True)
class Parameter:
    """What a policy can be told: a ``duration`` (``default`` in seconds) or a ``share`` (of 1)."""

    unit: Literal["duration", "share"]
    default: float
    words: str


@dataclass(frozen=True)
class Policy:
    """A way to choose an address.

    ``name`` is its key in scenarios (``select``), ``words`` what is said of it. ``side`` is its class on the node
    (``module:Class``, a `dmmlab.nodes.policies.base.Policy`), made with ``parameters``. ``closed_form`` says what it
    must come to. ``remembers`` means that it keeps what it chose for a node.
    """

    name: str
    words: str
    side: str
    closed_form: Callable[[Offer], Choice]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    compares: bool = True  # several addresses, and so needs a lookup that gives all
    remembers: bool = False
