"""A packet comes to whoever holds its address, and to nobody else."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from dmmlab.experiments.records.recording import Recording


def delivered_to_holders(recording: Recording) -> Iterator[str]:
    """No mobile node sees a packet from elsewhere to an address that is another node's."""
    holders = {address: name for name in recording.scenario.ends for address in recording.plan.addresses(name)}
    for node in recording.plan.mobile_nodes:
        macs = {radio.mac for radio in node.radios}
        for frame in recording.frames(node.name):
            holder = holders.get(frame.destination, node.name)
            if holder == node.name or frame.from_mac in macs or frame.to_mac not in macs or not frame.protocol:
                continue
            if ipaddress.ip_address(frame.destination).is_multicast:
                continue
            at_s = recording.since_start(frame.time_ns)
            yield f"{node.name} has a packet for {frame.destination} of {holder}, at {at_s} s"
            break
