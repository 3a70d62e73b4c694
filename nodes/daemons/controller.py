"""The OpenFlow controller's process (`dmmlab.controllers`)."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from dmmlab.nodes.daemons.daemon import Alive, Daemon, logged, wait_for


@dataclass(frozen=True)
class Controller(Daemon):
    """Listens on ``address``:``port`` for the switches of ``plan`` (`dmmlab.controllers.plan`, as JSON).

    ``folder`` takes the plan's file, ``events`` what happens.
    """

    plan: str
    folder: Path
    events: Path
    address: str
    port: int
    redirect: bool = True

    @property
    def _plan_file(self) -> Path:
        return self.folder / "redirect-plan.json"

    @property
    def argv(self) -> list[str]:
        """The command that runs it in the foreground."""
        argv = [sys.executable, "-m", "dmmlab.controllers", "--plan", str(self._plan_file)]
        argv += ["--events", str(self.events), "--listen", f"{self.address}:{self.port}"]
        return argv if self.redirect else [*argv, "--no-redirect"]

    def write(self) -> None:
        """Writes the plan."""
        self._plan_file.write_text(self.plan)

    def ready(self, alive: Alive = lambda: None) -> bool:
        """Waits until every switch has its first rules."""
        return wait_for(lambda: logged(self.events, ["ready"]), alive)
