"""What a message was said for: one rule a protocol (stated in `signalling`), and what the rules share."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from dmmlab.experiments.analysis import messages
from dmmlab.experiments.analysis.messages import Arp, Dhcp, Discovery, Dns, Message
from dmmlab.experiments.analysis.openflow import OpenFlow
from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import RESOLVER
from dmmlab.experiments.records import pcap
from dmmlab.experiments.records.recording import Event, Recording
from dmmlab.experiments.scenario.identities import node_id
from dmmlab.experiments.scenario.model import CONTROLLER, Scenario
from dmmlab.experiments.scenario.sections.movement import Movement
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of
from dmmlab.nodes.orders import FIRST_LOCAL_PORT
from dmmlab.nodes.registration import wire
from dmmlab.nodes.registration.wire import MessageType
from dmmlab.topologies.plan import NetworkPlan

START_UP, KEEPALIVE, REFRESH, UNKNOWN = "start-up", "keepalive", "refresh", "unknown"
DISCOVERY = "discovery"  # of a node's ID, by DNS-SD
_DNS_SERVICE = "_dmm"
_FORWARDED = (MessageType.INCOMING_REQUEST, MessageType.INCOMING_ANSWER, MessageType.DECLINED)
_ASKED = {kind for kind in MessageType if kind % 2 and kind <= MessageType.KEEPALIVE} | {MessageType.LEG_HELLO}
_LEASES = ("address_configured", "address_renewed")


def movement_name(move: Movement) -> str:
    """A movement as a cause: ``MN1→MR2@10s``."""
    return f"{move.node}→{move.to}@{move.at:g}s"


@dataclass
class SignallingTrace:
    """All signalling of a run, and what is needed to find what each message was for."""

    scenario: Scenario
    plan: NetworkPlan
    start_ns: int
    events: list[Event]
    heard: list[Message]  # at every host

    @classmethod
    def of(cls, recording: Recording) -> SignallingTrace:
        """Raises RecordError if the run's scenario never started."""
        start_ns, heard = recording.start_ns, messages.read(recording)
        return cls(recording.scenario, recording.plan, start_ns, recording.logged, heard)

    def once(self) -> list[Message]:
        """Each message once, though two hosts captured it; by time."""
        hosts = [host.name for host in self.plan.hosts] + [node.name for node in self.plan.mobile_nodes]
        return messages.once(self.heard, [*hosts, CONTROLLER])


class Moves:
    """Which movement a mobile node had made last, at any time, and which one an address speaks of."""

    def __init__(self, trace: SignallingTrace) -> None:
        self._routers = trace.plan.owners
        self._moves: dict[str, list[tuple[int, Movement]]] = {
            node: [(trace.start_ns + round(move.at * 1e9), move) for move in trace.scenario.moves_of(node)]
            for node in trace.scenario.mobile_nodes
        }
        self._told = {node: list(moves) for node, moves in self._moves.items()}
        for event in trace.events:
            if event["event"] == "handover_announced":
                moves = self._told[event["source"]]
                turn = bisect_right(moves, event["time_ns"], key=lambda move: move[0])
                moves[turn : turn + 1] = [(event["time_ns"], move) for _, move in moves[turn : turn + 1]]

    def last(self, node: str, time_ns: int) -> tuple[int, str] | None:
        """When the last movement of ``node`` began, and its name; None before the first, or for no mobile node."""
        return self._last(self._moves.get(node, []), time_ns)

    def last_told(self, node: str, time_ns: int) -> str:
        """As `by`, of a movement that the node has announced from then on."""
        last = self._last(self._told.get(node, []), time_ns)
        return last[1] if last is not None else UNKNOWN

    @staticmethod
    def _last(moves: list[tuple[int, Movement]], time_ns: int) -> tuple[int, str] | None:
        turn = bisect_right(moves, time_ns, key=lambda move: move[0])
        return (moves[turn - 1][0], movement_name(moves[turn - 1][1])) if turn else None

    def by(self, node: str, time_ns: int) -> str:
        """The last movement of ``node`` as a cause; `UNKNOWN` before the first."""
        last = self.last(node, time_ns)
        return last[1] if last is not None else UNKNOWN

    def to_router_of(self, address: str, time_ns: int) -> str:
        """The last movement to the router that ``address`` is from."""
        node, router = self._routers.get(address, ("", ""))
        moves = [move for at_ns, move in self._moves.get(node, []) if at_ns <= time_ns and move.to == router]
        return movement_name(moves[-1]) if moves else UNKNOWN

    def away_from_router_of(self, address: str, time_ns: int) -> str:
        """The last movement that left the router that ``address`` is from."""
        node, router = self._routers.get(address, ("", ""))
        moves = [move for at_ns, move in self._moves.get(node, []) if at_ns <= time_ns]
        left = [after for before, after in pairwise(moves) if before.to == router]
        return movement_name(left[-1]) if left else self.by(node, time_ns)

    def node_of(self, address: str) -> str | None:
        """The mobile node that ``address`` belongs to; None if it is no mobile node's."""
        return self._routers[address][0] if address in self._routers else None


class RegistrationRule:
    """By the user-plane port in a service request, the address in a REGISTER or a leg, the number of a session."""

    def __init__(self, trace: SignallingTrace, moves: Moves) -> None:
        self._moves = moves
        self._sessions = {FIRST_LOCAL_PORT + session.number: session.name for session in sessions_of(trace.scenario)}
        self._requests: dict[tuple[bool, str, int], str] = {}
        self._relayed: dict[int, str] = {}
        self._registered: dict[str, tuple[object, ...]] = {}  # what a node's last granted registration held
        self._wanted: dict[tuple[str, int], tuple[object, ...]] = {}

    def of(self, message: Message) -> str:
        """The cause of ``message``."""
        detail = message.detail
        if not isinstance(detail, wire.Message):
            return UNKNOWN
        key = (detail.type in _FORWARDED, detail.node, detail.sequence)
        if detail.type in _ASKED:
            if key not in self._requests:
                self._requests[key] = self._request(message, detail)
        elif detail.type is MessageType.SESSION_ENDED:
            return self._relayed.get(detail.session or 0, UNKNOWN)
        elif detail.type is MessageType.REGISTERED:
            self._registered[detail.node] = self._wanted.get((detail.node, detail.sequence), ())
        return self._requests.get(key, UNKNOWN)

    def _request(self, message: Message, detail: wire.Message) -> str:
        if detail.type is MessageType.KEEPALIVE:
            return KEEPALIVE
        if detail.type is MessageType.REGISTER:
            return self._register(message, detail)
        if detail.type is MessageType.DEREGISTER:
            return self._moves.by(message.source, message.time_ns)
        if detail.type in (MessageType.LEG_OPEN, MessageType.LEG_CLOSE):
            return self._moves.to_router_of(detail.addresses[0], message.time_ns)
        if detail.type in (MessageType.SERVICE_REQUEST, MessageType.INCOMING_REQUEST):
            cause = self._sessions.get(detail.peer_port or 0, UNKNOWN)
            if detail.session is not None:
                self._relayed[detail.session] = cause
            return cause
        return self._relayed.get(detail.session or 0, UNKNOWN)

    def _register(self, message: Message, detail: wire.Message) -> str:
        """A refresh says again what was granted, at the same attachment."""
        cause = self._moves.to_router_of(detail.addresses[0], message.time_ns)
        content = (detail.addresses, detail.port, detail.service, cause)
        self._wanted[detail.node, detail.sequence] = content
        if self._registered.get(detail.node) == content:
            return REFRESH
        return cause


@dataclass
class _Lookup:
    """A lookup by DDNS that had to ask: its session and its window, ns."""

    session: str
    start_ns: int
    end_ns: float


class DnsRule:
    """By the lookups of the correspondents, first in, first out; the resolver's own by what waits for it."""

    def __init__(self, trace: SignallingTrace, moves: Moves) -> None:
        self._moves = moves
        self._open: dict[tuple[str, str, str], deque[_Lookup]] = defaultdict(deque)
        self._asked: dict[tuple[str, int, tuple[str, str]], _Lookup] = {}
        self._causes: dict[tuple[tuple[str, int], int], str] = {}
        self._read_lookups(trace)
        everything = [message for message in trace.once() if message.protocol == "dns"]
        for message in everything:
            self._ask(message)
        self._follow_resolver([m for m in trace.heard if m.protocol == "dns" and m.at == RESOLVER])

    def of(self, message: Message) -> str:
        """The cause of ``message``."""
        detail = message.detail
        return self._causes.get((detail.client, detail.transaction), UNKNOWN) if isinstance(detail, Dns) else UNKNOWN

    def _read_lookups(self, trace: SignallingTrace) -> None:
        sessions = {
            session.name: session
            for session in sessions_of(trace.scenario)
            if METHODS[session.method].signalling.lookups == "dns"
        }
        running: dict[tuple[str, int], _Lookup] = {}
        cached = {
            (event["session"], event["attempt"]) for event in trace.events
            if event["event"] == "lookup_ended" and event["cached"]
        }  # fmt: skip
        for event in trace.events:
            if event["event"] not in ("lookup_started", "lookup_ended") or event["session"] not in sessions:
                continue
            key = (event["session"], event["attempt"])
            if event["event"] == "lookup_ended" and key in running:
                running[key].end_ns = event["time_ns"]
            elif key not in cached:
                running[key] = lookup = _Lookup(event["session"], event["time_ns"], float("inf"))
                for question in _questions(trace.scenario, sessions[event["session"]]):
                    self._open[sessions[event["session"]].cn, *question].append(lookup)

    def _ask(self, message: Message) -> None:
        detail = message.detail
        if not isinstance(detail, Dns) or detail.answer or message.source == RESOLVER:
            return
        repeated = self._asked.get((message.source, detail.transaction, detail.question))
        if repeated is None or repeated.end_ns < message.time_ns:
            waiting = self._open[message.source, *detail.question]
            while waiting and waiting[0].end_ns < message.time_ns:
                waiting.popleft()
            if waiting and waiting[0].start_ns <= message.time_ns:
                repeated = waiting.popleft()
                self._asked[message.source, detail.transaction, detail.question] = repeated
            else:
                repeated = None
        cause = repeated.session if repeated is not None else self._moves.by(message.source, message.time_ns)
        cause = DISCOVERY if detail.kind in ("PTR", "TXT") else cause
        self._causes[detail.client, detail.transaction] = cause

    def _follow_resolver(self, heard: Iterable[Message]) -> None:
        """The resolver's capture in its order: questions come, wait, make it ask, and are answered."""
        waiting: dict[tuple[tuple[str, int], int], tuple[str, str]] = {}
        for message in heard:
            detail = message.detail
            if not isinstance(detail, Dns):
                continue
            key = (detail.client, detail.transaction)
            if message.destination == RESOLVER and not detail.answer:
                waiting.setdefault(key, detail.question)
            elif message.source == RESOLVER and detail.answer:
                waiting.pop(key, None)
            elif message.source == RESOLVER:
                same = [self._causes.get(k, UNKNOWN) for k, question in waiting.items() if question == detail.question]
                about = [self._causes.get(k, UNKNOWN) for k, (_, name) in waiting.items() if name.endswith(detail.name)]
                self._causes[key] = next(iter([*same, *about]), UNKNOWN)


def _questions(scenario: Scenario, session: SessionSpec) -> list[tuple[str, str]]:
    target = node_id(scenario, session.mn).lower().rstrip(".")
    service = _DNS_SERVICE if session.service == "echo" else f"_{session.service}"
    return [("SRV", f"{service}._{session.transport}.{target}"), ("A", target), ("AAAA", target)]


class UpdateRule:
    """By the address that a dynamic update comes from."""

    def __init__(self, moves: Moves) -> None:
        self._moves = moves
        self._causes: dict[tuple[tuple[str, int], int], str] = {}

    def of(self, message: Message) -> str:
        """The cause of ``message``."""
        detail = message.detail
        if not isinstance(detail, Dns):
            return UNKNOWN
        key = (detail.client, detail.transaction)
        if not detail.answer:
            self._causes.setdefault(key, self._moves.to_router_of(detail.client[0], message.time_ns))
        return self._causes.get(key, UNKNOWN)


class DhcpRule:
    """By the client's MAC and the movements; what follows the lease is its renewal."""

    def __init__(self, trace: SignallingTrace, moves: Moves) -> None:
        self._moves = moves
        self._names = messages.Names(trace.plan)
        self._leases: dict[str, list[int]] = defaultdict(list)
        for event in trace.events:
            if event["event"] in _LEASES:
                self._leases[event["source"]].append(event["time_ns"])
        self._causes: dict[tuple[str, int], tuple[int, str]] = {}

    def of(self, message: Message) -> str:
        """The cause of ``message``."""
        detail = message.detail
        if not isinstance(detail, Dhcp):
            return UNKNOWN
        if message.text == "release":
            return self._moves.away_from_router_of(detail.address, message.time_ns)
        node = self._names.of(detail.client_mac)
        last = self._moves.last(node, message.time_ns)
        if last is None:
            return UNKNOWN
        since_ns, cause = last
        key = (detail.client_mac, detail.transaction)
        if self._causes.get(key, (0, ""))[0] != since_ns:
            leased = any(since_ns <= lease_ns < message.time_ns for lease_ns in self._leases[node])
            self._causes[key] = since_ns, REFRESH if leased else cause
        return self._causes[key][1]


class ArpRule:
    """The first exchange of each pair after a movement."""

    def __init__(self, trace: SignallingTrace, moves: Moves) -> None:
        self._nodes, self._moves = set(trace.scenario.mobile_nodes), moves
        self._answered: dict[tuple[str, str, str], bool] = {}

    def of(self, message: Message) -> str:
        """The movement, or nothing for what is not part of one."""
        detail = message.detail
        if not isinstance(detail, Arp):
            return ""
        node = next((name for name in (detail.sender, detail.target) if name in self._nodes), "")
        last = self._moves.last(node, message.time_ns)
        if last is None:
            return ""
        asker, asked = (detail.sender, detail.target) if detail.asks else (detail.target, detail.sender)
        key = (last[1], asker, asked)
        if detail.asks and message.destination == messages.BROADCAST:
            return "" if self._answered.setdefault(key, False) else last[1]
        if detail.asks or self._answered.get(key) is not False:
            return ""
        self._answered[key] = True
        return last[1]


class OpenFlowRule:
    """By the mobile node in the message's match, frame or port; what copies DHCP, or answers it, by that."""

    def __init__(self, trace: SignallingTrace, moves: Moves, dhcp: DhcpRule) -> None:
        self._moves, self._start_ns, self._dhcp = moves, trace.start_ns, dhcp
        self._reader = messages.Reader(CONTROLLER, messages.Names(trace.plan))
        radios = [(radio, node.name) for node in trace.plan.mobile_nodes for radio in node.radios]
        self._by_mac = {radio.mac: name for radio, name in radios}
        self._by_port_name = {radio.port: name for radio, name in radios}
        self._ports: dict[tuple[str, int], str] = {}  # (switch, port number) to mobile node
        self._asked: dict[tuple[str, int], str] = {}
        self._released: dict[str, str] = {}  # addresses given back, and for which movement
        self._leased: tuple[str, str] | None = None  # address and cause of the DHCP message that was copied last
        self._flush: str | None = None  # the cause of an address in what the controller is just telling the switches
        self._before = UNKNOWN

    def of(self, message: Message) -> str:
        """The cause of ``message``."""
        detail = message.detail
        switch = message.source if message.destination == CONTROLLER else message.destination
        if not isinstance(detail, OpenFlow):
            return self._before
        if detail.keepalive:
            return KEEPALIVE
        if message.destination == CONTROLLER:
            self._flush = None
        key = (switch, detail.transaction)
        if detail.answers and key in self._asked:
            return self._asked[key]
        cause = START_UP if message.time_ns < self._start_ns else self._reason(detail, switch, message.time_ns)
        self._before = cause
        if message.source == CONTROLLER:
            self._asked[key] = cause
        return cause

    def _reason(self, detail: OpenFlow, switch: str, time_ns: int) -> str:
        for number, name in detail.ports:
            if name in self._by_port_name:
                self._ports[switch, number] = self._by_port_name[name]
        if detail.name == "packet-in":
            if messages.asks_again(pcap.parse(detail.frame, time_ns)):
                return KEEPALIVE
            copied = self._copied(detail, time_ns)
            if copied is not None:
                return copied
        addresses = {address for address in detail.addresses if self._moves.node_of(address) is not None}
        released = addresses & self._released.keys()
        if not addresses and self._flush is not None:
            return self._flush
        if self._leased is not None and self._leased[0] in addresses:
            self._flush = self._leased[1]
        elif detail.name in ("flow-mod delete", "flow-removed") and released:
            self._flush = self._released[min(released)]
        else:
            return self._movement(detail, switch, time_ns)
        return self._flush

    def _copied(self, detail: OpenFlow, time_ns: int) -> str | None:
        """The cause of the DHCP message, or of an IPv6 address's release, that a packet-in copies; None if it copies
        something else.
        """
        self._leased = None
        frame = pcap.parse(detail.frame, time_ns)
        message = next(iter(self._reader.messages([frame])), None) if frame is not None else None
        if message is not None and isinstance(message.detail, Discovery):
            return self._discovered(message, message.detail.kind)
        if message is None or not isinstance(message.detail, Dhcp):
            return None
        cause = self._dhcp.of(message)
        if message.text == "release":
            self._released[message.detail.address] = cause
        elif message.text == "ack":
            self._released.pop(message.detail.address, None)
        if message.text in ("release", "ack"):
            self._leased = message.detail.address, cause
        return cause

    def _discovered(self, message: Message, kind: int) -> str | None:
        address = message.peers[0]
        if kind != pcap.REGISTRATION:
            self._released.pop(address, None)  # it is in use
            return None
        self._released[address] = cause = self._moves.away_from_router_of(address, message.time_ns)
        self._leased = address, cause
        return cause

    def _movement(self, detail: OpenFlow, switch: str, time_ns: int) -> str:
        named = [self._by_mac[mac] for mac in detail.macs if mac in self._by_mac]
        named += [node for address in detail.addresses if (node := self._moves.node_of(address)) is not None]
        if detail.in_port is not None and (switch, detail.in_port) in self._ports:
            named.append(self._ports[switch, detail.in_port])
        return self._moves.last_told(min(named), time_ns) if named else self._before
