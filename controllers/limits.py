"""How much of what one sender makes up the controller remembers: else a flood would fill it, and the switches."""

from __future__ import annotations

from collections.abc import Mapping

from dmmlab.controllers.state import Binding

MOST_MACS = 16  # at a port: a radio has one, and what it bridges to a few
MOST_ADDRESSES = 32  # that one node forms of one prefix (temporary ones included, RFC 8981)
Port = tuple[int, int]  # datapath id, number


class Limits:
    """What has been seen at each port; what one node has claimed is in the bindings."""

    def __init__(self) -> None:
        self._macs: dict[Port, set[str]] = {}
        self._flooded: set[Port] = set()

    def admit(self, port: Port, mac: str) -> bool | None:
        """Whether ``mac`` is one of those that the port may have; None for the first that it may not."""
        macs = self._macs.setdefault(port, set())
        if mac in macs or len(macs) < MOST_MACS:
            macs.add(mac)
            return True
        if port in self._flooded:
            return False
        self._flooded.add(port)
        return None

    def port_gone(self, port: Port) -> None:
        """There is no such port any more."""
        self._macs.pop(port, None)
        self._flooded.discard(port)

    @staticmethod
    def claim(mac: str, anchor: int, bindings: Mapping[str, Binding]) -> bool:
        """Whether the node may have one more IPv6 address of this anchor's."""
        held = sum((each.mac, each.anchor) == (mac, anchor) for each in bindings.values())
        return held < MOST_ADDRESSES
