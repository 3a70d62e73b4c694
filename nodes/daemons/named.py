"""BIND's named as the DDNS server of the MNs' zone (draft 4.1)."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dns.flags
import dns.message

from dmmlab.machine import private
from dmmlab.nodes.daemons.daemon import Alive, Daemon, DaemonError, dry_run, program, render
from dmmlab.nodes.daemons.dns_answer import answers

_KEY = 'key "{name}." {{ algorithm hmac-sha256; secret "{secret}"; }};'
# Its own name, and _service._transport beneath it.
_GRANT = '        grant "{name}." subdomain "{name}." A AAAA SRV;'
_NOBODY = '        deny "*" zonesub ANY;'
LOOPBACK = ("127.0.0.0/8", "::1/128")
_OBJECT = re.compile(rb"client @0x[0-9a-f]+ ")


@dataclass(frozen=True)
class Named(Daemon):
    """The DDNS server (draft 4.1): one zone, whose names each MN changes with a TSIG key of its own and no other.

    ``keys`` maps an MN's FQDN (no dot at the end) to its base64 secret; ``hosts`` are fixed addresses as (label,
    address), among them ``ns``; ``services`` are fixed SRV records as (name, port, label), by which CNs discover
    servers; ``instances`` are the nodes that can be found by what they are called, with their IDs (DNS-SD, RFC 6763).
    ``address`` may be 0.0.0.0 or ::. TTLs are in seconds. Who is in none of the networks ``clients`` gets no answer.
    """

    directory: Path
    zone: str
    keys: Mapping[str, str]
    address: str = "0.0.0.0"
    port: int = 53
    ttl_s: int = 5
    negative_ttl_s: int = 5
    hosts: Sequence[tuple[str, str]] = ()
    services: Sequence[tuple[str, int, str]] = ()
    instances: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    clients: Sequence[str] = LOOPBACK

    @property
    def argv(self) -> list[str]:
        """The command that runs it in the foreground, its log on stderr."""
        return [program("named"), "-g", "-n", str(self.threads), "-c", str(self.directory / "named.conf")]

    def write(self) -> None:
        """Write configuration, zone and one key file per MN (``<name>.key``, as nsupdate -k reads it)."""
        self.directory.mkdir(parents=True, exist_ok=True)
        names = [name for name in self.keys if not name.endswith(f".{self.zone}")]
        if names:
            raise DaemonError(f"not in the zone {self.zone}: {', '.join(names)}")
        if below := [name for name in self.keys if any(name.endswith(f".{other}") for other in self.keys)]:
            raise DaemonError(f"beneath another MN, whose key would reach it: {', '.join(below)}")
        hosts = [*self.hosts]
        if "ns" not in dict(hosts):
            hosts.append(("ns", self.address if self.address not in ("0.0.0.0", "::") else "192.0.2.1"))
        values = {"directory": self.directory.resolve(), "zone": self.zone, "port": self.port}
        six, everywhere = ":" in self.address, self.address in ("0.0.0.0", "::")
        listens = "any" if everywhere else self.address
        keys = {name: _KEY.format(name=name, secret=secret) for name, secret in self.keys.items()}
        policy = [_GRANT.format(name=name) for name in keys] or [_NOBODY]
        conf = render(
            "named.conf.in",
            **values,
            ipv4="none" if six else listens,
            ipv6=listens if six else "none",
            keys="\n".join(keys.values()),
            policy="\n".join(policy),
            strangers=" ".join(f"!{network};" for network in self.clients),
        )
        private.write(self.directory / "named.conf", conf)
        records = "\n".join(self._records(hosts))
        zone = render("zone.db.in", **values, ttl_s=self.ttl_s, negative_ttl_s=self.negative_ttl_s, records=records)
        (self.directory / "zone.db").write_text(zone)
        (self.directory / "zone.jnl").unlink(missing_ok=True)  # of an earlier zone: it would not fit this one
        for name, key in keys.items():
            private.write(self.directory / f"{name}.key", f"{key}\n")

    def _records(self, hosts: Sequence[tuple[str, str]]) -> Iterator[str]:
        """What is in the zone from the start, one record a line."""
        for host, address in hosts:
            yield f"{host} IN {'AAAA' if ':' in address else 'A'} {address}"
        for name, port, host in self.services:
            yield f"{name} IN SRV 0 0 {port} {host}.{self.zone}."
        for called, node in self.instances.items():
            yield f"_dmm._udp IN PTR {called}._dmm._udp"
            yield f'{called}._dmm._udp IN TXT "id={node}"'

    def check(self) -> None:
        """Have BIND's own tools read what was written; raises DaemonError with their words."""
        dry_run(program("named-checkconf"), str(self.directory / "named.conf"))
        dry_run(program("named-checkzone"), "-q", self.zone, str(self.directory / "zone.db"))

    def ready(self, alive: Alive = lambda: None) -> bool:
        """Wait until it answers for the zone; to be called where its address is reachable."""
        query = dns.message.make_query(self.zone, "SOA")
        return answers(query, self.address, self.port, dns.flags.AA, alive)

    def tidy(self) -> None:
        """A client is logged with the address of its object in memory."""
        self.log.write_bytes(_OBJECT.sub(b"client ", self.log.read_bytes()))


def secret_of(key: bytes) -> str:
    """Return a TSIG key as BIND and dnspython spell it."""
    return base64.b64encode(key).decode()
