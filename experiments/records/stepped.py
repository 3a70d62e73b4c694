"""Captures of a run in which the machine's clock was put forward for a while: when their packets were in truth.

Stamps are the kernel's, by CLOCK_REALTIME, and in each capture's file for good. As the clock goes back, they come a
second time; so the runner has counted, at that instant, the packets that each host had seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Stamp = Callable[[int], int]  # from a packet's stamp to its time (ns), called for each in the capture's order


@dataclass(frozen=True)
class Stretch:
    """From ``from_ns`` on (ns since the epoch) the clock was ``by_ns`` ahead, for so many packets of each capture."""

    from_ns: int
    by_ns: int
    packets: Mapping[str, int]


def stretches(events: Iterable[Mapping[str, Any]]) -> list[Stretch]:
    """What the runner's ``clock_stepped`` events say, in order: each forward step and the one back."""
    found = []
    for began, ended in pairwise(events):
        if (by_ns := round(began["by_s"] * 1e9)) > 0:
            packets = {name: number - began["frames"].get(name, 0) for name, number in ended["frames"].items()}
            found.append(Stretch(began["time_ns"], by_ns, packets))
    return found


def stamps(of: Iterable[Stretch], capture: str) -> Stamp:
    """Puts the stamps of ``capture`` right."""
    # Of one without a packet nothing here tells when it is over: the next one's stamps may be before it would begin.
    coming = [stretch for stretch in of if stretch.packets.get(capture)]
    last_ns = left = 0  # of the stretch that the capture is in: its last stamp, and how many packets are to come

    def put_right(stamp_ns: int) -> int:
        nonlocal last_ns, left
        while coming:
            stretch = coming[0]
            if not last_ns:
                if stamp_ns < stretch.from_ns + stretch.by_ns:
                    return stamp_ns
                left = stretch.packets[capture]
            if left > 0 and stamp_ns >= last_ns:
                last_ns, left = stamp_ns, left - 1
                return stamp_ns - stretch.by_ns
            coming.pop(0)
            last_ns = 0
        return stamp_ns

    return put_right
