"""The steps of building a kernel: each a program, whose last complaint is what the user is told if it fails."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from dmmlab.guest.errors import GuestError
from dmmlab.machine.processes import die_with_parent


def run(command: list[str], cwd: Path, seen: Callable[[str], None] | None = None) -> str:
    """Run a build step and return what it printed; GuestError with its last complaint if it fails.

    The step and its children are one process group, ended if we are interrupted.
    """
    lines: list[str] = []
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=_build_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        preexec_fn=die_with_parent,
    )
    assert process.stdout
    try:
        for line in process.stdout:
            lines.append(line)
            if seen:
                seen(line)
        process.wait()
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()
        process.stdout.close()
    if process.returncode != 0:
        raise GuestError(f"{command[0] if command[0] != 'nice' else 'make'} failed: {_complaint(lines)}")
    return "".join(lines)


def _build_environment() -> dict[str, str]:
    """Ours, but for what `make` would take for itself: whoever builds a kernel where and when gets the same one."""
    environment = os.environ | {
        "LC_ALL": "C",
        "KBUILD_BUILD_USER": "dmmlab",
        "KBUILD_BUILD_HOST": "dmmlab",
        "KBUILD_BUILD_TIMESTAMP": "2024-01-01",
        "KBUILD_BUILD_VERSION": "1",  # uname goes into the kernel's random numbers
    }
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "ARCH", "CROSS_COMPILE"):  # ours may be a `make` verb, too
        environment.pop(name, None)
    return environment


def _complaint(lines: list[str]) -> str:
    """The first line of a failed step that reads like its cause, else its last."""
    causes = [line for line in lines if re.search(r"error|cannot|not found|No such|FAILED", line, re.IGNORECASE)]
    return (causes or lines[-1:] or ["no message"])[0].strip()
