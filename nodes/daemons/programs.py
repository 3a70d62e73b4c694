"""The agent that runs, on one node, the programs that sessions are opened to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dmmlab.nodes.daemons.agent import Agent
from dmmlab.nodes.programs import servers
from dmmlab.nodes.programs.servers import ServerOrder


@dataclass(frozen=True)
class Servers(Agent):
    """Starts and ends the programs in ``orders``; ``folder`` takes the list of them."""

    ready_event: ClassVar[str] = "programs_ready"

    folder: Path
    orders: tuple[ServerOrder, ...]

    @property
    def _file(self) -> Path:
        return self.folder / f"{self.name}.json"

    @property
    def argv(self) -> list[str]:
        """Its options."""
        return ["--name", self.host, "--orders", str(self._file), "--events", str(self.events)]

    @property
    def may_end(self) -> bool:
        """It does when its programs have."""
        return True

    def write(self) -> None:
        """Writes the orders."""
        servers.write(self._file, list(self.orders))

    def run(self) -> None:
        """The programs."""
        servers.main(self.argv)
