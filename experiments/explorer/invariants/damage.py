"""Packets with a bit changed on their way: whoever they reach drops them for their checksum, captures have them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from dmmlab.experiments.records.recording import Recording

_UNDER_WAY_S = 2.0


def damaged(recording: Recording, time_ns: int, address: str, meant: Iterable[str]) -> bool:
    """Whether ``address``, in a packet of ``time_ns``, is one of those ``meant`` with a bit changed by a link
    that does so at that time.
    """
    at_s = recording.since_start(time_ns)
    faults = (fault for fault in recording.scenario.faults if fault.impair is not None and fault.impair.corrupt)
    if not any(fault.at <= at_s <= fault.over_s + _UNDER_WAY_S for fault in faults):
        return False
    seen = int(ipaddress.ip_address(address))
    return any((seen ^ int(ipaddress.ip_address(each))).bit_count() == 1 for each in meant)
