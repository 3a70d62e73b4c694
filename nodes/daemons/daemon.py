"""What all daemons of a run have in common: one protocol, from the configuration to the log that is left.

Whoever runs one calls ``write``, ``start``, ``ready``, and ``check`` if it did not come up, for the reason; ends what
``start`` gave; then calls ``tidy``.
"""

from __future__ import annotations

import importlib.resources
import json
import shutil
import string
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dmmlab.nodes.daemons.process import Host, Process

SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/bin", "/sbin")
READY_S = 60.0  # a daemon that is not ready by then is not coming
_FIRST_LOOK_S, _LOOKS_S = 0.01, 0.1  # from one look at whether it is to the next: longer each time, up to this

Alive = Callable[[], None]  # raises if something that the run needs has died


class DaemonError(RuntimeError):
    """A daemon is missing, or finds fault with its configuration."""


@dataclass(frozen=True, kw_only=True)
class Daemon(ABC):
    """A process on a host, in the foreground until SIGTERM. ``log`` takes what it says."""

    watches: ClassVar[bool] = False  # it only looks on, and is no part of what its host does
    ends_last: ClassVar[bool] = True  # when all that use it, or are seen by it, have ended

    name: str = ""
    host: str = ""
    log: Path = Path("/dev/null")

    @property
    @abstractmethod
    def argv(self) -> list[str]:
        """The command that runs it; of an agent, its options."""

    @property
    def output(self) -> Path:
        """What takes its standard output."""
        return self.log

    @property
    def may_end(self) -> bool:
        """Whether it is over before the run is, if all is well."""
        return False

    def write(self) -> None:  # noqa: B027 - most have nothing to write
        """Writes its configuration."""

    def check(self) -> None:  # noqa: B027 - nor a dry run
        """Has it read its configuration and do nothing else; raises DaemonError with its words."""

    def start(self, host: Host) -> Process:
        """Starts it on ``host``."""
        with self.log.open("ab") as errors, self.output.open("ab") as output:
            return host.popen(self.argv, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)

    def ready(self, _alive: Alive = lambda: None, /) -> bool:
        """Returns True once it can be used, False if it takes too long; to be called on its host."""
        return True

    def last_words(self) -> str:
        """The last line of its log, for an error."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.is_file() else []
        return f"its last words: {lines[-1]}" if lines else f"log/{self.log.name} is empty"

    def tidy(self) -> None:  # noqa: B027 - most logs are as they should be
        """Takes out of its log what tells of the machine and not of the run; to be called when it has ended."""


def wait_for(condition: Callable[[], bool], alive: Alive, timeout_s: float = READY_S) -> bool:
    """Whether ``condition`` came true within ``timeout_s``; ``alive`` is called between two looks."""
    deadline, wait_s = time.monotonic() + timeout_s, _FIRST_LOOK_S
    while time.monotonic() < deadline:
        if condition():
            return True
        alive()
        time.sleep(wait_s)
        wait_s = min(wait_s * 1.25, _LOOKS_S)
    return False


def logged(events: Path, names: Sequence[str]) -> bool:
    """Whether each of ``names`` is among the events in a log, which may be being written."""
    lines = events.read_text().splitlines(keepends=True) if events.exists() else []
    return {json.loads(line)["event"] for line in lines if line.endswith("\n")}.issuperset(names)


def render(template: str, /, **values: object) -> str:
    """A template of this package, filled in; a value that is missing is an error."""
    text = (importlib.resources.files("dmmlab.nodes.daemons") / "templates" / template).read_text()
    return string.Template(text).substitute(values)


def program(name: str) -> str:
    """Return the path of a program, also where only root's PATH looks; raises DaemonError."""
    found = shutil.which(name) or shutil.which(name, path=":".join(SYSTEM_FOLDERS))
    if found is None:
        raise DaemonError(f"{name} is not installed")
    return found


def dry_run(*argv: str) -> None:
    """Runs a daemon's own check; raises DaemonError with its words."""
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    if ran.returncode != 0:
        raise DaemonError(f"{Path(argv[0]).name}: {(ran.stdout + ran.stderr).strip()}")
