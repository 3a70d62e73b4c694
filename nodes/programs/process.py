"""A program of somebody else's, run for a session: started with its placeholders filled in, ended with all it started.

It finds an empty folder, which it shares with the program at the session's other end, as its working directory and
home, and no more of the environment than a PATH and a locale. What it prints goes to two files.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
import shlex
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

from dmmlab.machine import programs as machine
from dmmlab.machine.events import EventLog
from dmmlab.nodes import clock
from dmmlab.nodes.programs.program import Program
from dmmlab.nodes.programs.words import filled

_ENVIRONMENT = {"LANG": "C.UTF-8", "RES_OPTIONS": "timeout:1 attempts:1"}  # no network here has the machine's DNS
_PATIENCE_S = 1.0  # between the request to end and the end
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_NOT_FOUND = 127  # POSIX shells' status for a command that is not there
_SHELL_LACKS = re.compile(r"(\S+): (?:command )?not found\s*$", re.MULTILINE)
# What libc says (strerror, gai_strerror) of an address family that a program or its library does not have.
_FAMILY_LACKS = re.compile(
    r"^.*(?:Address family (?:for hostname )?not supported|ai_family not supported).*$", re.MULTILINE
)


async def run(program: Program, address: str, port: int, name: str, log: EventLog) -> None:
    """Runs ``program`` until it ends, or its time is over; what becomes of it are events."""
    who = {"session": program.session, "role": program.role}
    if program.lacks:
        log.emit("program_unsupported", **who, reason=program.lacks)
        return
    words = filled(program.words, address, port, name)
    Path(program.folder).mkdir(parents=True, exist_ok=True)
    with Path(f"{program.output}.out").open("wb") as output, Path(f"{program.output}.err").open("wb") as errors:
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                cwd=program.folder,
                env={**_ENVIRONMENT, "PATH": machine.path(), "HOME": program.folder},
                start_new_session=True,
            )
        except OSError as error:
            log.emit("program_unsupported", **who, reason=f"{words[0]} cannot be started: {error.strerror}")
            return
        log.emit("program_started", **who, command=shlex.join(words))
        stopped = False
        try:
            async with asyncio.timeout(max(0, program.until_ns - clock.now_ns()) / 1e9):
                await process.wait()
        except TimeoutError:
            stopped = True
        finally:
            await _end(process)
    log.emit("program_ended", **who, status=process.returncode, stopped=stopped)
    if process.returncode and not stopped and (reason := _unsupported(program, process.returncode)):
        log.emit("program_unsupported", **who, reason=reason)


@contextlib.contextmanager
def all_ended(programs: bool = True) -> Iterator[None]:
    """Whatever is started in this block, if it is of ``programs``, and whatever that leaves behind, ends with it."""
    if not programs:
        yield
        return
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # orphans are this process's children, so they are found
    try:
        yield
    finally:
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """The processes that ``pid`` has started, and those that they have, parents first."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = sorted(children.get(pid, ()))
    for child in found:
        found.extend(sorted(children.get(child, ())))
    return found


async def _end(process: asyncio.subprocess.Process) -> None:
    """Asks it and all that it started to end, and sees to it."""
    ending = [process.pid, *descendants(process.pid)] if process.returncode is None else []
    _signal(ending, signal.SIGTERM)
    if ending:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _PATIENCE_S)
    _signal(ending, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):  # those that stayed in its group, though it has ended by itself
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _signal(processes: Sequence[int], number: signal.Signals) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _unsupported(program: Program, status: int) -> str:
    """Why it could not do what it was to, if that is for want of a program or of an address family; else empty."""
    said = "".join(Path(f"{program.output}.{kind}").read_text(errors="replace") for kind in ("out", "err"))
    if status == _NOT_FOUND and (missing := _SHELL_LACKS.search(said)):
        return machine.lacking(missing[1])
    lacks = _FAMILY_LACKS.search(said)
    return lacks[0].strip() if lacks else ""
