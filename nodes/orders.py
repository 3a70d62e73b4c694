"""What agents are told before they start, as JSON files; and the ports of the user plane.

Planners read this module too: it imports little.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dmmlab.machine import private
from dmmlab.nodes.programs.program import Program
from dmmlab.topologies.addressing import Family

ECHO_PORT = 5001
BULK_PORT = 5002
PROBE_BYTES = 24
DNS_PORT = 53
REGISTRATION_PORT = 48620
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # of the DNS (RFC 1035 section 2.3.4), in lower case
DNS_SERVICE = "dmm"  # the MNs' service in SRV owner names: _dmm._udp.mn1.ZONE
FIRST_LOCAL_PORT = 20_000  # session n of a run uses local port FIRST_LOCAL_PORT + n: captures tell sessions apart
MOST_SESSIONS = 10_000  # further up are the ports that the kernel hands out itself
SERVICES = {"echo": ECHO_PORT, "bulk": BULK_PORT}  # of the mobile node, by the names that a request carries


@dataclass(frozen=True)
class Account:
    """A node's account at the registration server: the server's address and port, the node's ID, its key (hex)."""

    server: str
    port: int
    node: str
    key: str
    control: str  # udp or tcp
    lifetime_s: float
    update_after_s: float = 0.0  # how long after a move a new address is registered


@dataclass(frozen=True)
class ZoneKey:
    """A mobile node's means to change its own name: DDNS server, zone, FQDN, TSIG secret (base64), TTL in seconds."""

    server: str
    zone: str
    name: str
    secret: str
    ttl_s: int
    keep_old: bool
    services: dict[str, int] = field(default_factory=dict)  # ports of others than `echo`, for SRV records of their own


@dataclass(frozen=True)
class Order:
    """One session: its number in the run, its name, when it starts (ns since the epoch), how, with whom, and what.

    ``target`` is the mobile node's ID (an FQDN), ``address`` the one address that method `fixed` knows. ``count``
    probes ``interval_ns`` apart (in the mean, drawn from ``seed``, with ``at_random``), or a bulk transfer of ``size``
    bytes drawn from ``seed``. ``select``
    names the policy by which one of several addresses is chosen, ``service`` which of the node's services it is with.
    """

    number: int
    session: str
    start_ns: int
    method: str
    transport: str
    target: str
    address: str
    count: int
    interval_ns: int
    size: int | None
    seed: int
    select: str
    port: int = 0  # of the service, to whom nothing is asked
    service: str = "echo"
    called: str = ""  # what the node goes by among people, by which its ID is found
    program: Program | None = None  # what is run, instead of all that this agent could send
    at_random: bool = False  # the probes, as a Poisson process

    @property
    def local_port(self) -> int:
        """The opener's port, by which captures tell sessions apart."""
        return FIRST_LOCAL_PORT + self.number


@dataclass(frozen=True)
class Side:
    """A method's or policy's side on the node: its class (``module:Class``), and what it is made with."""

    side: str
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CorrespondentFile:
    """All that a correspondent is told. ``discover`` is the zone in which to look for the registration server.

    ``methods`` and ``policies`` are those that its orders name.
    """

    orders: tuple[Order, ...]
    methods: dict[str, Side]
    policies: dict[str, Side]
    retry_s: float
    attempts: int
    resolver: str | None
    cn_cache: str  # off, ttl or forever
    account: Account | None
    discover: str | None
    browse: str | None = None  # the zone in which to look for the nodes' IDs
    desk: str | None = None  # where a mobile node's own agent takes what is to be asked of the registration server
    family: Family = "ipv4"
    counter: str | None = None  # where it takes further orders while it runs

    def write(self, path: Path) -> None:
        """Writes it as JSON."""
        private.write(path, json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, path: Path) -> CorrespondentFile:
        """What `write` has written; raises KeyError or TypeError for anything else."""
        data = json.loads(path.read_text())
        for order in data["orders"]:
            order["program"] = Program.read(order["program"]) if order["program"] else None
        data["orders"] = tuple(Order(**order) for order in data["orders"])
        for kind in ("methods", "policies"):
            data[kind] = {name: Side(**side) for name, side in data[kind].items()}
        data["account"] = Account(**data["account"]) if data["account"] else None
        return cls(**data)


@dataclass(frozen=True)
class MobileNodeFile:
    """Whom a mobile node tells of its addresses: the registration server, the DDNS server, both or neither."""

    account: Account | None
    zone: ZoneKey | None
    discover: str | None
    resolver: str | None
    services: dict[str, int] = field(default_factory=dict)  # beside the usual ones
    browse: str | None = None  # the zone in which to look for its DDNS server
    desk: str | None = None  # where its agent takes what its programs ask of the registration server
    family: Family = "ipv4"

    def write(self, path: Path) -> None:
        """Writes it as JSON."""
        private.write(path, json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, path: Path) -> MobileNodeFile:
        """What `write` has written; raises KeyError or TypeError for anything else."""
        data = json.loads(path.read_text())
        account, zone = data.pop("account"), data.pop("zone")
        return cls(Account(**account) if account else None, ZoneKey(**zone) if zone else None, **data)
