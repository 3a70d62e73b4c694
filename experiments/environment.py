"""What a result depends on beside the scenario, by a named list: versions, kernel, machine, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("dmmlab", "mininet", "ryu", "os-ken", "scapy", "pyroute2", "dnspython", "matplotlib", "pandas")
PROGRAMS = {
    "ovs-vswitchd": ("ovs-vswitchd", "--version"),
    "dnsmasq": ("dnsmasq", "--version"),
    "named": ("named", "-v"),
    "unbound": ("unbound", "-V"),
    "tcpdump": ("tcpdump", "--version"),
    "ip": ("ip", "-V"),
}


def describe(kernel: str) -> dict[str, object]:
    """The environment of a run that uses ``kernel``; what is not there is null."""
    return {
        "kernel": kernel,
        "machine": {"architecture": platform.machine(), "cores": os.cpu_count(), "host_kernel": platform.release()},
        "python": platform.python_version(),
        "packages": {name: _package(name) for name in PACKAGES},
        "programs": {name: _program(argv) for name, argv in PROGRAMS.items()},
        "commit": _commit(),
    }


def _package(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _program(argv: tuple[str, ...]) -> str | None:
    """The first line of what a program says of its version."""
    search = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    try:
        said = subprocess.run(argv, capture_output=True, text=True, env={"PATH": search}, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = (said.stdout or said.stderr).splitlines()
    return lines[0] if lines else None


def _commit() -> str | None:
    """The checkout's commit, with a plus sign where it has been changed; None outside a checkout."""
    here = Path(__file__).resolve().parent
    git = ["git", "-C", str(here), "-c", "safe.directory=*"]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        changed = subprocess.run([*git, "status", "--porcelain", "--", ".."], capture_output=True, text=True)
    except OSError:
        return None
    return None if commit.returncode else commit.stdout.strip() + ("+" if changed.stdout else "")
