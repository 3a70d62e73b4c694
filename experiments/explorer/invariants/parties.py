"""Sessions are between those that the scenario has them between."""

from __future__ import annotations

from collections.abc import Iterator

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import SERVER
from dmmlab.experiments.records.recording import Recording
from dmmlab.nodes.orders import BULK_PORT, ECHO_PORT


def sessions_asked_for(recording: Recording) -> Iterator[str]:
    """What comes to a node's services is from who opens a session to it, or from the relay of one that is relayed."""
    plan, seen = recording.plan, set[tuple[str, str]]()
    for node in recording.scenario.ends:
        asked = [spec for spec in recording.specs if spec.mn == node]
        may = {address for spec in asked for address in plan.addresses(spec.cn)}
        if any(METHODS[spec.method].relayed for spec in asked):
            may |= plan.addresses(SERVER)
        own = plan.addresses(node)
        for frame in recording.frames(node):
            comes = frame.destination in own and frame.destination_port in (ECHO_PORT, BULK_PORT)
            if comes and frame.source not in may and (node, frame.source) not in seen:
                seen.add((node, frame.source))
                yield f"{frame.source} sends to the services of {node}, at {recording.since_start(frame.time_ns)} s"
