"""From bindings and places to redirects: which address goes along which path, and the rules for it."""

from collections.abc import Callable, Mapping

from dmmlab.controllers import flows
from dmmlab.controllers.flows import Route
from dmmlab.controllers.paths import shortest
from dmmlab.controllers.peers import delivered, peer_rules
from dmmlab.controllers.plan import Plan
from dmmlab.controllers.rules import Rule, address_tag, mac_tag
from dmmlab.controllers.state import Binding, Change, Location, MobileNode, Switch
from dmmlab.controllers.updates import Updates


class Redirects:
    """Keeps every binding's route what it should be; ``enabled=False`` is the ablation, in which there is none.

    ``radios`` says which MACs a mobile node has. ``settled`` is set once every switch of the plan has reported its
    rules: nothing more is to be relearned.
    """

    def __init__(
        self,
        plan: Plan,
        switches: Mapping[int, Switch],
        nodes: Mapping[str, MobileNode],
        bindings: Mapping[str, Binding],
        updates: Updates,
        enabled: bool,
        radios: Callable[[str], list[str]] = lambda mac: [mac],
    ) -> None:
        self._radios = radios
        self.settled = False
        self._plan, self._switches, self._nodes, self._bindings = plan, switches, nodes, bindings
        self._updates = updates
        self._enabled = enabled

    def _route(self, binding: Binding) -> Route | None:
        location = self._nodes[binding.mac].place
        if not self._enabled or location is None:
            return None
        hardware = binding.known_as(location)
        if (location.dpid, location.radio) == (binding.anchor, hardware):
            return None
        ports = {dpid: switch.ports for dpid, switch in self._switches.items()}
        path = shortest(self._plan, ports, binding.anchor, location.dpid, location.port)
        several = self._plan.several_radios or len(self._radios(binding.mac)) > 1
        return Route(path, hardware, location.radio, several) if path else None

    def refresh_all(self, now_ns: int, cause: str) -> None:
        """Bring all redirects in line with what is known."""
        for mac in list(self._nodes):
            self.refresh(mac, now_ns, cause)

    def refresh(self, mac: str, now_ns: int, cause: str) -> None:
        """Bring the redirects of a mobile node's addresses in line with where it is.

        Not before every switch has reported: half the picture after a restart would tear down what works.
        """
        if not self.settled:
            return
        anchors = set()
        for binding in [each for each in self._bindings.values() if each.mac == mac]:
            route = self._route(binding)
            self._record_stranded(binding, route)
            if route != binding.route:
                anchors.add(binding.anchor)
                self._decide(binding, route, now_ns, cause)
            if route is None:
                self._assign_home(binding)
        for anchor in sorted(anchors):
            self.assign_pairs(mac, anchor)
        self.assign_answers(mac)

    def _assign_home(self, binding: Binding) -> None:
        """In IPv4 others of the link may know the address by any of the node's radios."""
        plan, location = self._plan, self._nodes[binding.mac].place
        if plan.peers and plan.several_radios and plan.family == "ipv4" and self._enabled:
            home = location is not None and location.dpid == binding.anchor
            rules = [delivered(binding.address, location.radio, location.port)] if location and home else []
            self._updates.book.assign(("redirect", binding.address), {binding.anchor: rules})

    def assign_answers(self, mac: str) -> None:
        """Have the controller asked for those of a node's addresses that it is not at home for (IPv6)."""
        if not self.settled or not self._enabled:
            return
        for binding in [each for each in self._bindings.values() if each.mac == mac]:
            port = self._switches[binding.anchor].router_port()
            if flows.family_of(binding.address).answered:
                rules = [flows.answered(binding.address, port)] if port is not None and self.absent(binding) else []
                self._updates.book.assign(("answer", binding.address), {binding.anchor: rules})

    def absent(self, binding: Binding) -> bool:
        """Whether nobody on its anchor's link can answer for the address."""
        node, route = self._nodes[binding.mac], binding.route
        return node.location is not None and (not node.attached or (route is not None and len(route.path.hops) > 1))

    def _record_stranded(self, binding: Binding, route: Route | None) -> None:
        """Say once that an address needs a redirect and no inter-MR path has it."""
        location = self._nodes[binding.mac].place
        away = location is not None and location.dpid != binding.anchor
        stranded = self._enabled and away and route is None
        if stranded and not binding.stranded and location is not None:
            names = {dpid: switch.plan.mobile_router for dpid, switch in self._switches.items()}
            place = {"anchor": names[binding.anchor], "serving": names[location.dpid]}
            self._updates.record("redirect_impossible", mn=binding.mac, address=binding.address, **place)
        binding.stranded = stranded

    def _decide(self, binding: Binding, route: Route | None, now_ns: int, cause: str) -> None:
        old, binding.route = binding.route, route
        if old is None and route is None:
            return
        router = self._switches[binding.anchor].plan
        rules = flows.redirect_rules(route, binding.address, router.router_mac) if route else {}
        if route and self._plan.peers:
            rules[binding.anchor] += peer_rules(route, binding.address, router)
        self._updates.book.assign(("redirect", binding.address), rules)
        involved = {hop.dpid for hop in route.path.hops} if route else {binding.anchor}
        token = self._updates.token
        location = self._nodes[binding.mac].place
        serving = location.dpid if location is not None else None
        change = Change(binding.mac, binding.address, binding.anchor, serving, route, token, now_ns, involved, cause)
        self._updates.begin(change, old.path.delay_s if old else 0.0, now_ns)

    def withdraw(self, binding: Binding, now_ns: int, cause: str) -> None:
        """End the redirect of a binding that is no more."""
        for kind in ("answer", "redirect"):
            self._updates.book.assign((kind, binding.address), {})
        self._decide(binding, None, now_ns, cause)
        self.assign_pairs(binding.mac, binding.anchor)

    def assign_pairs(self, mac: str, anchor: int) -> None:
        """Bring what all of a mobile node's addresses from one anchor share in line with their routes."""
        routes = [b.route for b in self._bindings.values() if b.mac == mac and b.anchor == anchor and b.route]
        rules = flows.pair_rules(routes, self._switches[anchor].plan, self._radios(mac))
        self._updates.book.assign(("pair", mac, anchor), rules)

    def held(self, rule: Rule) -> bool:
        """Whether a redirect rule that nothing wants may yet be wanted, because not all is known."""
        if not self.settled:
            return True
        unknown = [each for each in self._bindings.values() if self._nodes[each.mac].location is None]
        return rule.tag in {address_tag(each.address) for each in unknown} | {
            mac_tag(each.hardware) for each in unknown
        }

    def lingers(self, rule: Rule) -> bool:
        """Whether a redirect rule that nothing wants is of a node that has two links: it may send by the other one."""
        both = {mac for mac, node in self._nodes.items() if len(node.sightings) > 1}
        return bool(both) and rule.tag in {
            *(address_tag(each.address) for each in self._bindings.values() if each.mac in both),
            *(mac_tag(radio) for mac in both for radio in self._radios(mac)),
        }

    def link_gone(self, mac: str, location: Location, now_ns: int) -> None:
        """The node had two links, and has that at ``location`` no more."""
        ports = {dpid: switch.ports for dpid, switch in self._switches.items()}
        mine = (each.anchor for each in self._bindings.values() if each.mac == mac)
        paths = (shortest(self._plan, ports, anchor, location.dpid, location.port) for anchor in mine)
        self._updates.leave(max((path.delay_s for path in paths if path is not None), default=0.0), now_ns)
