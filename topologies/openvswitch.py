"""An Open vSwitch of our own: its database and sockets live in a folder of the run, and end with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal

from dmmlab.topologies.jsonrpc import Connection
from dmmlab.topologies.ovsdb import Database

# Open vSwitch's names: the kernel's own, or its stand-in in user space where the kernel has none.
Datapath = Literal["system", "netdev"]
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
# ovs-vswitchd looks at the number of cores when monotonic time is a multiple of 10 s; before the first such look it
# believes there are none and serves no packet-in. A machine that has just booted is given the time it needs.
_SETTLED_S = 15.0
_TIMEOUT_S = 5.0  # for ovs-vswitchd to answer


def ovs_vswitchd(folder: Path) -> Connection:
    """A connection to the ovs-vswitchd of ``folder``, as ovs-appctl has one (ovs-vswitchd(8), runtime commands)."""
    process = int((folder / "ovs-vswitchd.pid").read_text())
    return Connection(folder / f"ovs-vswitchd.{process}.ctl", _TIMEOUT_S)


class OpenVSwitch:
    """ovsdb-server and ovs-vswitchd, in the network namespace of the caller.

    With ``default`` it is the one that ovs-vsctl and the like talk to. ``database`` is the connection to its
    configuration, from the entry of the context to the exit.
    """

    database: Database

    def __init__(self, folder: Path, default: bool = True) -> None:
        self._folder, self._default = folder, default

    def __enter__(self) -> OpenVSwitch:
        folder = self._folder
        folder.mkdir(parents=True, exist_ok=True)
        time.sleep(max(0.0, _SETTLED_S - time.monotonic()))
        with ExitStack() as started:
            if self._default:
                os.environ["OVS_RUNDIR"] = str(folder)
                started.callback(os.environ.pop, "OVS_RUNDIR")
            self._run("ovsdb-tool", "create", f"{folder}/conf.db", str(SCHEMA))
            self._start(started, "ovsdb-server", f"{folder}/conf.db", f"--remote=punix:{folder}/db.sock")
            self.database = Database(folder / "db.sock")
            started.callback(self.database.close)
            self.database.transact({"op": "insert", "table": "Open_vSwitch", "row": {}})
            self._start(started, "ovs-vswitchd")
            self._started = started.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._started.close()

    def kill(self) -> None:
        """Ends ovs-vswitchd at once (SIGKILL); the kernel forwards by what it has cached, for as long as that lasts."""
        process = self.signal(signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # it is one only if nobody else looks after orphans here
            os.waitpid(process, 0)

    def signal(self, number: int) -> int:
        """Sends ovs-vswitchd a signal; its process ID. While it is stopped or killed nobody waits for what it does."""
        self.database.followed = number == signal.SIGCONT
        process = int((self._folder / "ovs-vswitchd.pid").read_text())
        os.kill(process, number)
        return process

    def restart(self) -> None:
        """Starts ovs-vswitchd again: it finds its bridges in the database, and they have no rules."""
        self._detach("ovs-vswitchd")
        self.database.followed = True

    def _start(self, started: ExitStack, name: str, *words: str) -> None:
        """Returns when it can be used."""
        self._detach(name, *words)
        started.callback(self._end, name)

    def _end(self, name: str) -> None:
        process = int((self._folder / f"{name}.pid").read_text())
        down = [] if self.database.followed else [ProcessLookupError]  # what was killed and not started again
        with contextlib.suppress(*down):
            os.kill(process, signal.SIGCONT)
            os.kill(process, signal.SIGTERM)

    def _detach(self, name: str, *words: str) -> None:
        self._run(
            name,
            *words,
            "--detach",
            "--no-chdir",
            "--pidfile",
            "-vconsole:off",
            f"--log-file={self._folder}/{name}.log",
        )

    def _run(self, *argv: str) -> None:
        environment = {**os.environ, "OVS_RUNDIR": str(self._folder)}  # where its sockets are
        result = subprocess.run(argv, capture_output=True, text=True, env=environment)
        if result.returncode:
            raise RuntimeError(f"{' '.join(argv)}: {result.stderr.strip() or f'exit status {result.returncode}'}")
