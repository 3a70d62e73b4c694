"""unbound as the CNs' caching resolver."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dns.flags
import dns.message
import dns.rdataclass

from dmmlab.nodes.daemons.daemon import Alive, Daemon, dry_run, program, render
from dmmlab.nodes.daemons.dns_answer import answers
from dmmlab.nodes.daemons.named import LOOPBACK


@dataclass(frozen=True)
class Unbound(Daemon):
    """The caching resolver: asks the DDNS server for the zone's names, and keeps answers for their TTL."""

    directory: Path
    zone: str
    ddns: tuple[str, int]
    address: str = "0.0.0.0"
    port: int = 53
    most_negative_ttl_s: int = 3600
    clients: Sequence[str] = LOOPBACK  # networks whose questions it answers
    first_wait_ms: int = 500  # before the first repetition, as the project's other clients wait

    @property
    def argv(self) -> list[str]:
        """The command that runs it in the foreground, its log on stderr."""
        return [program("unbound"), "-d", "-p", "-c", str(self.directory / "unbound.conf")]

    def write(self) -> None:
        """Write the configuration."""
        self.directory.mkdir(parents=True, exist_ok=True)
        text = render(
            "unbound.conf.in",
            directory=self.directory.resolve(),
            zone=self.zone,
            address=self.address,
            port=self.port,
            ddns_address=self.ddns[0],
            ddns_port=self.ddns[1],
            clients="\n".join(f"    access-control: {network} allow" for network in self.clients),
            most_negative_ttl_s=self.most_negative_ttl_s,
            first_wait_ms=self.first_wait_ms,
        )
        (self.directory / "unbound.conf").write_text(text)

    def check(self) -> None:
        """Have unbound's own tool read what was written; raises DaemonError with its words."""
        dry_run(program("unbound-checkconf"), str(self.directory / "unbound.conf"))

    def ready(self, alive: Alive = lambda: None) -> bool:
        """Wait until it answers; the question is one that it answers itself, so that its cache stays cold."""
        query = dns.message.make_query("version.bind", "TXT", dns.rdataclass.CHAOS)
        return answers(query, self.address, self.port, dns.flags.QR, alive)
