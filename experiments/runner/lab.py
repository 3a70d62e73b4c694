"""What runs beside a scenario: daemons and agents, started, watched and ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dmmlab.nodes.daemons.daemon import Daemon
from dmmlab.nodes.daemons.process import Forked, Host, Process

_STOP_S = 10.0  # a program takes no longer to end


class LabError(Exception):
    """Something that the run needs did not start or has died; one sentence."""


class Lab:
    """The processes of one run, in the order in which they were started: watched and ended from here.

    ``host`` gives the host of a name.
    """

    def __init__(self, host: Callable[[str], Host]) -> None:
        self._host = host
        self._running: list[tuple[Daemon, Process]] = []

    def start(self, daemons: Sequence[Daemon]) -> None:
        """Configures and starts each of ``daemons``; DaemonError if one finds fault with its configuration."""
        for daemon in daemons:
            daemon.write()
            daemon.check()
            self._running.append((daemon, daemon.start(self._host(daemon.host))))

    def await_ready(self, daemons: Sequence[Daemon]) -> None:
        """Returns when all of ``daemons`` can be used; raises LabError if anything dies first or takes too long."""
        for daemon in daemons:
            with self._host(daemon.host).inside():
                if not daemon.ready(self.check_alive):
                    raise LabError(f"{daemon.name} was not ready in time; {daemon.last_words()}")

    def check_alive(self) -> None:
        """Raises LabError, with its last words, if something has ended that should not have."""
        for daemon, process in self._running:
            if process.poll() is not None and not daemon.may_end:
                raise LabError(f"{daemon.name} ended with status {process.poll()}; {daemon.last_words()}")

    def stop(self) -> None:
        """Ends what was started, agents first, and waits for it: captures and logs are complete then."""
        agents = [process for _, process in self._running if isinstance(process, Forked)]
        programs = [process for _, process in self._running if not isinstance(process, Forked)]
        for agent in agents:
            agent.terminate()
        for agent in agents:
            agent.wait()
        for program in programs:
            program.terminate()
        for program in programs:
            program.wait(timeout=_STOP_S)
        for daemon, _ in self._running:
            daemon.tidy()
        self._running.clear()
