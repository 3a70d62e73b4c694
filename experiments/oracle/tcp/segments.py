"""What two ends of a connection send to each other, and what a sender keeps of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# Under way, if not lost there; by its own link; it has no route; it waits for the MAC of a router that does not answer.
Fate = Literal["sent", "dropped", "unreachable", "held"]


class Beyond(Exception):
    """The connection has come into a state that is not modelled."""


@dataclass
class Segment:
    """What one end sends to the other: bytes ``first`` to ``end``, and what it has had of the other's."""

    first: int
    end: int
    acknowledges: int
    selected: tuple[tuple[int, int], ...]
    duplicate: bool  # the first of ``selected`` is what came twice (RFC 2883)
    stamp_ms: int
    echoed_ms: int
    taken: bool = False  # by who reads at the other end: nobody holds it any more


@dataclass
class Sent:
    """Bytes that are not acknowledged yet: as one segment, sent the last time at ``sent_us``."""

    first: int
    end: int
    sent_us: int
    segment: Segment | None
    selected: bool = False
    lost: bool = False
    again: bool = False  # sent again, and not lost again
    ever_again: bool = False
    watched: bool = True  # not found to be lost since it was sent
