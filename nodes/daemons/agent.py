"""Agents: our own programs on emulated hosts, run in forks of the runner, which has imported what they need.

Importing Scapy takes a second in the guest, once for each process that does it.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dmmlab.nodes.daemons.daemon import Alive, Daemon, logged, wait_for
from dmmlab.nodes.daemons.process import Forked, Host


@dataclass(frozen=True, kw_only=True)
class Agent(Daemon):
    """A node's program; ``events`` is the log in which it says that it is ready."""

    events: Path
    ready_event: ClassVar[str] = "ready"
    ends_last: ClassVar[bool] = False

    @abstractmethod
    def run(self) -> int | None:
        """What the fork does, until SIGTERM; returns its exit status (None: 0)."""

    def start(self, host: Host) -> Forked:
        """Forks; the child keeps its log open and nothing else."""
        gc.freeze()  # or the fork's collector would write to, and so copy, every page that has an object of ours
        if pid := os.fork():
            return Forked(pid)
        status = 1
        try:
            self.enter(host)
            output = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            for number in (1, 2):
                os.dup2(output, number)
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            status = self.run() or 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(status)

    def enter(self, host: Host) -> None:
        """Moves the fork to where it belongs, while it has the files of its parent."""
        host.enter()

    def ready(self, alive: Alive = lambda: None) -> bool:
        """Waits until it has logged that it is."""
        return wait_for(lambda: logged(self.events, [self.ready_event]), alive)
