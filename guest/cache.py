"""Where built kernels lie, and which of them to boot.

$XDG_CACHE_HOME/dmmlab/guest/<version>-<recipe hash>/linux        the kernel, an ordinary program
                                                     entropy.so   what it draws at random, from a seed
                                                     build.json   what it is, and that it passed the self-test
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from dmmlab.guest.errors import NoKernelError

FILES = ("linux", "entropy.so", "build.json")  # of a kernel in the cache
CONFIG_NAME = "kernel.config"
ENTROPY_NAME = "entropy.c"
PATCH_NAME = "exact-clock.patch"
STOCK_KERNEL = Path("/usr/bin/linux.uml")
STOCK_MODULES = Path("/usr/lib/uml/modules")
CLOCKS = ("virtual", "real")


@dataclass(frozen=True)
class GuestKernel:
    """A bootable kernel: `modules` is set only if it has any, `virtual_time` says whether it can stop the clock."""

    path: Path
    version: str
    virtual_time: bool
    modules: Path | None = None

    @property
    def entropy(self) -> Path:
        """The library that gives it entropy from a seed; there with every kernel that has virtual time."""
        return self.path.parent / "entropy.so"


def cache_root() -> Path:
    """The project's cache directory, which need not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "dmmlab"


def kernels_root() -> Path:
    """The directory with one folder for each built kernel."""
    return cache_root() / "guest"


def config_text() -> str:
    """The kernel configuration fragment that the project ships."""
    return resources.files("dmmlab.guest").joinpath(CONFIG_NAME).read_text(encoding="utf-8")


def config_hash(text: str | None = None) -> str:
    """SHA-256 (hex) of the options of a fragment: comments and order do not make another kernel."""
    lines = sorted(line.strip() for line in (text or config_text()).splitlines() if re.match(r"\s*(# )?CONFIG_", line))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def entropy_source() -> Path:
    """The source of the library that goes with the kernel."""
    return Path(str(resources.files("dmmlab.guest").joinpath(ENTROPY_NAME)))


def patch_file() -> Path:
    """What is changed in the kernel's source: the exact clock."""
    return Path(str(resources.files("dmmlab.guest").joinpath(PATCH_NAME)))


def patch_hash() -> str:
    """SHA-256 (hex) of `patch_file`, by which runs say what their clock is."""
    return hashlib.sha256(patch_file().read_bytes()).hexdigest()


def recipe_hash() -> str:
    """SHA-256 (hex) of all that a kernel in the cache is made from, but the kernel's source and what compiles it."""
    parts = (config_hash().encode(), entropy_source().read_bytes(), patch_file().read_bytes())
    return hashlib.sha256(b"".join(parts)).hexdigest()


def kernel_directory(version: str) -> Path:
    """Where the kernel of that version, built as this project builds it, lies or would lie."""
    return kernels_root() / f"{version}-{recipe_hash()[:12]}"


def version_key(version: str) -> tuple[int, ...]:
    """Sort key of a dotted kernel version: 7.10 is newer than 7.9."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def read_build(directory: Path) -> dict[str, Any] | None:
    """What build.json says, or None if there is no readable one."""
    try:
        build = json.loads((directory / "build.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return build if isinstance(build, dict) else None


def origin(kernel: GuestKernel) -> dict[str, object]:
    """What ``kernel`` was made from: its source, the configuration, the patch that makes its clock exact, compiler."""
    build = read_build(kernel.path.parent) or {}
    return {name: build.get(name) for name in ("source", "config_sha256", "patch_sha256", "compiler")}


def cached_kernels() -> Iterator[GuestKernel]:
    """Kernels in the cache that fit the shipped configuration and passed the self-test, newest first."""
    suffix = f"-{recipe_hash()[:12]}"
    root = kernels_root()
    directories = [d for d in root.iterdir() if d.name.endswith(suffix)] if root.is_dir() else []
    for directory in sorted(directories, key=lambda d: version_key(d.name.removesuffix(suffix)), reverse=True):
        build, program = read_build(directory), directory / "linux"
        if build and build.get("self_test", {}).get("passed") is True and os.access(program, os.X_OK):
            yield GuestKernel(program, str(build["version"]), virtual_time=True)


def stock_kernel() -> GuestKernel | None:
    """Debian's `user-mode-linux` package, if installed: real time only, its drivers are modules."""
    versions = sorted(STOCK_MODULES.glob("*"), key=lambda d: version_key(d.name)) if STOCK_MODULES.is_dir() else []
    if not os.access(STOCK_KERNEL, os.X_OK) or not versions:
        return None
    return GuestKernel(STOCK_KERNEL, versions[-1].name, virtual_time=False, modules=STOCK_MODULES)


def find_kernel(clock: str = "virtual") -> GuestKernel:
    """The best kernel at hand for `clock`.

    Raises NoKernelError, which names the remedy, if there is none; ValueError for an unknown clock.
    """
    if clock not in CLOCKS:
        raise ValueError(f"clock is {clock!r}; allowed: {', '.join(CLOCKS)}")
    for kernel in cached_kernels():
        return kernel
    stock = stock_kernel()
    if clock == "real" and stock:
        return stock
    raise NoKernelError("no guest kernel has been built on this machine yet: run `dmmlab guest build` (a few minutes)")
