"""Mobile nodes that have announced that they leave: believed or not, held for, and expected where they said."""

from collections.abc import Callable, Mapping

from dmmlab.controllers import leaving
from dmmlab.controllers.holds import Holds
from dmmlab.controllers.identity import Identities
from dmmlab.controllers.messages import FrameCopied, PortAdded
from dmmlab.controllers.plan import Plan
from dmmlab.controllers.redirects import Redirects
from dmmlab.controllers.state import Binding, Location, MobileNode, Switch


class Departures:
    """What the core does about leaving; ``record`` writes to the timeline."""

    def __init__(
        self,
        plan: Plan,
        switches: Mapping[int, Switch],
        nodes: Mapping[str, MobileNode],
        bindings: Mapping[str, Binding],
        identities: Identities,
        redirects: Redirects,
        holds: Holds,
        record: Callable[..., None],
    ) -> None:
        self._plan, self._switches, self._nodes, self._bindings = plan, switches, nodes, bindings
        self._identities, self._redirects, self._holds, self._record = identities, redirects, holds, record

    def frame_copied(self, switch: Switch, event: FrameCopied) -> None:
        """A mobile node may say that it is about to leave: believed if it has been seen where it says so."""
        said = leaving.announcement(event.frame) if self._plan.announced else None
        if said is None:
            return
        radio = leaving.sender(event.frame)
        node, to = self._nodes.get(self._identities.of(radio)), self._switches.get(said.to)
        if node is None or node.location != Location(switch.plan.dpid, event.in_port, radio):
            return
        if to is None or to is switch:
            return
        node.leaves_for, node.port_name = said.to, switch.name_of(event.in_port) or ""
        places = {"serving": switch.plan.mobile_router, "to": to.plan.mobile_router}
        self._record("handover_expected", mn=node.mac, **places, lead_s=said.lead_s)
        self.hold(node)

    def port_added(self, switch: Switch, event: PortAdded, now_ns: int) -> str | None:
        """A mobile node's port: its first frame says whose it is, or who has announced that its port will be there.

        What that was about, if it is known.
        """
        port = (switch.plan.dpid, event.name)
        node = next((node for node in self._nodes.values() if (node.leaves_for, node.port_name) == port), None)
        if node is None or node.location is None:
            return None
        node.leaves_for = None
        node.expected = Location(switch.plan.dpid, event.number, node.location.radio)
        place = {"switch": switch.plan.name, "port": event.name, "serving": switch.plan.mobile_router}
        self._record("mn_expected", mn=node.mac, **place)
        self._redirects.refresh(node.mac, now_ns, "mn_expected")
        return "mn_expected"

    def hold(self, node: MobileNode) -> None:
        """The node is about to leave, or has left."""
        self._holds.hold(node.mac, [each for each in self._bindings.values() if each.mac == node.mac])
