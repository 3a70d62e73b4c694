"""What runs beside a scenario: daemons and agents, started, watched and ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from dmmlab.nodes.daemons.daemon import Daemon
from dmmlab.nodes.daemons.process import Host, Process


def _somebody_has_ended() -> bool:
    """Whether a child has ended whose status nobody has asked for yet: one system call, however many there are."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


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
        """Configures and starts each of ``daemons``."""
        for daemon in daemons:
            daemon.write()
            self._running.append((daemon, daemon.start(self._host(daemon.host))))

    def await_ready(self, daemons: Sequence[Daemon]) -> None:
        """Returns when all of ``daemons`` can be used; raises LabError if anything dies first or takes too long, and
        DaemonError if that finds fault with its configuration.
        """
        for daemon in daemons:
            with self._host(daemon.host).inside():
                if not daemon.ready(self.check_alive):
                    daemon.check()
                    raise LabError(f"{daemon.name} was not ready in time; {daemon.last_words()}")

    def check_alive(self) -> None:
        """Raises LabError, with its last words, or DaemonError, as above, if something ended that should not have."""
        if not _somebody_has_ended():
            return
        for daemon, process in self._running:
            if process.poll() is not None and not daemon.may_end:
                daemon.check()
                raise LabError(f"{daemon.name} ended with status {process.poll()}; {daemon.last_words()}")

    def stop(self) -> None:
        """Ends what was started, agents first, and waits for it: captures and logs are complete then."""
        for last in (False, True):
            ending = [process for daemon, process in self._running if daemon.ends_last is last]
            for process in ending:
                process.terminate()
            for process in ending:
                process.wait()
        for daemon, _ in self._running:
            daemon.tidy()
        self._running.clear()
