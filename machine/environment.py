"""What a result depends on beside the scenario, by a named list: versions, kernel, machine, commit."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from dmmlab.machine.sources import commit

PACKAGES = (
    *("dmmlab", "mininet", "ryu", "os-ken", "eventlet", "greenlet", "scapy", "pyroute2", "dnspython"),
    *("matplotlib", "pandas"),
)
PROGRAMS = {
    "ovs-vswitchd": ("ovs-vswitchd", "--version"),
    "dnsmasq": ("dnsmasq", "--version"),
    "named": ("named", "-v"),
    "unbound": ("unbound", "-V"),
    "tcpdump": ("tcpdump", "--version"),
    "ip": ("ip", "-V"),
    "udhcpc": ("udhcpc", "--help"),
    "libc": ("ldd", "--version"),
}
_NO_REASON = ("commit", "machine.cores", "machine.host_kernel", "machine.guest_processor")  # why records should differ


def describe(
    kernel: str | None = None, guest: Mapping[str, object] | None = None, guest_processor: int | None = None
) -> dict[str, object]:
    """The environment of a run; what is not there is null.

    ``kernel`` is the version of the kernel that it runs on (this machine's, if none is given); of a guest's kernel,
    ``guest`` says what it was made from. ``guest_processor`` is the one that the guest keeps to.
    """
    asked = {name: _ask(argv) for name, argv in PROGRAMS.items()}  # all at once: each takes a while to start
    changed = commit()
    return {
        "kernel": kernel or platform.release(),
        "guest": guest,
        "machine": {
            "architecture": platform.machine(),
            "cores": os.cpu_count(),
            "host_kernel": platform.release(),
            **_processor(),
            "guest_processor": guest_processor,
        },
        "python": platform.python_version(),
        "packages": {name: _package(name) for name in PACKAGES},
        "programs": {name: _answer(program) for name, program in asked.items()},
        "commit": changed,
    }


def differences(mine: Mapping[str, Any], reference: Mapping[str, Any]) -> list[str]:
    """What records may follow from and two environments do not share, a clause each.

    What only one of them names is left out: it is of another version.
    """
    ours, theirs = dict(_flat(mine)), dict(_flat(reference))
    return [
        f"{name}: {ours[name]} here, {theirs[name]} there"
        for name in ours
        if name in theirs and name not in _NO_REASON and ours[name] != theirs[name]
    ]


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _processor() -> dict[str, object]:
    """The processor's model, and a digest of the features that programs choose their code by."""
    try:
        lines = dict(re.findall(r"^(.+?)\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE))
    except OSError:
        lines = {}
    flags = " ".join(sorted(lines.get("flags", "").split()))
    return {"processor": lines.get("model name"), "features": hashlib.sha256(flags.encode()).hexdigest()[:16]}


def _package(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _ask(argv: tuple[str, ...]) -> subprocess.Popen[str] | None:
    """A program that is about to say its version; None if it is not there."""
    search = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    try:
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"PATH": search})
    except OSError:
        return None


def _answer(program: subprocess.Popen[str] | None) -> str | None:
    """The first line of what it says."""
    if program is None:
        return None
    try:
        output, errors = program.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        program.kill()
        program.communicate()
        return None
    lines = (output or errors).splitlines()
    return lines[0] if lines else None
