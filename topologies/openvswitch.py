"""An Open vSwitch of our own: its database and sockets live in a folder of the run, and end with it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Literal

# Open vSwitch's names: the kernel's own, or its stand-in in user space where the kernel has none.
Datapath = Literal["system", "netdev"]
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
# ovs-vswitchd looks at the number of cores when monotonic time is a multiple of 10 s; before the first such look it
# believes there are none and serves no packet-in. A machine that has just booted is given the time it needs.
_SETTLED_S = 15.0


class OpenVSwitch:
    """ovsdb-server and ovs-vswitchd, in the network namespace of the caller."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> OpenVSwitch:
        folder = self._folder
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["OVS_RUNDIR"] = str(folder)  # where ovs-vsctl, Mininet's too, looks for the socket
        time.sleep(max(0.0, _SETTLED_S - time.monotonic()))
        database = folder / "conf.db"
        _run("ovsdb-tool", "create", str(database), str(SCHEMA))
        daemon = ("--detach", "--no-chdir", "--pidfile", "-vconsole:off")
        _run(
            "ovsdb-server", str(database), f"--remote=punix:{folder}/db.sock", *daemon, f"--log-file={folder}/ovsdb.log"
        )
        _run("ovs-vsctl", "--no-wait", "init")
        _run("ovs-vswitchd", *daemon, f"--log-file={folder}/vswitchd.log")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for name in ("ovs-vswitchd", "ovsdb-server"):
            if (self._folder / f"{name}.pid").exists():
                subprocess.run(["ovs-appctl", "--timeout=5", "-t", name, "exit"], capture_output=True)
        os.environ.pop("OVS_RUNDIR", None)


def _run(*argv: str) -> None:
    result = subprocess.run(argv, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {result.stderr.strip() or f'exit status {result.returncode}'}")
