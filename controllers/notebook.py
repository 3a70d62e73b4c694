"""What a controller writes down, so that another one in its place knows it, whatever the switches have forgotten.

Switches' tables outlive a controller, and a controller switches that lose theirs. Only when both go at one time does
nobody know the bindings and where nodes are: then they are read here. Nor does a switch know by which DHCP client ID a
node is known, by which the controller tells a second radio of the node's that it has not yet heard.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmmlab.controllers.state import Binding

if TYPE_CHECKING:
    from dmmlab.controllers.core import Core


@dataclass(frozen=True)
class NotedBinding:
    """As `state.Binding`: whose address, by which radio's MAC, at which anchor, until when (ns, monotonic)."""

    mac: str
    hardware: str
    address: str
    anchor: int
    expires_ns: int | None


@dataclass(frozen=True)
class NotedSighting:
    """A mobile node was seen at a port of a switch, by its name, with a radio's MAC, at an instant (ns, monotonic)."""

    mac: str
    dpid: int
    port: str
    radio: str
    since_ns: int


@dataclass(frozen=True)
class NotedClient:
    """A DHCP client ID (hex), and the MAC that used it first."""

    client_id: str
    mac: str


@dataclass(frozen=True)
class Notes:
    """All that is noted."""

    bindings: tuple[NotedBinding, ...] = ()
    sightings: tuple[NotedSighting, ...] = ()
    clients: tuple[NotedClient, ...] = ()


class Notebook:
    """Notes in ``file``, which is written anew, whole or not at all, when they change."""

    def __init__(self, file: Path) -> None:
        self._file, self._written = file, Notes()

    def write(self, notes: Notes) -> None:
        """Takes the place of what was written before."""
        if notes == self._written:
            return
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps(asdict(notes)))
        draft.replace(self._file)
        self._written = notes

    def read(self) -> Notes:
        """What was written last; nothing if nothing was."""
        if not self._file.exists():
            return Notes()
        data: dict[str, list[dict[str, Any]]] = json.loads(self._file.read_text())
        return Notes(
            tuple(NotedBinding(**row) for row in data["bindings"]),
            tuple(NotedSighting(**row) for row in data["sightings"]),
            tuple(NotedClient(**row) for row in data["clients"]),
        )


def notes_of(core: "Core") -> Notes:
    """What ``core`` knows that another one could not work out."""
    bindings = (
        NotedBinding(each.mac, each.hardware, each.address, each.anchor, each.expires_ns)
        for each in core.bindings.values()
    )
    sightings = (
        NotedSighting(node.mac, at.dpid, name, at.radio, since_ns)
        for node in core.nodes.values()
        for at, since_ns in node.sightings.items()
        if (name := core.switches[at.dpid].name_of(at.port)) is not None
    )
    clients = (NotedClient(client_id.hex(), mac) for client_id, mac in core.identities.clients().items())
    return Notes(tuple(bindings), tuple(sightings), tuple(clients))


def recall(core: "Core", notes: Notes, now_ns: int) -> None:
    """Has ``core``, which has heard nothing yet, know it; where a node was seen counts if that port is still there."""
    for client in notes.clients:
        core.identities.recall(bytes.fromhex(client.client_id), client.mac)
    for each in notes.bindings:
        core.recall(Binding(each.mac, each.hardware, each.address, each.anchor, each.expires_ns), now_ns)
    for seen in notes.sightings:
        core.noted.setdefault(seen.dpid, []).append(seen)
