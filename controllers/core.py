"""Decides: from what the switches report to the rules that they should have. No sockets, no clock, no OpenFlow.

The core learns a mobile node's movement from port status and first frames, its bindings from DHCP overheard, and
redirects every address whose anchor is not the serving mobile router. Everything that it needs after a restart is in
the switches' own tables: sightings in ADMIT, bindings in LEDGER.

Handlers only take in what an event says, and return what it was about, if about anything: :meth:`Core.receive` sends,
after each event, what the switches then lack, and that is the cause which the timeline gives for it.
"""

from collections.abc import Callable
from typing import Any

from dmmlab.controllers import dhcp, flows, messages, nd
from dmmlab.controllers.departures import Departures
from dmmlab.controllers.guard import Guard
from dmmlab.controllers.holds import Holds
from dmmlab.controllers.identity import Identities
from dmmlab.controllers.limits import Limits
from dmmlab.controllers.messages import Command, Event, ReportRules, SendFrame
from dmmlab.controllers.notebook import NotedSighting
from dmmlab.controllers.plan import Plan
from dmmlab.controllers.redirects import Redirects
from dmmlab.controllers.rules import Kind, Rule, is_own, tag_mac
from dmmlab.controllers.state import Binding, Location, MobileNode, Switch
from dmmlab.controllers.unheard import Unheard, is_arp, source_address
from dmmlab.controllers.updates import DRAINED, NS, Updates, seconds

MOST_NODES = 10_000  # with their MACs; a scenario has 2,000 at most
OTHER = "other"  # the cause of what is left to send after an event that was about nothing


class Core:
    """All decisions of one controller; ``redirect=False`` learns and reports but redirects nothing."""

    def __init__(self, plan: Plan, redirect: bool = True) -> None:
        self.plan = plan
        self.switches = {each.dpid: Switch(each) for each in plan.switches}
        self.nodes: dict[str, MobileNode] = {}
        self.bindings: dict[str, Binding] = {}
        self.identities = Identities()
        self._out: list[Command] = []
        self.updates = Updates(
            self.switches,
            self._out,
            held=lambda rule: self.redirects.held(rule),
            lingers=lambda rule: self.redirects.lingers(rule),
        )
        known = self.switches, self.nodes, self.bindings
        self.redirects = Redirects(plan, *known, self.updates, redirect, self.identities.radios)
        self.holds = Holds(self.switches, self.updates, self._out, plan.buffered and redirect)
        self.departures = Departures(plan, *known, self.identities, self.redirects, self.holds, self.updates.record)
        self.guard = Guard(plan, *known, self.identities, self.updates.book)
        self.limits, self.unheard = Limits(), Unheard(self.nodes, self.bindings, plan.family)
        self.ready = False
        self.noted: dict[int, list[NotedSighting]] = {}  # by switch: where nodes were, to the core before this one
        self._router_macs = {each.router_mac for each in plan.switches}
        self._handlers: dict[type, Callable[[Any, int], str | None]] = {
            messages.SwitchConnected: self._switch_connected,
            messages.SwitchLost: self._switch_lost,
            messages.RulesReported: self._rules_reported,
            messages.PortAdded: self._port_added,
            messages.PortRemoved: self._port_removed,
            messages.FrameCopied: self._frame_copied,
            messages.RuleRemoved: self._rule_removed,
            messages.BarrierReplied: self._barrier_replied,
            messages.DeadlinePassed: self._deadline_passed,
        }

    def receive(self, event: Event, now_ns: int) -> list[Command]:
        """Take one event at a time (ns, any epoch, never backwards) and return what is to be done, in order."""
        cause = self._handlers[type(event)](event, now_ns)
        for node in self.unheard.settled(now_ns):
            self._assign_sightings(node)
        if cause is not None or self.updates.book.changed:
            self.updates.flush(now_ns, cause or OTHER)
        self.holds.settle(now_ns)
        commands = list(self._out)
        self._out.clear()
        return commands

    def deadline_ns(self) -> int | None:
        """When to come back with DeadlinePassed; None if there is nothing to wait for."""
        deadlines = (self.updates.deadline_ns(), self.unheard.deadline_ns())
        return min((each for each in deadlines if each is not None), default=None)

    # Switches

    def _switch_connected(self, event: messages.SwitchConnected, now_ns: int) -> str | None:
        switch = self.switches.get(event.dpid)
        if switch is None:
            self.updates.record("switch_unknown", dpid=event.dpid)
            return None
        switch.connected, switch.synced = True, False
        self.updates.book.forget(event.dpid)
        self.updates.record("switch_connected", switch=switch.plan.name, ports=sorted(event.ports))
        for name, number in list(switch.ports.items()):
            if event.ports.get(name) != number:
                self._port_gone(switch, name, now_ns)
        switch.ports = dict(event.ports)
        self._out.append(ReportRules(event.dpid))
        return None

    def _switch_lost(self, event: messages.SwitchLost, _now_ns: int) -> str | None:
        switch = self.switches.get(event.dpid)
        if switch is not None and switch.connected:
            switch.connected = switch.synced = False
            self.updates.book.forget(event.dpid)
            self.updates.record("switch_lost", switch=switch.plan.name)
        return None

    def _rules_reported(self, event: messages.RulesReported, now_ns: int) -> str | None:
        switch = self.switches.get(event.dpid)
        if switch is None or not switch.connected:
            return None
        own = [(rule, age_s) for rule, age_s in event.rules if is_own(rule.cookie)]
        self.updates.book.report(event.dpid, [rule for rule, _ in own])
        switch.synced = switch.seen = True
        self.redirects.settled = all(each.seen for each in self.switches.values())
        for rule, age_s in own:
            self._relearn(switch, rule, now_ns - int(age_s * NS), now_ns)
        for seen in self.noted.pop(event.dpid, ()):
            if (port := switch.ports.get(seen.port)) is not None:
                self._sight(seen.mac, Location(event.dpid, port, seen.radio), seen.since_ns, "mn_relearned")
        for node in self.unheard.switch_reported(switch, now_ns):
            self._assign_sightings(node)
        self._renew_ledger(switch, now_ns)
        self._assign_base(switch)
        self.redirects.refresh_all(now_ns, "relearned")
        for each in self.switches.values() if self.redirects.settled else ():
            self.guard.switch(each)
        switch.sync_token = self.updates.ask(event.dpid)
        return "base"

    def _relearn(self, switch: Switch, rule: Rule, since_ns: int, now_ns: int) -> None:
        dpid, radio, mac = switch.plan.dpid, str(rule.get("eth_src")), tag_mac(rule.tag)
        if rule.kind in (Kind.SIGHTING, Kind.BINDING):
            self._join(radio, mac, now_ns)
        if rule.kind is Kind.SIGHTING:
            location = Location(dpid, int(rule.get("in_port") or 0), radio)
            name = switch.name_of(location.port)
            if name is not None and switch.role(name) == "mobile_node":
                self._sight(mac, location, since_ns, "mn_relearned")
        elif rule.kind is Kind.BINDING:
            address = next(str(value) for name, value in rule.match if name in ("ipv4_src", "ipv6_src"))
            if address not in self.bindings:
                expires_ns = since_ns + rule.hard_timeout_s * NS if rule.hard_timeout_s else None
                self._bind(Binding(mac, radio, address, dpid, expires_ns), now_ns, "binding_relearned")

    def recall(self, binding: Binding, now_ns: int) -> None:
        """The core before this one knew it."""
        self._join(binding.hardware, binding.mac, now_ns)
        self._bind(binding, now_ns, "binding_relearned")

    def _renew_ledger(self, switch: Switch, now_ns: int) -> None:
        """Leases that ran out while the switch was away are over; the others go on where they were."""
        for binding in [each for each in self.bindings.values() if each.anchor == switch.plan.dpid]:
            if binding.expires_ns is not None and binding.expires_ns <= now_ns:
                self._unbind(binding, now_ns, "binding_expired")
            else:
                self._assign_ledger(binding, now_ns)

    def _assign_base(self, switch: Switch) -> None:
        dpid = switch.plan.dpid
        rules = flows.base(switch.plan, switch.ports, self.plan.family, self.plan.releases)
        self.updates.book.assign(("base", dpid), {dpid: rules + flows.leaving(self.plan)})

    # Ports and mobile nodes

    def _port_added(self, event: messages.PortAdded, now_ns: int) -> str | None:
        switch = self.switches.get(event.dpid)
        if switch is None or switch.ports.get(event.name) == event.number:
            return None
        if event.name in switch.ports:
            self._port_gone(switch, event.name, now_ns)
        switch.ports[event.name] = event.number
        role = switch.role(event.name)
        self.updates.record("port_added", switch=switch.plan.name, port=event.name, role=role)
        if role == "mobile_node":
            self.guard.port(switch, event.name)
            return self.departures.port_added(switch, event, now_ns)
        self._assign_base(switch)
        self.redirects.refresh_all(now_ns, "port_added")
        return "port_added"

    def _port_removed(self, event: messages.PortRemoved, now_ns: int) -> str | None:
        switch = self.switches.get(event.dpid)
        if switch is None or switch.ports.get(event.name) != event.number:
            return None
        role = switch.role(event.name)
        self.updates.record("port_removed", switch=switch.plan.name, port=event.name, role=role)
        moved = self._port_gone(switch, event.name, now_ns)
        if role != "mobile_node":
            self._assign_base(switch)
            self.redirects.refresh_all(now_ns, "port_removed")
        for node in moved:
            self.redirects.refresh(node.mac, now_ns, "port_removed")
        return "port_removed"

    def _port_gone(self, switch: Switch, name: str, now_ns: int) -> list[MobileNode]:
        """Forget a port and who was seen there; the mobile nodes that are elsewhere because of it."""
        here = (switch.plan.dpid, switch.ports.pop(name))
        self.guard.port(switch, name)
        self.limits.port_gone(here)
        self.unheard.port_gone(here)
        moved = []
        for node in self.nodes.values():
            gone = [each for each in node.sightings if (each.dpid, each.port) == here]
            if not gone:
                continue
            for each in gone:
                del node.sightings[each]
            self._assign_sightings(node)
            if not node.attached:
                self.redirects.assign_answers(node.mac)
                self.updates.record("mn_detached", mn=node.mac, switch=switch.plan.name, port=name)
                self.departures.hold(node)
                continue
            for each in gone:
                self.redirects.link_gone(node.mac, each, now_ns)
            if node.location in gone:
                node.location = node.latest()
                moved.append(node)
                self._record_place(node, "mn_attached")
        return moved

    def _sight(self, mac: str, location: Location, since_ns: int, event: str) -> bool:
        """A frame from a mobile node at a port; whether that is where it is now, and news."""
        node = self.nodes.setdefault(mac, MobileNode(mac))
        if location in node.sightings:
            return False
        node.sightings[location] = since_ns
        self._assign_sightings(node)
        self.guard.node(mac)
        if node.latest() != location:
            return False
        node.location, node.expected, node.leaves_for = location, None, None
        for binding in [each for each in self.bindings.values() if each.mac == mac and each.left(location)]:
            self._assign_ledger(binding, since_ns)
        self._record_place(node, event)
        self.holds.arrived(mac)
        return True

    def _join(self, radio: str, mac: str, now_ns: int) -> None:
        """The radio turns out to be another of the mobile node's: what was taken for another one is not."""
        taken_for, mac = self.identities.of(radio), self.identities.of(mac)
        if not self.identities.join(radio, mac):
            return
        self.updates.record("mn_identified", mn=mac, radio=radio)
        node, other = self.nodes.setdefault(mac, MobileNode(mac)), self.nodes.pop(taken_for, None)
        if other is not None:
            # As of now: it has just been heard, and writing its sightings anew sets their age in the switch to zero.
            node.sightings |= dict.fromkeys(other.sightings, now_ns)
            self.updates.book.assign(("sightings", other.mac), {})
            self._assign_sightings(node)
            node.location = node.latest() or node.location or other.location
            if other.attached:
                node.expected = node.leaves_for = None
                self.holds.arrived(mac)
        anchors = set()
        for binding in [each for each in self.bindings.values() if each.mac == taken_for]:
            binding.mac = mac
            self._assign_ledger(binding, now_ns)
            anchors.add(binding.anchor)
        for anchor in anchors:
            self.redirects.assign_pairs(taken_for, anchor)
            self.redirects.assign_pairs(mac, anchor)
        self.redirects.refresh(mac, now_ns, "mn_identified")

    def _record_place(self, node: MobileNode, event: str) -> None:
        assert node.location is not None
        switch = self.switches[node.location.dpid]
        port = switch.name_of(node.location.port)
        serving = switch.plan.mobile_router
        self.updates.record(event, mn=node.mac, switch=switch.plan.name, port=port, serving=serving)

    def _assign_sightings(self, node: MobileNode) -> None:
        rules: dict[int, list[Rule]] = {}
        for location in node.sightings:
            if self.unheard.listens(location):
                continue
            seen = flows.sighting(location.port, location.radio, node.mac, forward=not self.guard.on)
            rules.setdefault(location.dpid, []).append(seen)
        self.updates.book.assign(("sightings", node.mac), rules)

    def _frame_copied(self, event: messages.FrameCopied, now_ns: int) -> str | None:
        switch = self.switches.get(event.dpid)
        if switch is None or len(event.frame) < 14:
            return None
        self.updates.counters[event.dpid].packet_ins += 1
        radio = dhcp.mac_text(event.frame[6:12])
        message = dhcp.parse_frame(event.frame)
        name = switch.name_of(event.in_port)
        if name is None or event.in_port >= flows.OFPP_MAX:
            return None
        cause = None
        at_node = switch.role(name) == "mobile_node"
        is_node = at_node and self._is_node(switch, name, radio, event)
        if is_node:
            self._recognise(switch, event, radio, now_ns)
        self._answer(switch, event, radio)
        if at_node:
            self.departures.frame_copied(switch, event)
        if is_node:
            self._node_heard(switch, event, radio, message, now_ns)
            cause = "mn_attached"
        if message is not None:
            cause = self._overhear(switch, event.in_port, radio, message, now_ns) or cause
        return self._given_back(switch, radio, event.frame, now_ns) or cause

    def _node_heard(
        self, switch: Switch, event: messages.FrameCopied, radio: str, message: dhcp.DhcpMessage | None, now_ns: int
    ) -> None:
        """What a frame of a mobile node's says: which node that is, where it is, which address it has."""
        if message is not None and self.guard.on:
            self.guard.hear(radio, message)
        known = message is not None and message.mac == radio and not self.guard.on
        same = self.identities.hear(message) if message is not None and known else None
        if same is not None:
            self._join(radio, same, now_ns)
        here = Location(event.dpid, event.in_port, radio)
        if self.unheard.listens(here) and not self.guard.on:
            self._snoop(switch, radio, event.frame, now_ns)
        mac = self.identities.of(radio)
        if self._sight(mac, here, now_ns, "mn_attached"):
            self.redirects.refresh(mac, now_ns, "mn_attached")
        if is_arp(event.frame):
            self._told(switch, radio, event.frame, now_ns)
        if self._learn_claimed(switch, radio, event.frame, now_ns) and self.guard.on:
            self._pass_on(switch, event.frame)

    def _is_node(self, switch: Switch, port: str, radio: str, event: messages.FrameCopied) -> bool:
        """Whether a frame at a mobile node's port may tell where one is: from a MAC that may be there, and not from one
        more than a port may have.
        """
        if radio in self._router_macs or event.frame[6] & 1 or not self.guard.admits(port, radio):
            return False
        admitted = self.limits.admit((switch.plan.dpid, event.in_port), radio)
        if admitted is None:
            self.updates.record("port_flooded", switch=switch.plan.name, port=port)
        if admitted:
            self._forget_idle()
        return bool(admitted)

    def _recognise(self, switch: Switch, event: messages.FrameCopied, radio: str, now_ns: int) -> None:
        """Who looks for duplicates (RFC 4862) of an address whose node is away, at its anchor and with none of his own,
        is that node by another radio, where nodes may have several: a stranger would hear that the address is taken.
        """
        asked = nd.question(event.frame) if self.plan.several_radios and not self.guard.on else None
        binding = self.bindings.get(asked.target) if asked is not None and nd.probed(event.frame) else None
        if binding is None or binding.anchor != switch.plan.dpid or not self.redirects.absent(binding):
            return
        if all(each.mac != self.identities.of(radio) for each in self.bindings.values()):
            self._join(radio, binding.mac, now_ns)

    def _forget_idle(self) -> None:
        """Of so many nodes that have no address and are nowhere, the oldest are forgotten."""
        if len(self.nodes) <= MOST_NODES:
            return
        bound = {binding.mac for binding in self.bindings.values()}
        idle = [mac for mac, node in self.nodes.items() if not node.sightings and mac not in bound]
        for mac in idle:
            del self.nodes[mac]
            self.identities.forget(mac)

    def _pass_on(self, switch: Switch, frame: bytes) -> None:
        """What the switch has held back until it was known whose the address is, to the router."""
        port = switch.router_port()
        if port is not None and len(frame) < flows.SIGHTING_BYTES:
            self._out.append(SendFrame(switch.plan.dpid, port, frame))

    # Bindings

    def _overhear(self, switch: Switch, in_port: int, radio: str, message: dhcp.DhcpMessage, now_ns: int) -> str | None:
        held = self.bindings.get(message.client_address)
        if message.type == dhcp.ACK and in_port == switch.router_port():
            if message.your_address != "0.0.0.0" and message.lease_s:
                self._learn_binding(switch.plan.dpid, message, now_ns)
                return "binding_learned"
            return None
        # A release counts where it is delivered: taking the redirect away on sight of it at the serving switch could
        # overtake the message itself, and the anchor's router would never hear of it.
        ended = message.type in (dhcp.RELEASE, dhcp.DECLINE)
        # And only the node itself ends it, however the message calls its sender.
        macs = {self.identities.of(message.mac), self.identities.of(radio)}
        if not ended or held is None or macs != {held.mac} or held.anchor != switch.plan.dpid:
            return None
        self._unbind(held, now_ns, "binding_released")
        return "binding_released"

    def _given_back(self, switch: Switch, radio: str, frame: bytes, now_ns: int) -> str | None:
        """An IPv6 address that its node drops; as with DHCP, this counts where it is delivered."""
        address = nd.released_address(frame) if self.plan.family == "ipv6" else None
        held = self.bindings.get(address) if address else None
        if held is None or (held.mac, held.anchor) != (self.identities.of(radio), switch.plan.dpid):
            return None
        self._unbind(held, now_ns, "binding_released")
        return "binding_released"

    def _learn_binding(self, anchor: int, message: dhcp.DhcpMessage, now_ns: int) -> None:
        address, lease_s = message.your_address, message.lease_s
        assert lease_s is not None
        expires_ns = None if lease_s == dhcp.INFINITE_S else now_ns + lease_s * NS
        held, mac = self.bindings.get(address), self.identities.of(message.mac)
        if not self.guard.leases(message, held, now_ns):
            self.updates.record("claim_refused", mn=mac, address=address, held=held.mac if held is not None else None)
            return
        if held is not None and (held.mac, held.anchor) != (mac, anchor):
            self._unbind(held, now_ns, "binding_released")
            held = None
        if held is None:
            self._bind(Binding(mac, message.mac, address, anchor, expires_ns), now_ns, "binding_learned")
        else:
            held.expires_ns = expires_ns  # by which radio its router knows it, the lease does not say
            self._record_binding(held, "binding_renewed", now_ns)
            self._assign_ledger(held, now_ns, restart=True)
            self.redirects.refresh(mac, now_ns, "binding_renewed")

    def _answer(self, switch: Switch, event: messages.FrameCopied, radio: str) -> None:
        """At its anchor, the question who has an address of a node that is not there is answered for it."""
        asked = nd.question(event.frame) if self.plan.family == "ipv6" else None
        binding = self.bindings.get(asked.target) if asked is not None else None
        if asked is None or binding is None or binding.anchor != switch.plan.dpid:
            return
        # The router's question comes here only because of a rule that says so: whether or not the node has just come
        # back, nobody else has heard it.
        mine = self.identities.of(radio) == binding.mac
        if event.in_port == switch.router_port() or (self.redirects.absent(binding) and not mine):
            self._out.append(SendFrame(event.dpid, event.in_port, asked.answer(binding.told or binding.hardware)))
            anchor = switch.plan.mobile_router
            self.updates.record("neighbour_answered", mn=binding.mac, address=binding.address, anchor=anchor)

    def _learn_claimed(self, switch: Switch, radio: str, frame: bytes, now_ns: int) -> bool:
        """An IPv6 address in use: its prefix says whose it is, wherever the mobile node is. It has no lease.

        Whether it is bound to the node anew.
        """
        address = nd.claimed_address(frame) if self.plan.family == "ipv6" else None
        anchor = self.plan.anchor_of(address) if address else None
        if address is None or anchor is None:
            return False
        held, home = self.bindings.get(address), anchor.dpid == switch.plan.dpid
        mine = held is not None and held.mac == self.identities.of(radio)
        if self.guard.on and not mine and (held is not None or not home or nd.probed(frame)):
            # Nobody takes what another has, or forms an address of a link that he is not on; and who asks whether it is
            # somebody's does not say yet that it is his.
            if held is not None and not nd.probed(frame):
                self.updates.record("claim_refused", mn=self.identities.of(radio), address=address, held=held.mac)
            return False
        if not mine and not self.limits.claim(self.identities.of(radio), anchor.dpid, self.bindings):
            return False
        if held is not None and held.mac != self.identities.of(radio) and not home:
            # No client id here; but who goes on using an address away from its anchor is who had it there.
            self._join(radio, held.mac, now_ns)
        if held is not None and home and held.hardware != radio and not nd.teaches(frame):
            return False  # its router goes on with the MAC that it knows, which may be that of another radio
        if held is not None and held.mac != self.identities.of(radio):
            self._unbind(held, now_ns, "binding_released")
            held = None
        if held is None:
            mac = self.identities.of(radio)
            self._bind(Binding(mac, radio, address, anchor.dpid, None), now_ns, "binding_learned")
            return True
        if home:
            self._rename(held, radio, now_ns)
        return False

    def _rename(self, binding: Binding, radio: str, now_ns: int) -> None:
        """The anchor's router knows the address by this radio's MAC, for it has heard it as well."""
        if binding.rename(radio):
            self._assign_ledger(binding, now_ns)
            self.redirects.refresh(binding.mac, now_ns, "binding_renewed")

    def _snoop(self, switch: Switch, radio: str, frame: bytes, now_ns: int) -> None:
        """From where it is listened to: an address tells whose radio that is, or is bound to its node."""
        address = source_address(frame)
        anchor = self.plan.anchor_of(address) if address else None
        if address is None or anchor is None or address in (anchor.router_ip, anchor.router_ip6):
            return
        held, mac = self.bindings.get(address), self.identities.of(radio)
        if held is not None and held.mac != mac and self.unheard.stranger(mac):
            self._join(radio, held.mac, now_ns)
        home = anchor.dpid == switch.plan.dpid
        if held is None and home and self.limits.claim(mac, anchor.dpid, self.bindings):
            self.unheard.snooped(address)
            self._bind(Binding(mac, radio, address, anchor.dpid, None), now_ns, "binding_learned")

    def _told(self, switch: Switch, radio: str, frame: bytes, now_ns: int) -> None:
        """By ARP at its anchor a mobile node's router learns by which radio it has an address."""
        held = self.bindings.get(source_address(frame) or "")
        if held is not None and (held.mac, held.anchor) == (self.identities.of(radio), switch.plan.dpid):
            self._rename(held, radio, now_ns)

    def _bind(self, binding: Binding, now_ns: int, event: str) -> None:
        self.bindings[binding.address] = binding
        self.nodes.setdefault(binding.mac, MobileNode(binding.mac))
        self._record_binding(binding, event, now_ns)
        self._assign_ledger(binding, now_ns)
        self.guard.node(binding.mac)
        self.redirects.refresh(binding.mac, now_ns, event)

    def _unbind(self, binding: Binding, now_ns: int, event: str) -> None:
        del self.bindings[binding.address]
        self.guard.node(binding.mac)
        self._record_binding(binding, event, now_ns)
        self.holds.end(binding)
        self.updates.book.assign(("ledger", binding.address), {})
        self.redirects.withdraw(binding, now_ns, event)

    def _record_binding(self, binding: Binding, event: str, now_ns: int) -> None:
        lease_s = None if binding.expires_ns is None else max(0.0, seconds(binding.expires_ns - now_ns))
        anchor = self.switches[binding.anchor].plan.mobile_router
        self.updates.record(event, mn=binding.mac, address=binding.address, anchor=anchor, lease_s=lease_s)

    def _assign_ledger(self, binding: Binding, now_ns: int, restart: bool = False) -> None:
        left_s = 0 if binding.expires_ns is None else max(1, -(-(binding.expires_ns - now_ns) // NS))
        rule = flows.ledger(binding.hardware, binding.address, binding.mac, left_s)
        self.updates.book.assign(("ledger", binding.address), {binding.anchor: [rule]})
        if restart:
            self.updates.book.vanished(binding.anchor, rule.key)

    def _rule_removed(self, event: messages.RuleRemoved, now_ns: int) -> str | None:
        if not is_own(event.rule.cookie) or event.rule.kind is not Kind.BINDING or not event.expired:
            return None
        for binding in list(self.bindings.values()):
            written = binding.address in [value for _, value in event.rule.match]
            if written and (binding.anchor, binding.hardware) == (event.dpid, event.rule.get("eth_src")):
                self.updates.book.vanished(event.dpid, event.rule.key)
                self._unbind(binding, now_ns, "binding_expired")
        return "binding_expired"

    # Confirmation

    def _barrier_replied(self, event: messages.BarrierReplied, now_ns: int) -> str | None:
        switch = self.switches[event.dpid]
        if switch.sync_token is not None and event.token >= switch.sync_token:
            switch.configured = True
        self.updates.barrier(event.dpid, event.token, now_ns)
        if not self.ready and all(each.configured for each in self.switches.values()):
            self.ready = True
            self.updates.record("ready", switches=len(self.switches))
        return None

    def _deadline_passed(self, _: messages.DeadlinePassed, now_ns: int) -> str | None:
        return DRAINED if self.updates.drained(now_ns) else None
