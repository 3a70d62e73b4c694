"""Which daemons and agents a run needs, configured from its scenario and its plan. Starts none."""

from __future__ import annotations

import ipaddress
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from dmmlab.experiments.methods.base import DDNS, RESOLVER, SERVER
from dmmlab.experiments.records.rundir import RunDirectory, radio_capture
from dmmlab.experiments.runner import programs
from dmmlab.experiments.runner.clockwatch import ClockWatch
from dmmlab.experiments.runner.controller import Controller
from dmmlab.experiments.runner.orders import (
    account_of,
    correspondent_file,
    mobile_node_file,
    redirect_plan,
    tsig_secret,
)
from dmmlab.experiments.scenario.costs import Time
from dmmlab.experiments.scenario.identities import ZONE, node_id
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.programs import CLIENT
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of
from dmmlab.experiments.scenario.timeline import Announce
from dmmlab.machine.events import CLOCKWATCH
from dmmlab.machine.processing import Cost
from dmmlab.nodes.daemons import tcpdump
from dmmlab.nodes.daemons.agents import Correspondent, MobileNode, RegistrationServer, RouterBuffer, Service
from dmmlab.nodes.daemons.daemon import Daemon
from dmmlab.nodes.daemons.dns_stand_in import DnsStandIn
from dmmlab.nodes.daemons.dnsmasq import Dnsmasq, RouterAdvertiser
from dmmlab.nodes.daemons.named import Named
from dmmlab.nodes.daemons.programs import Servers
from dmmlab.nodes.daemons.tcpdump import Tcpdump
from dmmlab.nodes.daemons.unbound import Unbound
from dmmlab.nodes.mobility.notice import Notice
from dmmlab.nodes.orders import DNS_PORT
from dmmlab.nodes.programs.program import Program
from dmmlab.nodes.registration import wire
from dmmlab.topologies.addressing import interface_identifier
from dmmlab.topologies.plan import CONTROLLER, CONTROLLER_PORT, NetworkPlan

_SET_UP_FRAMES = 20  # of a session, at either end: connection, legs, what the server asks
_MOST_FRAMES = tcpdump.SMALL_FRAMES + 1  # of a bulk transfer: more than a small buffer is for


class _Place(TypedDict):
    name: str
    host: str
    log: Path


@dataclass(frozen=True)
class Daemons:
    """Makes them; ``folder`` takes the files that they need and the run does not keep."""

    scenario: Scenario
    plan: NetworkPlan
    run: RunDirectory
    folder: Path

    def _place(self, name: str, host: str = "") -> _Place:
        return _Place(name=name, host=host or name, log=self.run.log / f"{name}.log")

    def controller(self) -> Controller:
        """The OpenFlow controller."""
        return Controller(
            redirect_plan(self.plan, self.scenario, self._give_back).to_json(),
            self.folder,
            str(self.plan.control.address.ip),
            CONTROLLER_PORT,
            self.scenario.redirects,
            packet_in=self._cost(self.scenario.costs.controller.packet_in, "controller/packet_in"),
            notes=any(fault.crash == CONTROLLER for fault in self.scenario.faults),
            events=self.run.events_of("controller"),
            **self._place("controller", CONTROLLER),
        )

    def address_servers(self) -> list[Daemon]:
        """One on each mobile router: it advertises its prefix (IPv6), or grants leases (IPv4)."""
        lease_s = round(self.scenario.addresses.lease)
        if self.plan.family == "ipv6":
            return [
                RouterAdvertiser(
                    router.access_interface,
                    str(router.prefix),
                    lease_s,
                    **self._place(f"dnsmasq-{router.name}", router.name),
                )
                for router in self.plan.mobile_routers
            ]
        return [
            Dnsmasq(
                router.access_interface,
                str(router.prefix),
                {
                    f"id:{node.client_id.hex(':')}" if node.second else node.mac: str(node.addresses[router.name])
                    for node in self.plan.mobile_nodes
                },
                lease_s,
                # To another radio than the one by which an address is known a reply would go where that one is.
                self.scenario.handover.buffer or any(node.second for node in self.plan.mobile_nodes),
                **self._place(f"dnsmasq-{router.name}", router.name),
            )
            for router in self.plan.mobile_routers
        ]

    def captures(self) -> list[Daemon]:
        """One on each correspondent, server and mobile node, and at the controller."""
        busy = self._busy_nodes()
        ends = [(host.name, host.name, host.interface, tcpdump.LARGE_KIB) for host in self.plan.hosts]
        for node in self.plan.mobile_nodes:
            buffer_kib = tcpdump.LARGE_KIB if node.name in busy else tcpdump.SMALL_KIB
            ends += [
                (node.name, radio_capture(node.name, number), radio.interface, buffer_kib)
                for number, radio in enumerate(node.radios)
            ]
        ends.append((CONTROLLER, CONTROLLER, self.plan.control.interface, tcpdump.CONTROL_KIB))
        return [
            Tcpdump(
                interface,
                self.run.pcap(file),
                tcpdump.WHOLE if name == CONTROLLER else tcpdump.HEADS,
                buffer_kib,
                self.scenario.open_ended,
                **self._place(f"tcpdump-{file}", name),
            )
            for name, file, interface, buffer_kib in ends
        ]

    def _busy_nodes(self) -> set[str]:
        """Nodes of bulk transfers, of programs, or of more probes at once than a small capture buffer might hold."""
        if self.scenario.open_ended:
            return set(self.scenario.ends)
        frames: Counter[str] = Counter()
        for session in sessions_of(self.scenario):
            a_second = min(session.count, 1 / session.interval_s if session.interval_s else 1)
            number = _SET_UP_FRAMES + 2 * math.ceil(a_second * tcpdump.LATENCY_S)
            small = session.size is None and session.entry.run is None
            frames.update(dict.fromkeys((session.cn, session.mn), number if small else _MOST_FRAMES))
        return {node for node, number in frames.items() if number > tcpdump.SMALL_FRAMES}

    def name_servers(self) -> list[Daemon]:
        """BIND with the mobile nodes' zone, and the correspondents' caching resolver (draft 4.1)."""
        scenario, plan = self.scenario, self.plan
        ddns, ttl_s = str(plan.host(DDNS).address.ip), round(scenario.ddns.ttl)
        hosts, services = [("ns", ddns)], []
        if scenario.needs(SERVER):
            hosts.append(("server", str(plan.host(SERVER).address.ip)))
            services = [(f"_dmm-registration._{kind}", wire.PORT, "server") for kind in ("udp", "tcp")]
        instances: dict[str, str] = {}
        if scenario.discovery == "dns-sd":
            services.append(("_dns-update._udp", DNS_PORT, "ns"))
            instances = {node: node_id(scenario, node) for node in scenario.mobile_nodes}
        scheme = plan.scheme
        clients = [str(each.whole) for each in (scheme.access, scheme.hosts, scheme.routers)]
        named = Named(
            directory=self.folder / "named",
            zone=ZONE,
            keys={node_id(scenario, node): tsig_secret(scenario, node) for node in scenario.mobile_nodes},
            address=ddns,
            ttl_s=ttl_s,
            negative_ttl_s=ttl_s,
            hosts=hosts,
            services=services,
            instances=instances,
            clients=clients,
            **self._place(DDNS),
        )
        resolver = str(plan.host(RESOLVER).address.ip)
        place = self._place(RESOLVER)
        return [named, Unbound(self.folder / "unbound", ZONE, (ddns, 53), resolver, clients=clients, **place)]

    def registration_server(self) -> RegistrationServer:
        """The server, with an account for each mobile node and correspondent."""
        names = (*self.scenario.mobile_nodes, *self.scenario.correspondents)
        accounts = [found for name in names if (found := account_of(self.scenario, self.plan, name)) is not None]
        return RegistrationServer(
            str(self.plan.host(SERVER).address.ip),
            wire.PORT,
            self.folder,
            self.server_disk if self.scenario.fills_disk else self.folder,
            {account.node: account.key for account in accounts},
            self._cost(self.scenario.costs.server.register_, "server/register"),
            events=self.run.events_of(SERVER),
            **self._place(SERVER),
        )

    @property
    def server_disk(self) -> Path:
        """Where the registration server's database is, if that is to be a disk of its own."""
        return self.folder / "disk"

    def dns_stand_in(self, answers: str) -> DnsStandIn:
        """What answers so in the resolver's place."""
        where, ddns = (str(self.plan.host(name).address.ip) for name in (RESOLVER, DDNS))
        place = self._place(f"{RESOLVER}-{answers}", RESOLVER)
        return DnsStandIn(answers, where, ddns, events=self.run.events_of(RESOLVER), **place)

    def _cost(self, time: Time | None, whose: str) -> Cost | None:
        return None if time is None else time.cost(self.scenario.seed, whose)

    def clock_watch(self, host: str) -> ClockWatch:
        """In real time: what watches beside the run, on ``host``, whether the machine keeps time."""
        return ClockWatch(events=self.run.events_of(CLOCKWATCH), **self._place(CLOCKWATCH, host))

    def buffers(self) -> list[Daemon]:
        """On each mobile router, if the scenario wants it, what keeps packets for nodes that are between two links."""
        if not self.scenario.handover.buffer:
            return []
        return [
            RouterBuffer(
                router.access_interface,
                events=self.run.events_of(router.name),
                **self._place(f"buffer-{router.name}", router.name),
            )
            for router in self.plan.mobile_routers
        ]

    def warn(self, announce: Announce) -> None:
        """Tells a mobile node's agent what its radio knows, for example by the signal's strength."""
        notice = Notice(self.plan.mobile_router(announce.to).dpid, announce.lead_s)
        notice.send(self._notices(announce.node))

    def _notices(self, node: str) -> Path:
        """Where mobile node ``node`` hears of its radio."""
        return self.folder / f"{node}.radio"

    def mobile_nodes(self) -> list[MobileNode]:
        """On each mobile node its agent and its service."""
        made: list[MobileNode] = []
        for node in self.plan.mobile_nodes:
            events = self.run.events_of(node.name)
            config = mobile_node_file(self.scenario, self.plan, node.name, self._desk(node.name))
            keep_s = self.scenario.addresses.keep
            place = self._place(node.name)
            family, more = self.plan.family, self._more
            token = str(ipaddress.IPv6Address(interface_identifier(node.mac)))
            known_as = node.client_id.hex() if family == "ipv4" else token
            second, known_as = (node.second.interface, known_as) if node.second else (None, "")
            told = self._notices(node.name) if self.scenario.handover.announce is not None else None
            kind = self.scenario.addresses.lifetime, self.scenario.addresses.idle
            made.append(
                MobileNode(
                    node.interface,
                    self.folder,
                    keep_s,
                    config,
                    family,
                    more,
                    *kind,
                    second,
                    known_as,
                    told,
                    notes=any(fault.crash == node.name for fault in self.scenario.faults),
                    dhcp=self._cost(self.scenario.costs.node.dhcp, f"node/dhcp/{node.name}"),
                    events=events,
                    **place,
                )
            )
        return made

    @property
    def _give_back(self) -> bool:
        """Whether nodes give addresses back by other means than DHCP."""
        addresses = self.scenario.addresses
        ends = addresses.lifetime == "session-lasting" or addresses.keep is not None
        return self.plan.family == "ipv6" and ends

    @property
    def _more(self) -> tuple[int, ...]:
        """The ports of the services that the scenario adds."""
        return tuple(self.scenario.more_services.values())

    def _desk(self, node: str) -> str | None:
        """Where mobile node ``node`` takes what is asked of the registration server, if it opens sessions."""
        return str(self.folder / f"{node}.desk") if node in self.scenario.openers else None

    def correspondents(self, start_ns: int) -> list[Daemon]:
        """What opens sessions, and on hosts what they are opened to, in a scenario that starts at ``start_ns`` (ns
        since the epoch).
        """
        scenario = self.scenario
        made: list[Daemon] = [
            Service(
                "correspondent",
                self.plan.family,
                self._more,
                events=self.run.events_of(name),
                **self._place(f"{name}-service", name),
            )
            for name in scenario.correspondents
            if name in scenario.opened
        ]
        made += [
            self._correspondent(name, name, str(self.plan.host(name).address.ip), start_ns)
            for name in scenario.correspondents
            if name in scenario.openers
        ]
        # Beside the node's own agent, whose log says of itself that it is ready.
        made += [
            self._correspondent(f"{name}-sessions", name, None, start_ns)
            for name in scenario.mobile_nodes
            if name in scenario.openers
        ]
        return [*made, *self._program_servers(start_ns)]

    def _program_servers(self, start_ns: int) -> Iterator[Servers]:
        """What sessions with programs are opened to, an agent a node."""
        for node in self.scenario.program_nodes:
            orders = programs.servers(self.scenario, self.plan, node, start_ns, self.folder, self.run.log)
            name = f"{node}-programs"
            yield Servers(self.folder, orders, events=self.run.events_of(name), **self._place(name, node))

    def counter(self, opener: str) -> Path:
        """Where the agent that opens the sessions of ``opener`` takes further orders, if the scenario is open-ended."""
        return self.folder / f"{opener}.counter"

    def _correspondent(self, name: str, host: str, address: str | None, start_ns: int) -> Correspondent:
        def client(spec: SessionSpec) -> Program | None:
            return programs.program(spec, CLIENT, start_ns, self.folder, self.run.log)

        desk = None if address else self._desk(host)
        counter = str(self.counter(host)) if self.scenario.open_ended else None
        config = correspondent_file(self.scenario, self.plan, host, start_ns, desk, client, counter)
        events = self.run.events_of(name)
        return Correspondent(address, self.folder, config, events=events, **self._place(name, host))
