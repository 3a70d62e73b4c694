"""Programs of this machine that people bring along: where they are, and which package has those that are missing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from dmmlab.machine.checks import PROGRAMS, SYSTEM_PATH

# Debian's packages, where they are not called as the program is.
_PACKAGES = {
    **PROGRAMS,
    "dig": "bind9-dnsutils",
    "gst-launch-1.0": "gstreamer1.0-tools",
    "mosh-server": "mosh",
    "mosquitto_pub": "mosquitto-clients",
    "mosquitto_sub": "mosquitto-clients",
    "nc": "netcat-openbsd",
    "scp": "openssh-client",
    "sftp": "openssh-client",
    "sipp": "sip-tester",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
}


def path() -> str:
    """Where programs are looked for: beside this Python, then where the system has them."""
    return f"{Path(sys.executable).parent}:{SYSTEM_PATH}"


def found(program: str) -> str | None:
    """Where ``program`` is; None if it is not here."""
    return shutil.which(program, path=path())


def package(program: str) -> str:
    """The Debian package that has ``program``; of those that nobody has listed, most are called like it."""
    name = Path(program).name
    return _PACKAGES.get(name, name)


def lacking(program: str) -> str:
    """What to say of a program that is not here."""
    return f"{program} is not installed (package {package(program)})"
