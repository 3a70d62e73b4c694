"""Which addresses' routers keep what comes for a mobile node that is between two links, and when they deliver it."""

from collections.abc import Mapping

from dmmlab.controllers.leaving import order
from dmmlab.controllers.messages import Command, SendFrame
from dmmlab.controllers.state import Binding, Switch
from dmmlab.controllers.updates import NS, Updates

# Open vSwitch acts by cached flows, and looks them over at most every 5 ms (its revalidators): so long after it has
# confirmed a rule it may still do what the one before said.
_CACHED_NS = 6_000_000


class Holds:
    """The addresses that are held, by mobile node, and whether it has arrived: what has waited may go once the switches
    have confirmed its way, and go by it, which a router waits for.

    ``enabled=False`` is a network whose routers keep nothing. ``out`` is the list that commands are appended to.
    """

    def __init__(self, switches: Mapping[int, Switch], updates: Updates, out: list[Command], enabled: bool) -> None:
        self._switches, self._updates, self._out, self._enabled = switches, updates, out, enabled
        self._held: dict[str, dict[str, Binding]] = {}
        self._arrived: set[str] = set()
        self._changing: set[str] = set()  # whose way is not confirmed
        self._due_ns: dict[str, int] = {}  # when switches go by what they have confirmed

    def hold(self, mac: str, bindings: list[Binding]) -> None:
        """The node is about to leave, or has left: its addresses' routers keep what comes."""
        if not self._enabled:
            return
        self._arrived.discard(mac)
        held = self._held.setdefault(mac, {})
        for binding in bindings:
            if binding.address not in held:
                held[binding.address] = binding
                self._tell(binding, hold=True)

    def arrived(self, mac: str) -> None:
        """The node has been heard at another port."""
        if mac in self._held:
            self._arrived.add(mac)

    def end(self, binding: Binding) -> None:
        """The address is no more."""
        if self._held.get(binding.mac, {}).pop(binding.address, None) is not None:
            self._tell(binding, hold=False)

    def settle(self, now_ns: int) -> None:
        """Has what waits delivered where the node has arrived and every switch on the way goes by its rules."""
        if not self._held:
            return
        changing = {change.mac for change in self._updates.open.values()}
        for mac in self._changing - changing:
            self._due_ns[mac] = now_ns + _CACHED_NS
        self._changing = changing
        for mac in sorted(self._arrived - changing):
            self._arrived.discard(mac)
            in_s = max(0, self._due_ns.get(mac, 0) - now_ns) / NS
            for binding in self._held.pop(mac, {}).values():
                self._tell(binding, hold=False, in_s=in_s)

    def _tell(self, binding: Binding, hold: bool, in_s: float = 0.0) -> None:
        switch = self._switches[binding.anchor]
        port = switch.router_port()
        if port is None or not switch.connected:
            return
        frame = order(switch.plan, hold, binding.address, binding.hardware, in_s)
        self._out.append(SendFrame(binding.anchor, port, frame))
        event = "hold_ordered" if hold else "release_ordered"
        self._updates.record(event, mn=binding.mac, address=binding.address, anchor=switch.plan.mobile_router)
