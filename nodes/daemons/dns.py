"""BIND's named for the MNs' zone and unbound as the CNs' caching resolver: configuration, dry run, argv, ready check.

Each lives in one directory and needs nothing from outside it. The caller starts ``argv`` in the foreground, waits with
``ready`` and ends it with SIGTERM.
"""

import base64
import importlib.resources
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdataclass
import jinja2

SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/bin", "/sbin")


class DaemonError(RuntimeError):
    """A daemon is missing, or finds fault with its configuration."""


def render(template: str, /, **values: object) -> str:
    """Return a template of this package, filled in; a value that is missing is an error."""
    text = (importlib.resources.files("dmmlab.nodes.daemons") / "templates" / template).read_text()
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    return environment.from_string(text).render(**values)


def program(name: str) -> str:
    """Return the path of a program, also where only root's PATH looks; raises DaemonError."""
    found = shutil.which(name) or shutil.which(name, path=":".join(SYSTEM_FOLDERS))
    if found is None:
        raise DaemonError(f"{name} is not installed")
    return found


def _dry_run(*argv: str) -> None:
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    if ran.returncode != 0:
        raise DaemonError(f"{Path(argv[0]).name}: {(ran.stdout + ran.stderr).strip()}")


def _answers(query: dns.message.Message, address: str, port: int, flag: int, timeout_s: float) -> bool:
    """Ask until an answer has the flag: named listens before it has loaded its zone, and says SERVFAIL till then."""
    where = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            answer = dns.query.udp(query, where, timeout=0.1, port=port)
        except dns.exception.Timeout:
            continue
        except OSError:  # nobody listens yet, and the error comes at once
            answer = None
        if answer is not None and answer.flags & flag:
            return True
        time.sleep(0.05)
    return False


@dataclass(frozen=True)
class Named:
    """The DDNS server (draft 4.1): one zone, whose names each MN changes with a TSIG key of its own and no other.

    ``keys`` maps an MN's FQDN (no dot at the end) to its base64 secret; ``hosts`` are fixed addresses as (label,
    address), among them ``ns``; ``services`` are fixed SRV records as (name, port, label), by which CNs discover
    servers. ``address`` may be 0.0.0.0 or ::. TTLs are in seconds.
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
    threads: int = 1

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
        values = {
            "directory": self.directory.resolve(),
            "zone": self.zone,
            "keys": dict(self.keys),
            "address": self.address,
            "port": self.port,
            "ttl_s": self.ttl_s,
            "negative_ttl_s": self.negative_ttl_s,
            "hosts": hosts,
            "services": self.services,
        }
        self._private("named.conf", render("named.conf.j2", **values))
        (self.directory / "zone.db").write_text(render("zone.db.j2", **values))
        (self.directory / "zone.jnl").unlink(missing_ok=True)  # of an earlier zone: it would not fit this one
        for name, secret in self.keys.items():
            self._private(f"{name}.key", render("tsig.key.j2", name=name, secret=secret))

    def _private(self, name: str, text: str) -> None:
        file = self.directory / name
        file.touch(0o600)
        file.write_text(text)

    def check(self) -> None:
        """Have BIND's own tools read what was written; raises DaemonError with their words."""
        _dry_run(program("named-checkconf"), str(self.directory / "named.conf"))
        _dry_run(program("named-checkzone"), "-q", self.zone, str(self.directory / "zone.db"))

    def ready(self, timeout_s: float = 10.0) -> bool:
        """Wait until it answers for the zone; to be called where its address is reachable."""
        query = dns.message.make_query(self.zone, "SOA")
        return _answers(query, self.address, self.port, dns.flags.AA, timeout_s)


@dataclass(frozen=True)
class Unbound:
    """The caching resolver: asks the DDNS server for the zone's names, and keeps answers for their TTL."""

    directory: Path
    zone: str
    ddns: tuple[str, int]
    address: str = "0.0.0.0"
    port: int = 53
    most_negative_ttl_s: int = 3600
    first_wait_ms: int = field(default=500)  # before the first repetition, as the project's other clients wait

    @property
    def argv(self) -> list[str]:
        """The command that runs it in the foreground, its log on stderr."""
        return [program("unbound"), "-d", "-p", "-c", str(self.directory / "unbound.conf")]

    def write(self) -> None:
        """Write the configuration."""
        self.directory.mkdir(parents=True, exist_ok=True)
        text = render(
            "unbound.conf.j2",
            directory=self.directory.resolve(),
            zone=self.zone,
            address=self.address,
            port=self.port,
            ddns_address=self.ddns[0],
            ddns_port=self.ddns[1],
            most_negative_ttl_s=self.most_negative_ttl_s,
            first_wait_ms=self.first_wait_ms,
        )
        (self.directory / "unbound.conf").write_text(text)

    def check(self) -> None:
        """Have unbound's own tool read what was written; raises DaemonError with its words."""
        _dry_run(program("unbound-checkconf"), str(self.directory / "unbound.conf"))

    def ready(self, timeout_s: float = 10.0) -> bool:
        """Wait until it answers; the question is one that it answers itself, so that its cache stays cold."""
        query = dns.message.make_query("version.bind", "TXT", dns.rdataclass.CHAOS)
        return _answers(query, self.address, self.port, dns.flags.QR, timeout_s)


def secret_of(key: bytes) -> str:
    """Return a TSIG key as BIND and dnspython spell it."""
    return base64.b64encode(key).decode()
