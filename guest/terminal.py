"""An interactive shell in the guest: the user's terminal, byte for byte, on the guest's /dev/tty1."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import subprocess
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from pathlib import Path

from dmmlab.guest.cache import GuestKernel, find_kernel
from dmmlab.guest.job import Job, Terminal, write_job
from dmmlab.guest.launch import boot, existing_directory, exit_status, job_directory, write_all


def shell(
    argv: Sequence[str] = ("bash", "--norc", "-i"),
    *,
    writable: Sequence[Path] = (),
    clock: str = "real",
    services: bool = True,
    memory_mb: int = 1024,
    kernel: GuestKernel | None = None,
) -> int:
    """Run `argv` (a shell) in the guest on this process's terminal and return its exit status.

    In virtual time the clock rushes ahead whenever the guest waits for a key, hence the default. Keys, Ctrl-C included,
    go to the guest. Raises what `launch.execute` raises.
    """
    columns, rows = shutil.get_terminal_size()
    job = Job(
        argv=tuple(argv),
        cwd=Path.cwd(),
        clock=clock,
        writable=tuple(existing_directory(path) for path in writable),
        env={"TERM": os.environ.get("TERM", "dumb"), "PS1": r"guest:\w# "},
        services=services,
        memory_mb=memory_mb,
        terminal=Terminal(rows=rows, columns=columns),
    )
    chosen = kernel or find_kernel(clock)
    ours, guests = socket.socketpair()
    with job_directory() as directory, ours, guests:
        write_job(job, chosen, directory)
        with boot(job, chosen, directory, guests.fileno()) as process, _raw_keys():
            _relay(process, ours)
        return exit_status(directory, process.returncode)


@contextlib.contextmanager
def _raw_keys() -> Iterator[None]:
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _relay(process: subprocess.Popen[bytes], line: socket.socket) -> None:
    """Copy keys in and characters out until the guest has gone."""
    end = os.pidfd_open(process.pid)
    sources: list[int] = [line.fileno(), end, 0]
    try:
        while True:
            ready = select.select(sources, [], [])[0]
            if line.fileno() in ready:
                write_all(1, line.recv(1 << 16))
            elif end in ready:
                process.wait()
                return
            if 0 in ready:
                keys = os.read(0, 1 << 12)
                if keys:
                    line.sendall(keys)
                else:  # end of a script that is fed in: what the terminal's own end-of-file key says
                    sources.remove(0)
                    line.sendall(b"\x04")
    finally:
        os.close(end)
