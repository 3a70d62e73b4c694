"""Runs a command in the guest and passes on its output, its exit status and the user's Ctrl-C.

    launcher ---- job directory (hostfs) ----> init ---> session.sh ---> the command
       |  <--- stdout, stderr, status, console ---'
       '------ mconsole: Ctrl-C as an interrupt -----'

Output goes through files, not pipes: a write to a file never waits for its reader, so however slow the host is, the
guest's virtual clock does not see it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dmmlab.guest.cache import GuestKernel, find_kernel
from dmmlab.guest.errors import GuestError
from dmmlab.guest.job import UMID, Job, command_line, kernel_environment, write_job
from dmmlab.guest.mconsole import request
from dmmlab.machine import processors
from dmmlab.machine.processes import die_with_parent

TIMED_OUT = 124  # as timeout(1)
POLL_S = 0.02
INTERRUPTED_S = 10.0  # wall time that a guest has to end in after Ctrl-C
JOB_PREFIX = "dmmlab-guest-"
Sink = IO[bytes] | Callable[[bytes], Any]


def execute(  # noqa: PLR0913  (each keyword is a condition of the boot)
    argv: Sequence[str],
    *,
    writable: Sequence[Path] = (),
    places: Mapping[str, Path] | None = None,
    clock: str = "virtual",
    time_limit_s: float | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    services: bool = False,
    memory_mb: int = 1024,
    stdin: bytes = b"",
    stdout: Sink | None = None,
    stderr: Sink | None = None,
    kernel: GuestKernel | None = None,
    seed: int = 0,
    processor: int | None = None,
) -> int:
    """Run `argv` as root in a guest of its own and return its exit status (128 + n if signal n ended it).

    The host's files are read-only inside, except the directories in `writable`, which must exist, and those in
    `places`, which have other paths there: a run that must not depend on where its files lie. `time_limit_s` is
    wall time; when it is over everything is killed and 124 returned. `services` starts Open vSwitch first. `env` is
    added to a fixed environment; nothing is inherited. Output goes to this process's own stdout and stderr while it is
    produced, or to the given binary file or callable. In virtual time all that is random inside follows from `seed`.
    The guest keeps to `processor`, or to one that no other guest has. Raises NoKernelError if there is no kernel for
    `clock`, and GuestError if the guest ended without the command's exit status.
    """
    job = Job(
        argv=tuple(argv),
        cwd=(cwd or Path.cwd()).resolve(),
        clock=clock,
        writable=tuple(existing_directory(path) for path in writable),
        places={place: existing_directory(path) for place, path in (places or {}).items()},
        env=dict(env or {}),
        services=services,
        memory_mb=memory_mb,
        seed=seed,
        processor=processor,
    )
    if os.environ.get("DMMLAB_GUEST"):
        raise GuestError("this is the guest already: run the command as it is")
    chosen = kernel or find_kernel(clock)
    with job_directory() as directory:
        write_job(job, chosen, directory)
        (directory / "stdin").write_bytes(stdin)
        tails = [Tail(directory / "stdout", _writer(stdout, 1)), Tail(directory / "stderr", _writer(stderr, 2))]
        return _carry_out(job, chosen, directory, tails, time_limit_s)


def _carry_out(job: Job, kernel: GuestKernel, directory: Path, tails: list[Tail], time_limit_s: float | None) -> int:
    """Boots the job that lies in ``directory``, waits for it, and says on the last of ``tails`` what ended it."""
    with boot(job, kernel, directory) as process:
        in_time = _watch(process, tails, directory, time_limit_s)
    for tail in tails:
        tail.copy()
    if not in_time:
        tails[-1].write(f"dmmlab: time limit of {time_limit_s:g} s of wall time reached: killed\n".encode())
        return TIMED_OUT
    status = exit_status(directory, process.returncode)
    if killed := re.search(r"Out of memory: [^\n,]*", _console(directory)):
        tails[-1].write(f"dmmlab: {killed.group()} (the guest has {job.memory_mb} MB)\n".encode())
    return status


def existing_directory(path: Path) -> Path:
    """``path``, resolved; GuestError if it is no directory."""
    resolved = path.resolve()
    if not resolved.is_dir():
        raise GuestError(f"{path} is to be writable in the guest, but is not a directory")
    return resolved


@contextlib.contextmanager
def job_directory() -> Iterator[Path]:
    """A private directory for one boot, in memory where the machine allows it; removes those of killed launchers."""
    shared_memory = Path("/dev/shm")
    place = shared_memory if os.access(shared_memory, os.W_OK) else Path(tempfile.gettempdir())
    _sweep(place)
    directory = Path(tempfile.mkdtemp(prefix=JOB_PREFIX, dir=place)).resolve()
    lock = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # held for as long as the launcher lives
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def _sweep(place: Path) -> None:
    for directory in place.glob(f"{JOB_PREFIX}*"):
        with contextlib.suppress(OSError):
            if directory.stat().st_uid != os.getuid() or time.time() - directory.stat().st_mtime < 60:
                continue
            lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(lock)


def memory_directory(memory_mb: int) -> str:
    """Where the guest's memory file goes: shared memory if it is large enough (in containers it often is not)."""
    with contextlib.suppress(OSError):
        room = os.statvfs("/dev/shm")
        if os.access("/dev/shm", os.W_OK) and room.f_bavail * room.f_frsize > (memory_mb + 64) << 20:
            return "/dev/shm"
    return tempfile.gettempdir()


@contextlib.contextmanager
def boot(
    job: Job, kernel: GuestKernel, directory: Path, terminal_fd: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The running guest; killed with all its processes when the block is left or this process dies, however it dies.

    The kernel is told to die with the thread that starts it, and its helpers die with the kernel. It keeps to one
    processor with all that it starts.
    """
    with contextlib.ExitStack() as stack:
        processor = stack.enter_context(processors.claimed()) if job.processor is None else job.processor
        yield stack.enter_context(_booted(job, kernel, directory, terminal_fd, processor))


@contextlib.contextmanager
def _booted(
    job: Job, kernel: GuestKernel, directory: Path, terminal_fd: int | None, processor: int | None
) -> Iterator[subprocess.Popen[bytes]]:
    def begin() -> None:
        die_with_parent()
        if processor is not None:
            os.sched_setaffinity(0, {processor})

    with (directory / "console").open("wb") as console:
        process = subprocess.Popen(
            command_line(job, kernel, terminal_fd),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            pass_fds=() if terminal_fd is None else (terminal_fd,),
            cwd=directory,
            env=kernel_environment(job, kernel, memory_directory(job.memory_mb)),
            start_new_session=True,  # Ctrl-C at the terminal is ours to pass on
            preexec_fn=begin,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _writer(sink: Sink | None, descriptor: int) -> Callable[[bytes], Any]:
    if callable(sink):
        return sink
    if sink is not None:
        return _flushing(sink)
    (sys.stdout if descriptor == 1 else sys.stderr).flush()
    return lambda data: write_all(descriptor, data)


def _flushing(file: IO[bytes]) -> Callable[[bytes], Any]:
    def write(data: bytes) -> None:
        file.write(data)
        file.flush()

    return write


def write_all(descriptor: int, data: bytes) -> None:
    """Writes ``data`` to the end, however often that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@dataclass
class Tail:
    """One output file of the guest and where its bytes go."""

    path: Path
    write: Callable[[bytes], Any]
    offset: int = 0

    def copy(self) -> None:
        """Pass on what has been added since the last call."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            while data := file.read(1 << 20):
                self.offset += len(data)
                self.write(data)


def _watch(process: subprocess.Popen[bytes], tails: list[Tail], directory: Path, limit_s: float | None) -> bool:
    """Pass output on until the guest ends; False if the time limit came first. The first Ctrl-C goes inside.

    Raises KeyboardInterrupt at the second, and where the guest has not ended `INTERRUPTED_S` after the first.
    """
    deadline = None if limit_s is None else time.monotonic() + limit_s
    patience = None
    end = os.pidfd_open(process.pid)
    try:
        while deadline is None or time.monotonic() < deadline:
            try:
                ended = bool(select.select([end], [], [], POLL_S)[0])
                for tail in tails:
                    tail.copy()
                if ended:
                    process.wait()
                    return True
            except KeyboardInterrupt:
                if patience is not None or not request(directory / "uml" / UMID, "cad"):
                    raise
                patience = time.monotonic() + INTERRUPTED_S
                tails[1].write(b"dmmlab: interrupt passed on to the guest; once more kills it\n")
            if patience is not None and time.monotonic() > patience:
                tails[1].write(f"dmmlab: the guest has not ended {INTERRUPTED_S:g} s after that: killed\n".encode())
                raise KeyboardInterrupt
        request(directory / "uml" / UMID, "sysrq s")  # what the command has written so far reaches the host's files
        return False
    finally:
        os.close(end)


def exit_status(directory: Path, returncode: int | None) -> int:
    """The command's exit status as init noted it; GuestError with the reason if it never got so far."""
    console = _console(directory)
    failed = directory / "failed"
    if failed.exists():
        raise GuestError(f"{failed.read_text(encoding='utf-8').strip()}{_last_words(console)}")
    try:
        return int((directory / "status").read_text(encoding="ascii"))
    except (OSError, ValueError):
        raise GuestError(f"the guest ended before its command did: {cause_of_death(console, returncode)}") from None


def _console(directory: Path) -> str:
    return (directory / "console").read_text(encoding="utf-8", errors="replace")


def cause_of_death(console: str, returncode: int | None) -> str:
    """One clause from what the kernel said last: panic, out of memory, a signal from outside."""
    for pattern in (r"Kernel panic[^\n]*", r"Out of memory[^\n]*", r"BUG: [^\n]*", r"VFS: [^\n]*"):
        if found := re.search(pattern, console):
            return re.sub(r"^\[ *[\d.]+\] *", "", found.group()).strip()
    if returncode is not None and returncode < 0:
        return f"its kernel was ended by {signal.Signals(-returncode).name}{_last_words(console)}"
    return f"its kernel exited with status {returncode}{_last_words(console)}"


def _last_words(console: str) -> str:
    noise = ("sysrq: Power", "reboot: Power", "dmesg(1) may")
    lines = [line.strip() for line in console.splitlines() if line.strip() and not any(n in line for n in noise)]
    return f" (console: {lines[-1]})" if lines else ""
