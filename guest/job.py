"""One boot described before it happens: what is mounted, what the session runs, the kernel's command line.

Nothing here has side effects but `write_job`, which fills a fresh directory.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from dmmlab.guest.cache import GuestKernel

# 2024-01-01 00:00:00 UTC: virtual time begins here in every run, so that stamps can be compared.
EPOCH_NS = 1_704_067_200 * 10**9
# Seconds on the monotonic clock when the command starts: past OVS's 10 s of "0 cores" and ping's first second.
UPTIME_S = 15
# The least that will do, for a kernel that can only wait for it: with Open vSwitch, and without.
LEAST_UPTIME_S = {True: 11, False: 1}
UMID = "guest"
# The job directory, to the kernel and, as long as it sees the host's /proc, to init.
HERE = "/proc/self/cwd"
HOME = "/run/home"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Empty and writable inside, where the host has them.
LIBRARY_CACHE = Path("/etc/ld.so.cache")
EMPTY = ("/var/log", "/var/lib/openvswitch", "/etc/openvswitch")
# The guest's own: what the host has there is hidden.
OWN = ("/run", "/dev", *EMPTY)
# The host's content with a layer on top that is thrown away: scripts in /tmp can be run, nothing in it is changed.
LAYERED = ("/tmp", "/var/tmp")


@dataclass(frozen=True)
class Terminal:
    """The size of an interactive session's screen in characters."""

    rows: int = 24
    columns: int = 80


@dataclass(frozen=True)
class Job:
    """What to run inside and what it may see; paths are absolute and free of symbolic links.

    ``places`` are host directories, writable as well, by the paths that they have inside. ``processor`` is the one that
    the guest keeps to; None leaves it the choice.
    """

    argv: Sequence[str]
    cwd: Path
    clock: str = "virtual"
    writable: Sequence[Path] = ()
    places: Mapping[str, Path] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    services: bool = False
    memory_mb: int = 1024
    terminal: Terminal | None = None
    seed: int = 0
    processor: int | None = None


def under(path: Path, parents: Iterable[str]) -> bool:
    """Whether `path` lies in or below one of `parents`."""
    return any(path.is_relative_to(parent) for parent in parents)


def visible_paths(job: Job) -> list[Path]:
    """Host directories the session needs although something of the guest's is mounted above them; read-only.

    In a layered directory they would be seen anyway, but what is written to them would be lost without a word: they are
    mounted to say so.
    """
    hidden = (*OWN, *LAYERED)
    project = Path(str(resources.files("dmmlab.guest"))).resolve().parent
    candidates = [job.cwd, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), project]
    return sorted({path for path in candidates if under(path, hidden) and str(path) not in LAYERED})


def _octal(path: str) -> str:
    """A path as fstab spells it: white space and backslashes as octal escapes."""
    return "".join(f"\\{ord(c):03o}" if c in " \t\n\\#" else c for c in path)


def fstab(job: Job, job_directory: Path) -> str:
    """All mounts of the guest but /proc and /run, in order.

    hostfs is mounted again under /run/dmmlab, writable, and directories are bound from there: unlike hostfs's own path
    option, which newer mount programs cannot pass, that works with every kernel. init unmounts it right afterwards.
    """
    rows = [
        ("host", "/run/dmmlab/files", "hostfs", "rw,x-mount.mkdir"),
        # sync: output is on the host as soon as it is written
        ("host", "/run/dmmlab/streams", "hostfs", "rw,sync,x-mount.mkdir"),
        ("host", "/run/dmmlab/lower", "hostfs", "ro,x-mount.mkdir"),
        ("sysfs", "/sys", "sysfs", "defaults"),
        ("cgroup2", "/sys/fs/cgroup", "cgroup2", "defaults"),
        ("devtmpfs", "/dev", "devtmpfs", "defaults"),
        ("devpts", "/dev/pts", "devpts", "ptmxmode=666,mode=620,x-mount.mkdir"),
        ("tmpfs", "/dev/shm", "tmpfs", "mode=1777,x-mount.mkdir"),
        ("tmpfs", HOME, "tmpfs", "x-mount.mkdir"),
    ]
    for path in LAYERED:
        if Path(path).is_dir():
            layers = f"lowerdir=/run/dmmlab/lower{path},upperdir=/run/dmmlab/upper{path},workdir=/run/dmmlab/work{path}"
            rows.append(("overlay", path, "overlay", layers))
    rows += [("tmpfs", path, "tmpfs", "defaults") for path in EMPTY if Path(path).is_dir()]
    if job.clock == "virtual" and LIBRARY_CACHE.exists():
        # Its size follows from what else is installed, and moves what programs have in memory. Without it, libraries
        # are looked for in their folders.
        rows.append(("/dev/null", str(LIBRARY_CACHE), "none", "bind"))
    binds = [("lower", path, str(path), "bind,ro") for path in visible_paths(job)]
    binds += [("files", path, str(path), "bind") for path in sorted(job.writable)]
    binds += [("files", path, place, "bind") for place, path in sorted(job.places.items())]
    binds.append(("streams", job_directory, str(job_directory), "bind"))
    rows += [(f"/run/dmmlab/{tree}{path}", place, "none", f"{how},x-mount.mkdir") for tree, path, place, how in binds]
    return "".join(" ".join([*map(_octal, row), "0 0\n"]) for row in rows)


def environment(job: Job) -> dict[str, str]:
    """The command's whole environment: fixed, so that a run does not depend on the shell it was started from."""
    base = {
        "PATH": f"{Path(sys.prefix) / 'bin'}:{SYSTEM_PATH}",
        "HOME": HOME,
        "LANG": "C.UTF-8",
        "USER": "root",
        "LOGNAME": "root",
        "DMMLAB_GUEST": job.clock,
        "TZ": "UTC0",
    }
    return base | dict(job.env)


def session(job: Job) -> str:
    """The shell script that starts the services and becomes the command."""
    parts = []
    if job.services:
        parts.append(resources.files("dmmlab.guest").joinpath("services.sh").read_text(encoding="utf-8"))
    parts.append(f"cd -- {shlex.quote(str(job.cwd))} || exit 126")
    assignments = [f"{name}={value}" for name, value in environment(job).items()]
    parts.append(f"exec env -i {shlex.join([*assignments, *job.argv])}")
    return "\n".join(parts) + "\n"


def settings(job: Job, kernel: GuestKernel) -> str:
    """What init has to know, as shell assignments."""
    screen = job.terminal or Terminal()
    values = {
        "clock": job.clock,
        "uptime_s": str(UPTIME_S),
        "least_uptime_s": str(LEAST_UPTIME_S[job.services]),
        "modules": str(kernel.modules or ""),
        "terminal": "yes" if job.terminal else "no",
        "rows": str(screen.rows),
        "columns": str(screen.columns),
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def write_job(job: Job, kernel: GuestKernel, directory: Path) -> None:
    """Fill a fresh, private directory with all that init reads and the empty files it appends to."""
    init = directory / "init.sh"
    init.write_text(resources.files("dmmlab.guest").joinpath("init.sh").read_text(encoding="utf-8"), encoding="utf-8")
    init.chmod(0o700)
    for name, text in (
        ("fstab", fstab(job, directory)),
        ("session.sh", session(job)),
        ("settings.sh", settings(job, kernel)),
        ("stdin", ""),
        ("stdout", ""),
        ("stderr", ""),
    ):
        (directory / name).write_text(text, encoding="utf-8")
    (directory / "uml").mkdir()


def kernel_environment(job: Job, kernel: GuestKernel, memory_directory: str) -> dict[str, str]:
    """The environment of the kernel's own process: in virtual time it draws from the job's seed."""
    base = {"PATH": "/usr/bin:/bin", "TMPDIR": memory_directory}
    if job.clock == "virtual":
        base |= {"LD_PRELOAD": str(kernel.entropy), "DMMLAB_ENTROPY_SEED": str(job.seed % 2**64)}
    return base


def command_line(job: Job, kernel: GuestKernel, terminal_fd: int | None = None) -> list[str]:
    """The kernel's argv, to be started in the job directory.

    That directory's name is not in it: nothing inside may follow from where it lies. The console is its own stdin and
    stdout; an interactive session gets /dev/tty1.
    """
    line = [str(kernel.path), f"mem={job.memory_mb}M"]
    if kernel.virtual_time:
        line.append("seccomp=on")
    if job.clock == "virtual":
        line += ["time-travel=inf-cpu", f"time-travel-start={EPOCH_NS}"]
    channel = "null" if terminal_fd is None else f"fd:{terminal_fd}"
    line += ["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet"]
    line.append("devtmpfs.mount=0")  # a kernel that mounts /dev by itself hides the job directory from init
    line += ["con=null", "ssl=null", "con0=fd:0,fd:1", f"con1={channel}"]
    line += [f"uml_dir={HERE}/uml", f"umid={UMID}"]
    return [*line, f"init={HERE}/init.sh", f"dmmlab_job={HERE}"]
