"""What runs beside a scenario: daemons and agents, started, watched and ended."""

from __future__ import annotations

import os
import signal
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
        self._stopped: dict[str, list[Process]] = {}  # by host: those that stand still

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

    # -- faults -----------------------------------------------------------------------------------------------
    def crash(self, host: str) -> list[Daemon]:
        """Kills what runs on ``host`` (SIGKILL) but those that only watch, and no longer misses it; for `restart`."""
        killed = self._on(host)
        for _, process in killed:
            process.send_signal(signal.SIGKILL)
            process.wait()
        self._running = [entry for entry in self._running if entry not in killed]
        return [daemon for daemon, _ in killed]

    def restart(self, daemons: Sequence[Daemon]) -> None:
        """Starts what crashed again, as it was configured and with what it left on the disk."""
        for daemon in daemons:
            self._running.append((daemon, daemon.start(self._host(daemon.host))))

    def pause(self, host: str) -> None:
        """Has what runs on ``host`` stand still (SIGSTOP), until `resume`."""
        self._stopped[host] = [process for _, process in self._on(host)]
        for process in self._stopped[host]:
            process.send_signal(signal.SIGSTOP)

    def resume(self, host: str) -> None:
        """Has that go on (SIGCONT)."""
        for process in self._stopped.pop(host):
            process.send_signal(signal.SIGCONT)

    def _on(self, host: str) -> list[tuple[Daemon, Process]]:
        """What still runs on ``host`` and is a part of it."""
        mine = [(daemon, process) for daemon, process in self._running if daemon.host == host and not daemon.watches]
        return [(daemon, process) for daemon, process in mine if process.poll() is None]

    def stop(self) -> None:
        """Ends what was started, agents first, and waits for it: captures and logs are complete then."""
        for host in list(self._stopped):
            self.resume(host)
        for last in (False, True):
            ending = [process for daemon, process in self._running if daemon.ends_last is last]
            for process in ending:
                process.terminate()
            for process in ending:
                process.wait()
        for daemon, _ in self._running:
            daemon.tidy()
        self._running.clear()
