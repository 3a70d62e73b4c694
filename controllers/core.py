"""Decides: from what the switches report to the rules that they should have. No sockets, no clock, no OpenFlow.

The core learns a mobile node's movement from port status and first frames, its bindings from DHCP overheard, and
redirects every address whose anchor is not the serving mobile router. Everything that it needs after a restart is in
the switches' own tables: sightings in ADMIT, bindings in LEDGER.
"""

from collections.abc import Callable
from typing import Any

from dmmlab.controllers import dhcp, flows, messages, nd
from dmmlab.controllers.messages import Command, Event, ReportRules
from dmmlab.controllers.paths import Path, shortest
from dmmlab.controllers.plan import Plan
from dmmlab.controllers.rules import Kind, Rule, address_tag, is_own, mac_tag
from dmmlab.controllers.state import Binding, Change, Location, MobileNode, Switch
from dmmlab.controllers.updates import NS, Updates, seconds


class Core:
    """All decisions of one controller; ``redirect=False`` learns and reports but redirects nothing."""

    def __init__(self, plan: Plan, redirect: bool = True) -> None:
        self.plan = plan
        self.redirect = redirect
        self.switches = {each.dpid: Switch(each) for each in plan.switches}
        self.nodes: dict[str, MobileNode] = {}
        self.bindings: dict[str, Binding] = {}
        self._out: list[Command] = []
        self.updates = Updates(self.switches, self._out, self._held)
        self.settled = False  # every switch of the plan has reported its rules once: nothing more is to be relearned
        self.ready = False
        self._router_macs = {each.router_mac for each in plan.switches}
        self._handlers: dict[type, Callable[[Any, int], None]] = {
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
        self._handlers[type(event)](event, now_ns)
        commands = list(self._out)
        self._out.clear()
        return commands

    def deadline_ns(self) -> int | None:
        """When to come back with DeadlinePassed; None if there is nothing to wait for."""
        return self.updates.deadline_ns()

    # Switches

    def _switch_connected(self, event: messages.SwitchConnected, now_ns: int) -> None:
        switch = self.switches.get(event.dpid)
        if switch is None:
            self.updates.record("switch_unknown", dpid=event.dpid)
            return
        switch.connected, switch.synced = True, False
        self.updates.book.forget(event.dpid)
        self.updates.record("switch_connected", switch=switch.plan.name, ports=sorted(event.ports))
        for name, number in list(switch.ports.items()):
            if event.ports.get(name) != number:
                self._port_gone(switch, name)
        switch.ports = dict(event.ports)
        self._out.append(ReportRules(event.dpid))

    def _switch_lost(self, event: messages.SwitchLost, now_ns: int) -> None:
        switch = self.switches.get(event.dpid)
        if switch is not None and switch.connected:
            switch.connected = switch.synced = False
            self.updates.book.forget(event.dpid)
            self.updates.record("switch_lost", switch=switch.plan.name)

    def _rules_reported(self, event: messages.RulesReported, now_ns: int) -> None:
        switch = self.switches.get(event.dpid)
        if switch is None or not switch.connected:
            return
        own = [(rule, age_s) for rule, age_s in event.rules if is_own(rule.cookie)]
        self.updates.book.report(event.dpid, [rule for rule, _ in own])
        switch.synced = switch.seen = True
        self.settled = all(each.seen for each in self.switches.values())
        for rule, age_s in own:
            self._relearn(switch, rule, now_ns - int(age_s * NS), now_ns)
        self._renew_ledger(switch, now_ns)
        self._assign_base(switch)
        self._refresh_all(now_ns, "relearned")
        self.updates.flush(now_ns, "base", always=event.dpid)
        switch.sync_token = self.updates.token

    def _relearn(self, switch: Switch, rule: Rule, since_ns: int, now_ns: int) -> None:
        dpid, mac = switch.plan.dpid, str(rule.get("eth_src"))
        if rule.kind is Kind.SIGHTING:
            location = Location(dpid, int(rule.get("in_port") or 0))
            name = switch.name_of(location.port)
            if name is not None and switch.role(name) == "mobile_node":
                self._sight(mac, location, since_ns, "mn_relearned")
        elif rule.kind is Kind.BINDING:
            address = next(str(value) for name, value in rule.match if name in ("ipv4_src", "ipv6_src"))
            if address not in self.bindings:
                expires_ns = since_ns + rule.hard_timeout_s * NS if rule.hard_timeout_s else None
                self._bind(Binding(mac, address, dpid, expires_ns), now_ns, "binding_relearned")

    def _renew_ledger(self, switch: Switch, now_ns: int) -> None:
        """Leases that ran out while the switch was away are over; the others go on where they were."""
        for binding in [each for each in self.bindings.values() if each.anchor == switch.plan.dpid]:
            if binding.expires_ns is not None and binding.expires_ns <= now_ns:
                self._unbind(binding, now_ns, "binding_expired")
            else:
                self._assign_ledger(binding, now_ns)

    def _assign_base(self, switch: Switch) -> None:
        dpid = switch.plan.dpid
        self.updates.book.assign(("base", dpid), {dpid: flows.base(switch.plan, switch.ports, self.plan.family)})

    # Ports and mobile nodes

    def _port_added(self, event: messages.PortAdded, now_ns: int) -> None:
        switch = self.switches.get(event.dpid)
        if switch is None or switch.ports.get(event.name) == event.number:
            return
        if event.name in switch.ports:
            self._port_gone(switch, event.name)
        switch.ports[event.name] = event.number
        role = switch.role(event.name)
        self.updates.record("port_added", switch=switch.plan.name, port=event.name, role=role)
        if role != "mobile_node":
            self._assign_base(switch)
            self._refresh_all(now_ns, "port_added")
            self.updates.flush(now_ns, "port_added")

    def _port_removed(self, event: messages.PortRemoved, now_ns: int) -> None:
        switch = self.switches.get(event.dpid)
        if switch is None or switch.ports.get(event.name) != event.number:
            return
        role = switch.role(event.name)
        self.updates.record("port_removed", switch=switch.plan.name, port=event.name, role=role)
        moved = self._port_gone(switch, event.name)
        if role != "mobile_node":
            self._assign_base(switch)
            self._refresh_all(now_ns, "port_removed")
        for node in moved:
            self._refresh(node.mac, now_ns, "port_removed")
        self.updates.flush(now_ns, "port_removed")

    def _port_gone(self, switch: Switch, name: str) -> list[MobileNode]:
        """Forget a port and who was seen there; the mobile nodes that are elsewhere because of it."""
        location = Location(switch.plan.dpid, switch.ports.pop(name))
        moved = []
        for node in self.nodes.values():
            if node.sightings.pop(location, None) is None:
                continue
            self._assign_sightings(node)
            if not node.attached:
                self.updates.record("mn_detached", mn=node.mac, switch=switch.plan.name, port=name)
            elif node.location == location:
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
        if node.latest() != location:
            return False
        node.location = location
        self._record_place(node, event)
        return True

    def _record_place(self, node: MobileNode, event: str) -> None:
        assert node.location is not None
        switch = self.switches[node.location.dpid]
        port = switch.name_of(node.location.port)
        serving = switch.plan.mobile_router
        self.updates.record(event, mn=node.mac, switch=switch.plan.name, port=port, serving=serving)

    def _assign_sightings(self, node: MobileNode) -> None:
        rules: dict[int, list[Rule]] = {}
        for location in node.sightings:
            rules.setdefault(location.dpid, []).append(flows.sighting(location.port, node.mac))
        self.updates.book.assign(("sightings", node.mac), rules)

    def _frame_copied(self, event: messages.FrameCopied, now_ns: int) -> None:
        switch = self.switches.get(event.dpid)
        if switch is None or len(event.frame) < 14:
            return
        self.updates.counters[event.dpid].packet_ins += 1
        mac = dhcp.mac_text(event.frame[6:12])
        name = switch.name_of(event.in_port)
        if name is None or event.in_port >= flows.OFPP_MAX:
            return
        at_node = switch.role(name) == "mobile_node"
        if at_node and mac not in self._router_macs and not event.frame[6] & 1:
            if self._sight(mac, Location(event.dpid, event.in_port), now_ns, "mn_attached"):
                self._refresh(mac, now_ns, "mn_attached")
            self._learn_claimed(mac, event.frame, now_ns)
            self.updates.flush(now_ns, "mn_attached")
        message = dhcp.parse_frame(event.frame)
        if message is not None:
            self._overhear(switch, event.in_port, message, now_ns)

    # Bindings

    def _overhear(self, switch: Switch, in_port: int, message: dhcp.DhcpMessage, now_ns: int) -> None:
        held = self.bindings.get(message.client_address)
        if message.type == dhcp.ACK and in_port == switch.router_port():
            if message.your_address != "0.0.0.0" and message.lease_s:
                self._learn_binding(switch.plan.dpid, message, now_ns)
            return
        # A release counts where it is delivered: taking the redirect away on sight of it at the serving switch could
        # overtake the message itself, and the anchor's router would never hear of it.
        ended = message.type in (dhcp.RELEASE, dhcp.DECLINE)
        if ended and held is not None and (held.mac, held.anchor) == (message.mac, switch.plan.dpid):
            self._unbind(held, now_ns, "binding_released")
            self.updates.flush(now_ns, "binding_released")

    def _learn_binding(self, anchor: int, message: dhcp.DhcpMessage, now_ns: int) -> None:
        address, lease_s = message.your_address, message.lease_s
        assert lease_s is not None
        expires_ns = None if lease_s == dhcp.INFINITE_S else now_ns + lease_s * NS
        held = self.bindings.get(address)
        if held is not None and (held.mac, held.anchor) != (message.mac, anchor):
            self._unbind(held, now_ns, "binding_released")
            held = None
        if held is None:
            self._bind(Binding(message.mac, address, anchor, expires_ns), now_ns, "binding_learned")
        else:
            held.expires_ns = expires_ns
            self._record_binding(held, "binding_renewed", now_ns)
            self._assign_ledger(held, now_ns, restart=True)
        self.updates.flush(now_ns, "binding_learned")

    def _learn_claimed(self, mac: str, frame: bytes, now_ns: int) -> None:
        """An IPv6 address in use: its prefix says whose it is, wherever the mobile node is. It has no lease."""
        address = nd.claimed_address(frame) if self.plan.family == "ipv6" else None
        anchor = self.plan.anchor_of(address) if address else None
        if address is None or anchor is None:
            return
        held = self.bindings.get(address)
        if held is not None and held.mac != mac:
            self._unbind(held, now_ns, "binding_released")
        if held is None or held.mac != mac:
            self._bind(Binding(mac, address, anchor.dpid, None), now_ns, "binding_learned")

    def _bind(self, binding: Binding, now_ns: int, event: str) -> None:
        self.bindings[binding.address] = binding
        self.nodes.setdefault(binding.mac, MobileNode(binding.mac))
        self._record_binding(binding, event, now_ns)
        self._assign_ledger(binding, now_ns)
        self._refresh(binding.mac, now_ns, event)

    def _unbind(self, binding: Binding, now_ns: int, event: str) -> None:
        del self.bindings[binding.address]
        self._record_binding(binding, event, now_ns)
        self.updates.book.assign(("ledger", binding.address), {})
        self._decide(binding, None, now_ns, event)
        self._assign_pairs(binding.mac, binding.anchor)

    def _record_binding(self, binding: Binding, event: str, now_ns: int) -> None:
        lease_s = None if binding.expires_ns is None else max(0.0, seconds(binding.expires_ns - now_ns))
        anchor = self.switches[binding.anchor].plan.mobile_router
        self.updates.record(event, mn=binding.mac, address=binding.address, anchor=anchor, lease_s=lease_s)

    def _assign_ledger(self, binding: Binding, now_ns: int, restart: bool = False) -> None:
        left_s = 0 if binding.expires_ns is None else max(1, -(-(binding.expires_ns - now_ns) // NS))
        rule = flows.ledger(binding.mac, binding.address, left_s)
        self.updates.book.assign(("ledger", binding.address), {binding.anchor: [rule]})
        if restart:
            self.updates.book.vanished(binding.anchor, rule.key)

    def _rule_removed(self, event: messages.RuleRemoved, now_ns: int) -> None:
        if not is_own(event.rule.cookie) or event.rule.kind is not Kind.BINDING or not event.expired:
            return
        for binding in list(self.bindings.values()):
            same = address_tag(binding.address) == event.rule.tag and binding.anchor == event.dpid
            if same and binding.mac == event.rule.get("eth_src"):
                self.updates.book.vanished(event.dpid, event.rule.key)
                self._unbind(binding, now_ns, "binding_expired")
        self.updates.flush(now_ns, "binding_expired")

    # Redirects

    def _path(self, binding: Binding) -> Path | None:
        node = self.nodes[binding.mac]
        if not self.redirect or node.location is None or node.location.dpid == binding.anchor:
            return None
        ports = {dpid: switch.ports for dpid, switch in self.switches.items()}
        return shortest(self.plan, ports, binding.anchor, node.location.dpid, node.location.port)

    def _refresh_all(self, now_ns: int, cause: str) -> None:
        for mac in list(self.nodes):
            self._refresh(mac, now_ns, cause)

    def _refresh(self, mac: str, now_ns: int, cause: str) -> None:
        """Bring the redirects of a mobile node's addresses in line with where it is.

        Not before every switch has reported: half the picture after a restart would tear down what works.
        """
        if not self.settled:
            return
        anchors = set()
        for binding in [each for each in self.bindings.values() if each.mac == mac]:
            path = self._path(binding)
            self._record_stranded(binding, path)
            if path != binding.path:
                anchors.add(binding.anchor)
                self._decide(binding, path, now_ns, cause)
        for anchor in sorted(anchors):
            self._assign_pairs(mac, anchor)

    def _record_stranded(self, binding: Binding, path: Path | None) -> None:
        """Say once that an address needs a redirect and no inter-MR path has it."""
        location = self.nodes[binding.mac].location
        away = location is not None and location.dpid != binding.anchor
        stranded = self.redirect and away and path is None
        if stranded and not binding.stranded and location is not None:
            names = {dpid: switch.plan.mobile_router for dpid, switch in self.switches.items()}
            place = {"anchor": names[binding.anchor], "serving": names[location.dpid]}
            self.updates.record("redirect_impossible", mn=binding.mac, address=binding.address, **place)
        binding.stranded = stranded

    def _decide(self, binding: Binding, path: Path | None, now_ns: int, cause: str) -> None:
        old, binding.path = binding.path, path
        if old is None and path is None:
            return
        router = self.switches[binding.anchor].plan
        rules = flows.redirect_rules(path, binding.address, binding.mac, router.router_mac) if path else {}
        self.updates.book.assign(("redirect", binding.address), rules)
        involved = {hop.dpid for hop in path.hops} if path else {binding.anchor}
        token = self.updates.token + 1  # that of the flush which carries it
        location = self.nodes[binding.mac].location
        serving = location.dpid if location is not None else None
        change = Change(binding.mac, binding.address, binding.anchor, serving, path, token, now_ns, involved, cause)
        self.updates.begin(change, old.delay_s if old else 0.0, now_ns)

    def _assign_pairs(self, mac: str, anchor: int) -> None:
        paths = {b.path for b in self.bindings.values() if b.mac == mac and b.anchor == anchor and b.path}
        assert len(paths) <= 1
        rules = flows.merged(flows.pair_rules(path, mac, self.switches[anchor].plan) for path in paths)
        self.updates.book.assign(("pair", mac, anchor), rules)

    def _held(self, dpid: int, rule: Rule) -> bool:
        """Whether a redirect rule that nothing wants may yet be wanted, because not all is known."""
        if not self.settled:
            return True
        unknown = [each for each in self.bindings.values() if self.nodes[each.mac].location is None]
        return rule.tag in {address_tag(each.address) for each in unknown} | {mac_tag(each.mac) for each in unknown}

    # Confirmation

    def _barrier_replied(self, event: messages.BarrierReplied, now_ns: int) -> None:
        switch = self.switches[event.dpid]
        if switch.sync_token is not None and event.token >= switch.sync_token:
            switch.configured = True
        self.updates.barrier(event.dpid, event.token, now_ns)
        if not self.ready and all(each.configured for each in self.switches.values()):
            self.ready = True
            self.updates.record("ready", switches=len(self.switches))

    def _deadline_passed(self, _: messages.DeadlinePassed, now_ns: int) -> None:
        self.updates.drain(now_ns)
