"""A network of fake switches that execute the controller's rules on fake frames, around a real core.

Frames are dicts of OXM fields. A switch does what OpenFlow 1.3 says of tables, priorities, set-field, output to the
in-port and NORMAL; two rules of one priority that match the same frame and differ in their actions are a failure.
Inter-MR ports are in a VLAN of their own, as in the real network: NORMAL neither floods to them nor learns from them.
"""

import ipaddress
import socket
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from dmmlab.controllers import messages
from dmmlab.controllers.core import Core
from dmmlab.controllers.flows import OFPP_LOCAL
from dmmlab.controllers.messages import Record, ReportRules, SendFrame, UpdateRules
from dmmlab.controllers.notebook import Notes, recall
from dmmlab.controllers.plan import InterMrPort, Plan, SwitchPlan
from dmmlab.controllers.rules import Copy, Goto, Key, Normal, Output, OutputInPort, Rule, SetField, ToController
from dmmlab.machine import catalogue

Frame = dict[str, int | str]
NS = 1_000_000_000
BROADCAST = "ff:ff:ff:ff:ff:ff"
CN = "10.9.0.2"
LOOPING = 20


def router_mac(i: int) -> str:
    return f"02:00:00:00:{i:02x}:01"


def router_ip(i: int) -> str:
    return f"10.{i}.0.1"


def mn_mac(k: int) -> str:
    return f"02:aa:00:00:00:{k:02x}"


def mn_ip(k: int, i: int) -> str:
    return f"10.{i}.0.{10 + k}"


def router_ip6(i: int) -> str:
    return f"fd00:{i}::1"


def mn_ip6(k: int, i: int) -> str:
    return f"fd00:{i}::{10 + k:x}"


def make_plan(
    links: Iterable[tuple[int, int]],
    n: int,
    shared: Iterable[int] = (),
    delay_s: float = 0.004,
    family: str = "ipv4",
    peers: bool = False,
    releases: bool = False,
) -> Plan:
    """MR1 to MRn with these inter-MR links; switches in ``shared`` have one port for all their peers."""
    switches = []
    for i in range(1, n + 1):
        neighbours = sorted({b if a == i else a for a, b in links if i in (a, b)})
        ports = tuple(InterMrPort(f"s{i}-hub" if i in shared else f"s{i}-to{p}", p, delay_s) for p in neighbours)
        addresses: dict[str, str | None] = {"router_ip": router_ip(i), "prefix": f"10.{i}.0.0/24"}
        if family == "ipv6":
            addresses = {"router_ip6": router_ip6(i), "prefix6": f"fd00:{i}::/64"}
        switches.append(SwitchPlan(i, f"s{i}", f"MR{i}", router_mac(i), f"s{i}-eth1", inter_mr=ports, **addresses))
    return Plan(tuple(switches), family, peers, releases)


def mesh(n: int) -> Plan:
    return make_plan([(a, b) for a in range(1, n + 1) for b in range(a + 1, n + 1)], n)


def chain(n: int) -> Plan:
    return make_plan([(i, i + 1) for i in range(1, n)], n)


@dataclass
class FakeSwitch:
    plan: SwitchPlan
    ports: dict[str, int] = field(default_factory=dict)
    rules: dict[Key, Rule] = field(default_factory=dict)
    since_ns: dict[Key, int] = field(default_factory=dict)
    macs: dict[str, int] = field(default_factory=dict)
    connected: bool = False

    def __post_init__(self) -> None:
        names = [self.plan.router_port_name, *dict.fromkeys(link.port_name for link in self.plan.inter_mr)]
        self.ports = {name: number for number, name in enumerate(names, 1)}
        self.ports[self.plan.name] = OFPP_LOCAL

    def isolated(self) -> set[int]:
        return {self.ports[link.port_name] for link in self.plan.inter_mr if link.port_name in self.ports}

    def process(self, frame: Frame, in_port: int) -> list[tuple[str, int, Frame]]:
        """What leaves: ("port", number, frame) or ("controller", in_port, frame)."""
        out: list[tuple[str, int, Frame]] = []
        table: int | None = 0
        frame = dict(frame)
        while table is not None:
            rule = self._lookup(table, {**frame, "in_port": in_port})
            table = None
            for action in rule.actions if rule else ():
                match action:
                    case Output(port) if port != in_port:
                        out.append(("port", port, dict(frame)))
                    case OutputInPort():
                        out.append(("port", in_port, dict(frame)))
                    case Normal():
                        out += [("port", port, dict(frame)) for port in self._normal(frame, in_port)]
                    case ToController():
                        out.append(("controller", in_port, dict(frame)))
                    case SetField(name, value):
                        frame[name] = value
                    case Copy(source, target):
                        frame[target] = frame[source]
                    case Goto(following):
                        table = following
        return out

    def _lookup(self, table: int, fields: Frame) -> Rule | None:
        hits = [r for r in self.rules.values() if r.table == table and all(fields.get(k) == v for k, v in r.match)]
        best = [r for r in hits if r.priority == max(each.priority for each in hits)]
        assert len({r.actions for r in best}) <= 1, f"ambiguous on {self.plan.name}: {best}"
        return best[0] if best else None

    def _normal(self, frame: Frame, in_port: int) -> list[int]:
        if in_port in self.isolated():
            return []
        self.macs[str(frame["eth_src"])] = in_port
        known = self.macs.get(str(frame["eth_dst"]))
        if known is not None and known in self.ports.values():
            return [known] if known != in_port else []
        others = set(self.ports.values()) - self.isolated() - {in_port, OFPP_LOCAL}
        return sorted(others)


class FakeNetwork:
    """Switches, wires, and a core behind a control channel that a test empties by :meth:`pump`."""

    def __init__(self, plan: Plan, redirect: bool = True) -> None:
        self.plan = plan
        self.switches = {each.dpid: FakeSwitch(each) for each in plan.switches}
        self.place: dict[str, tuple[int, str]] = {}
        self.serial = 100
        self.now_ns, self.notes = NS, Notes()  # what the next core is told of the one before
        self.restart(redirect)

    # The controller's side

    def restart(self, redirect: bool = True, order: Iterable[int] | None = None) -> None:
        """A new core in the place of the old, if any; the switches keep their rules."""
        self.core = Core(self.plan, redirect)
        recall(self.core, self.notes, self.now_ns)
        self.notes = Notes()
        self.queue: deque[messages.Event] = deque()
        self.records: list[Record] = []
        self.updates: list[UpdateRules] = []
        self.answers: list[tuple[int, int, bytes]] = []
        for dpid in order or sorted(self.switches):
            self.connect(dpid)
        self.pump()

    def connect(self, dpid: int) -> None:
        self.switches[dpid].connected = True
        self.queue.append(messages.SwitchConnected(dpid, dict(self.switches[dpid].ports)))

    def lose(self, dpid: int) -> None:
        self.switches[dpid].connected = False
        self.queue.append(messages.SwitchLost(dpid))

    def pump(self, steps: int | None = None) -> None:
        """Deliver events to the core and carry out what it says, until nothing is left, timers included."""
        while steps is None or steps > 0:
            steps = None if steps is None else steps - 1
            self.now_ns += 1000
            if self.queue:
                self._give(self.queue.popleft())
            elif (deadline := self.core.deadline_ns()) is not None:
                self.now_ns = max(self.now_ns, deadline)
                self._give(messages.DeadlinePassed())
            else:
                return

    def _give(self, event: messages.Event) -> None:
        for command in self.core.receive(event, self.now_ns):
            match command:
                case Record(name, fields):
                    catalogue.check("controller", name, fields)
                    self.records.append(command)
                case ReportRules(dpid):
                    switch = self.switches[dpid]
                    aged = tuple((r, (self.now_ns - switch.since_ns[k]) / NS) for k, r in switch.rules.items())
                    self.queue.append(messages.RulesReported(dpid, aged))
                case UpdateRules():
                    self._update(command)
                case SendFrame(dpid, port, frame):
                    self.answers.append((dpid, port, frame))

    def _update(self, update: UpdateRules) -> None:
        switch = self.switches[update.dpid]
        assert switch.connected
        self.updates.append(update)
        for rule in update.install:
            switch.rules[rule.key], switch.since_ns[rule.key] = rule, self.now_ns
        for rule in update.remove:
            assert switch.rules[rule.key].cookie == rule.cookie
            del switch.rules[rule.key]
        self.queue.append(messages.BarrierReplied(update.dpid, update.token))

    def advance(self, seconds: float) -> None:
        """Let time pass: the switches' own timers run out, and they say so if they can."""
        self.now_ns += int(seconds * NS)
        for dpid, switch in self.switches.items():
            for key, rule in list(switch.rules.items()):
                if rule.hard_timeout_s and self.now_ns - switch.since_ns[key] >= rule.hard_timeout_s * NS:
                    del switch.rules[key]
                    if switch.connected and rule.notify_removal:
                        self.queue.append(messages.RuleRemoved(dpid, rule, expired=True))
        self.pump()

    def events(self, name: str) -> list[dict[str, object]]:
        return [dict(each.fields) for each in self.records if each.event == name]

    def changed(self) -> int:
        """How many rules have been installed or removed since the last restart."""
        return sum(len(each.install) + len(each.remove) for each in self.updates)

    # The mobile nodes' side

    def attach(self, mac: str, i: int, port: str = "") -> None:
        """The mobile node's port joins switch i; nothing has been sent yet."""
        self.serial += 1
        name = port or f"mn-{mac[-2:]}"
        switch = self.switches[i]
        switch.ports[name] = self.serial
        self.place[mac] = (i, name)
        if switch.connected:
            self.queue.append(messages.PortAdded(i, name, self.serial))

    def detach(self, mac: str) -> None:
        self.remove_port(*self.place.pop(mac))

    def remove_port(self, i: int, name: str, tell: bool = True) -> messages.PortRemoved:
        switch = self.switches[i]
        number = switch.ports.pop(name)
        switch.macs = {mac: port for mac, port in switch.macs.items() if port != number}
        event = messages.PortRemoved(i, name, number)
        if switch.connected and tell:
            self.queue.append(event)
        return event

    def move(self, k: int, i: int) -> None:
        """Break before make, then DHCP at the new mobile router."""
        mac = mn_mac(k)
        if mac in self.place:
            self.detach(mac)
            self.pump()
        self.attach(mac, i)
        self.dhcp(k)

    def dhcp(self, k: int, lease_s: int = 3600) -> str:
        """Discover by broadcast, then the router's answer; the address."""
        mac = mn_mac(k)
        i, _ = self.place[mac]
        address = mn_ip(k, i)
        self.from_mn(mac, dhcp_frame(mac, BROADCAST, "0.0.0.0", "255.255.255.255", 1))
        self.pump()
        ack = dhcp_frame(router_mac(i), mac, router_ip(i), address, 5, chaddr=mac, yiaddr=address, lease_s=lease_s)
        delivered = self.from_router(i, ack)
        assert ("mn", mac) in [(what, who) for what, who, _ in delivered], "the lease never reached the mobile node"
        self.pump()
        return address

    def release(self, k: int, i: int) -> list[tuple[str, str, Frame]]:
        """Give back the address of mobile router i, from wherever the mobile node is."""
        mac, address = mn_mac(k), mn_ip(k, i)
        here = self.place[mac][0]
        frame = dhcp_frame(mac, router_mac(here), address, router_ip(i), 7, chaddr=mac, ciaddr=address)
        delivered = self.from_mn(mac, frame)
        self.pump()
        return delivered

    # Frames

    def from_mn(self, mac: str, frame: Frame) -> list[tuple[str, str, Frame]]:
        i, name = self.place[mac]
        return self._carry(i, self.switches[i].ports[name], frame)

    def from_router(self, i: int, frame: Frame) -> list[tuple[str, str, Frame]]:
        return self._carry(i, self.switches[i].ports[self.switches[i].plan.router_port_name], frame)

    def _carry(self, i: int, in_port: int, frame: Frame, hops: int = 0) -> list[tuple[str, str, Frame]]:
        """Follow a frame to where it ends: ("router", name, frame) or ("mn", MAC, frame)."""
        assert hops < LOOPING, "a loop"
        ends: list[tuple[str, str, Frame]] = []
        switch = self.switches[i]
        for what, port, sent in switch.process(frame, in_port):
            if what == "controller":
                if switch.connected:
                    self.queue.append(messages.FrameCopied(i, port, frame_bytes(sent)))
                continue
            name = next((each for each, number in switch.ports.items() if number == port), None)
            if name is None:
                continue  # rules that are left over may point at a port that is gone
            if name == switch.plan.router_port_name:
                ends.append(("router", switch.plan.mobile_router, sent))
            elif port in switch.isolated():
                for link in switch.plan.inter_mr:
                    if link.port_name == name:
                        ends += self.arrive(i, link.peer_dpid, sent, hops)
            else:
                ends += [("mn", mac, sent) for mac, place in self.place.items() if place == (i, name)]
        return ends

    def arrive(self, i: int, peer: int, frame: Frame, hops: int = 0) -> list[tuple[str, str, Frame]]:
        """A frame that was on the inter-MR link from switch i reaches its peer."""
        back = next(link.port_name for link in self.switches[peer].plan.inter_mr if link.peer_dpid == i)
        return self._carry(peer, self.switches[peer].ports[back], frame, hops + 1)


def frame_bytes(frame: Frame) -> bytes:
    """The start of the frame as the switch would copy it."""
    raw = frame.get("raw")
    if isinstance(raw, str):
        return bytes.fromhex(raw)
    head = bytes.fromhex((str(frame["eth_dst"]) + str(frame["eth_src"])).replace(":", ""))
    return head + int(frame["eth_type"]).to_bytes(2, "big") + _sender_bytes(frame).ljust(46, b"\0")


def _sender_bytes(frame: Frame) -> bytes:
    """Of what is in the frame, as far as whom it is from."""
    if "arp_spa" in frame:
        arp = bytes([0, 1, 8, 0, 6, 4, 0, int(frame["arp_op"])])
        mac = bytes.fromhex(str(frame["arp_sha"]).replace(":", ""))
        return arp + mac + socket.inet_aton(str(frame["arp_spa"])) + bytes(6) + socket.inet_aton(str(frame["arp_tpa"]))
    if "ipv4_src" in frame:
        return (
            b"\x45" + bytes(8) + bytes([int(frame["ip_proto"])]) + bytes(2) + socket.inet_aton(str(frame["ipv4_src"]))
        )
    if "ipv6_src" in frame:
        head = b"\x60" + bytes(5) + bytes([int(frame["ip_proto"]), 64])
        return head + socket.inet_pton(socket.AF_INET6, str(frame["ipv6_src"]))
    return b""


def ip_frame(src_mac: str, dst_mac: str, src: str, dst: str, proto: int) -> Frame:
    return {
        "eth_src": src_mac,
        "eth_dst": dst_mac,
        "eth_type": 0x0800,
        "ipv4_src": src,
        "ipv4_dst": dst,
        "ip_proto": proto,
    }


def arp_frame(src_mac: str, dst_mac: str, sender: str, target: str) -> Frame:
    asks: Frame = {
        "arp_op": 1,
        "arp_spa": sender,
        "arp_sha": src_mac,
        "arp_tpa": target,
        "arp_tha": "00:00:00:00:00:00",
    }
    return {"eth_src": src_mac, "eth_dst": dst_mac, "eth_type": 0x0806, **asks}


def dhcp_frame(
    src_mac: str,
    dst_mac: str,
    src: str,
    dst: str,
    kind: int,
    chaddr: str = "",
    ciaddr: str = "0.0.0.0",
    yiaddr: str = "0.0.0.0",
    lease_s: int | None = None,
    client_id: bytes = b"",
) -> Frame:
    """A DHCP message as fields and as the bytes that the controller parses."""
    ports = (67, 68) if yiaddr != "0.0.0.0" else (68, 67)
    options = bytes([53, 1, kind]) + (bytes([51, 4]) + lease_s.to_bytes(4, "big") if lease_s is not None else b"")
    options += bytes([61, len(client_id)]) + client_id if client_id else b""
    body = bytes([2 if ports[0] == 67 else 1, 1, 6, 0]) + bytes(8)
    body += socket.inet_aton(ciaddr) + socket.inet_aton(yiaddr) + bytes(8)
    body += bytes.fromhex((chaddr or src_mac).replace(":", "")) + bytes(10 + 192)
    body += b"\x63\x82\x53\x63" + options + b"\xff"
    udp = ports[0].to_bytes(2, "big") + ports[1].to_bytes(2, "big") + (8 + len(body)).to_bytes(2, "big") + bytes(2)
    length = (20 + len(udp) + len(body)).to_bytes(2, "big")
    ip = b"\x45\x00" + length + bytes(5) + b"\x11" + bytes(2) + socket.inet_aton(src) + socket.inet_aton(dst)
    head = bytes.fromhex((dst_mac + src_mac).replace(":", "")) + b"\x08\x00"
    fields = {**ip_frame(src_mac, dst_mac, src, dst, 17), "udp_src": ports[0], "udp_dst": ports[1]}
    return {**fields, "raw": (head + ip + udp + body).hex()}


def ip6_frame(src_mac: str, dst_mac: str, src: str, dst: str, proto: int) -> Frame:
    return {
        "eth_src": src_mac,
        "eth_dst": dst_mac,
        "eth_type": 0x86DD,
        "ipv6_src": src,
        "ipv6_dst": dst,
        "ip_proto": proto,
    }


def nd_frame(src_mac: str, dst_mac: str, src: str, kind: int, target: str) -> Frame:
    """A neighbour solicitation (135) or advertisement (136), as fields and as bytes."""
    dst = "ff02::1"
    body = bytes([kind, 0]) + bytes(6) + socket.inet_pton(socket.AF_INET6, target)
    ip = b"\x60" + bytes(3) + len(body).to_bytes(2, "big") + b"\x3a\xff"
    ip += socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst)
    head = bytes.fromhex((dst_mac + src_mac).replace(":", "")) + b"\x86\xdd"
    fields = ip6_frame(src_mac, dst_mac, src, dst, 58)
    fields |= {"icmpv6_type": kind, "icmpv6_code": 0, "ipv6_nd_target": target}
    return {**fields, "raw": (head + ip + body).hex()}


def dropped(mac: str, router: str, source: str, address: str, lifetime: int = 0) -> Frame:
    """A duplicate address request (RFC 6775) from ``source``, for the routers of the address's prefix."""
    routers = str(ipaddress.ip_network(f"{address}/64", strict=False).network_address)
    registration = bytes([157, *bytes(5)]) + lifetime.to_bytes(2, "big") + bytes(8)
    registration += socket.inet_pton(socket.AF_INET6, address)
    ip = b"\x60\0\0\0" + len(registration).to_bytes(2, "big") + bytes([58, 255])
    ip += socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, routers)
    head = bytes.fromhex((router + mac).replace(":", "")) + b"\x86\xdd"
    fields = ip6_frame(mac, router, source, routers, 58)
    return {**fields, "icmpv6_type": 157, "icmpv6_code": 0, "raw": (head + ip + registration).hex()}


FIRST, SECOND = "02:aa:00:00:00:01", "02:aa:00:00:01:01"  # the radios of a mobile node that has two
CLIENT_ID = b"\xffMN1"


def leased(i: int) -> str:
    """The address that MRi leases to whoever asks by `lease`."""
    return f"10.{i}.0.50"


def lease(net: FakeNetwork, radio: str, i: int, client_id: bytes = CLIENT_ID) -> list[str]:
    """A DHCP exchange of the radio's at switch i; who gets the answer."""
    net.from_mn(radio, dhcp_frame(radio, BROADCAST, "0.0.0.0", "255.255.255.255", 1, client_id=client_id))
    net.pump()
    ack = dhcp_frame(router_mac(i), radio, router_ip(i), leased(i), 5, chaddr=radio, yiaddr=leased(i), lease_s=600)
    got = [who for _, who, _ in net.from_router(i, ack)]
    net.pump()
    return got
