"""The OpenFlow controller's process (`dmmlab.controllers`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dmmlab.machine.processing import Cost
from dmmlab.nodes.daemons.agent import Agent


@dataclass(frozen=True)
class Controller(Agent):
    """Listens on ``address``:``port`` for the switches of ``plan`` (`dmmlab.controllers.plan`, as JSON).

    It is ready when every switch has its first rules. ``folder`` takes the plan's file.
    """

    ends_last: ClassVar[bool] = True

    plan: str
    folder: Path
    address: str
    port: int
    redirect: bool = True
    notes: bool = False  # of what another one must know that takes its place
    packet_in: Cost | None = None

    @property
    def _plan_file(self) -> Path:
        return self.folder / "redirect-plan.json"

    @property
    def _cost_file(self) -> Path:
        return self.folder / "packet-in-cost.json"

    @property
    def argv(self) -> list[str]:
        """Its options."""
        argv = ["--plan", str(self._plan_file)]
        argv += ["--events", str(self.events), "--listen", f"{self.address}:{self.port}"]
        argv += ["--notebook", str(self.folder / "controller.notes.json")] if self.notes else []
        argv += ["--packet-in", str(self._cost_file)] if self.packet_in is not None else []
        return argv if self.redirect else [*argv, "--no-redirect"]

    def write(self) -> None:
        """Writes the plan, and what a packet-in takes."""
        self._plan_file.write_text(self.plan)
        if self.packet_in is not None:
            self.packet_in.write(self._cost_file)

    def run(self) -> int:
        """The controller; its framework is imported here, in the process that uses it."""
        from dmmlab.controllers import __main__ as controller

        return controller.main(self.argv)
