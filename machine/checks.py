"""What this machine has of what runs need, and the command that mends what is missing. Looks only; changes nothing."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Program -> Debian package. What emulated hosts run, whatever kernel they run on.
PROGRAMS = {
    "ip": "iproute2",
    "tc": "iproute2",
    "ping": "iputils-ping",
    "ethtool": "ethtool",
    "mnexec": "mininet",
    "ovs-vswitchd": "openvswitch-switch",
    "ovs-vsctl": "openvswitch-switch",
    "dnsmasq": "dnsmasq-base",
    "udhcpc": "udhcpc",
    "tcpdump": "tcpdump",
    "named": "bind9",
    "unbound": "unbound",
}
BUILD_PROGRAMS = {
    "make": "make",
    "gcc": "gcc",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "xz": "xz-utils",
    "strip": "binutils",
    "patch": "patch",
}
BUILD_HEADERS = {"libelf.h": "libelf-dev", "openssl/opensslv.h": "libssl-dev", "stdio.h": "libc6-dev"}
PYTHON_PACKAGES = (
    "mininet",
    "scapy",
    "matplotlib",
    "pandas",
    "dnspython",
    "pyroute2",
    "pydantic",
    "PyYAML",
    "click",
    "rich",
)


@dataclass(frozen=True)
class Check:
    """One thing looked at; `remedy` is a command (empty if all is well or nothing helps)."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def programs(wanted: dict[str, str]) -> list[Check]:
    """One check per program, found on the path that root has."""
    checks = []
    for program, package in wanted.items():
        found = shutil.which(program, path=SYSTEM_PATH)
        checks.append(Check(program, found is not None, found or "not installed", "" if found else _install(package)))
    return checks


def headers(roots: Sequence[Path] = (Path("/usr/include"), Path("/usr/local/include"))) -> list[Check]:
    """C headers the kernel's own build tools are compiled against."""
    places = [*roots, *(root / f"{platform.machine()}-linux-gnu" for root in roots)]
    checks = []
    for header, package in BUILD_HEADERS.items():
        found = next((place / header for place in places if (place / header).exists()), None)
        checks.append(
            Check(header, found is not None, str(found or "not installed"), "" if found else _install(package))
        )
    return checks


def python_packages() -> list[Check]:
    """Python packages of the environment this runs in; one check for the controller framework, whichever it is."""
    checks = []
    for names in (*((name,) for name in PYTHON_PACKAGES), ("ryu", "os-ken")):
        versions = [f"{name} {version}" for name in names if (version := _version(name))]
        remedy = "" if versions else f"{sys.executable} -m pip install -e ."
        checks.append(Check(f"python: {' or '.join(names)}", bool(versions), ", ".join(versions) or "missing", remedy))
    return checks


def _version(package: str) -> str | None:
    from importlib import metadata  # half of what this module would import otherwise

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _install(package: str) -> str:
    return f"{'' if os.getuid() == 0 else 'sudo '}apt-get install {package}"


def install_command(lacking: Iterable[Check]) -> str:
    """One command for all packages that the remedies of these checks name."""
    return _install(" ".join(dict.fromkeys(check.remedy.split()[-1] for check in lacking)))


def available_memory_mb() -> int | None:
    """What the kernel says that programs can be given without swapping, MB; None where it does not say."""
    try:
        found = re.search(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) >> 10 if found else None


def native_kernel() -> list[Check]:
    """What the native runtime needs of this machine's own kernel."""
    return [_root(), _openvswitch(), _netem(), _link("veth")]


def ipv6(runtime: str, optimistic: bool, sysctls: Path = Path("/proc/sys/net/ipv6/conf/default")) -> list[Check]:
    """What a scenario of this family needs beside: programs that know it, natively the kernel, too; ``optimistic``
    detection of duplicates is an option of the kernel's.
    """
    said = subprocess.run(["dnsmasq", "--version"], capture_output=True, text=True, env={"PATH": SYSTEM_PATH}).stdout
    lacks = "no-IPv6" in said
    found = [
        Check("dnsmasq with IPv6", not lacks, "built without" if lacks else "built with", _install("dnsmasq-base"))
    ]
    wanted = ["accept_untracked_na", *(["optimistic_dad"] if optimistic else [])] if runtime == "native" else []
    for name in wanted:
        there = (sysctls / name).exists()
        state = "there" if there else f"not in kernel {platform.release()}"
        found.append(Check(f"net.ipv6.conf.*.{name}", there, state, "--runtime guest"))
    return found


def datapath() -> str:
    """What Open vSwitch calls its datapath here: ``system``, or ``netdev`` where the kernel has no module for it."""
    return "system" if _module("openvswitch", _has_openvswitch).ok else "netdev"


def _openvswitch() -> Check:
    """The kernel's datapath, or the one in user space, which needs TUN devices and is slower."""
    kernels = _module("openvswitch", _has_openvswitch)
    if not kernels.ok and Path("/dev/net/tun").exists():
        return Check("openvswitch", True, f"its datapath in user space ({kernels.found}; {kernels.remedy} is faster)")
    return kernels


def _root() -> Check:
    if os.getuid() == 0:
        return Check("root", True, "yes")
    if shutil.which("sudo") and _quiet(["sudo", "-n", "true"]) == 0:
        return Check("root", True, "by sudo, no password needed")
    return Check("root", False, f"no (uid {os.getuid()})", "dmmlab run --runtime guest")


def _quiet(command: Sequence[str]) -> int:
    try:
        return subprocess.run(command, capture_output=True, timeout=10, stdin=subprocess.DEVNULL).returncode
    except (OSError, subprocess.TimeoutExpired):
        return 127


def module_package(release: str | None = None) -> str:
    """The Debian or Ubuntu package that brings a kernel with these modules."""
    release = release or platform.release()
    if "cloud" in release:
        return "linux-image-cloud-amd64"
    if re.search(r"-(generic|aws|azure|gcp|kvm)$", release):
        return f"linux-modules-extra-{release}"
    return "linux-image-amd64"


def _has_openvswitch() -> bool:
    return Path("/sys/module/openvswitch").exists() or _built_in("ovs_dp_cmd_new")


def _built_in(symbol: str) -> bool:
    try:
        return f" {symbol}\n".encode() in Path("/proc/kallsyms").read_bytes()
    except OSError:
        return False


def _module(name: str, present: Callable[[], bool]) -> Check:
    if present():
        return Check(name, True, "in this kernel")
    modprobe = shutil.which("modprobe", path=SYSTEM_PATH)
    if modprobe and _quiet([modprobe, "--dry-run", name]) == 0:
        return Check(name, True, "module at hand, not loaded yet")
    return Check(name, False, f"not in kernel {platform.release()}", _install(module_package()))


def _netem() -> Check:
    """Tried in a network namespace that goes away at once: an unprivileged user may do so, too, on most systems."""
    own = () if os.getuid() == 0 else ("--map-root-user",)
    command = ["unshare", *own, "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
    if _quiet(["env", f"PATH={SYSTEM_PATH}", *command]) == 0:
        return Check("netem", True, "works (tried in a throw-away namespace)")
    return _module("sch_netem", lambda: False)


def _link(kind: str) -> Check:
    own = () if os.getuid() == 0 else ("--map-root-user",)
    command = ["unshare", *own, "--net", "ip", "link", "add", "dmm0", "type", kind]
    if _quiet(["env", f"PATH={SYSTEM_PATH}", *command]) == 0:
        return Check(kind, True, "works (tried in a throw-away namespace)")
    return _module(kind, lambda: False)
