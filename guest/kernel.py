"""Builds the guest's kernel once per machine: source, configuration, compilation, self-test, cache.

Newest source first; one that does not build or does not pass the self-test is reported and the next one tried. All
work happens in a scratch directory inside the cache that goes away whatever happens; a finished kernel is moved into
place in one step, so that there is never half of one. A lock makes a second build wait, and find the first's result.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from dmmlab.guest import apt, selftest
from dmmlab.guest.cache import (
    GuestKernel,
    cached_kernels,
    config_hash,
    config_text,
    entropy_source,
    kernel_directory,
    kernels_root,
    patch_file,
    patch_hash,
    version_key,
)
from dmmlab.guest.errors import GuestError, KernelRejectedError
from dmmlab.guest.progress import Reporter, Silent
from dmmlab.guest.source import Tree, unpack
from dmmlab.guest.steps import run
from dmmlab.machine import checks

# 6.16 brought UML's seccomp mode; with ptrace a fork in the guest costs eight times as much.
MINIMUM_VERSION = "6.16"
# Steps that make reports with the shipped configuration; only the progress bar believes in it.
EXPECTED_STEPS = 1480
SCRATCH_BYTES = 2 << 30
COMPILER_FILES = ("compile.sh", "common.h")


def build(source: Path | None = None, *, force: bool = False, report: Reporter | None = None) -> GuestKernel:
    """The cached kernel, after building it if there is none or `force` says so.

    `source` is a kernel tree, a tarball or a Debian linux-source package instead of what the system's mirror has. Takes
    a few minutes on two cores and 2 GB of scratch space. Raises GuestError with the reason and the remedy.
    """
    report = report or Silent()
    kernels_root().mkdir(parents=True, exist_ok=True)
    if not force and source is None and (ready := next(cached_kernels(), None)):
        return ready
    _check_means()
    with locked(report), scratch_directory() as scratch:
        if not force and source is None and (ready := next(cached_kernels(), None)):
            return ready
        if source is not None:
            return _build_tree(unpack(source.resolve(), scratch, report), scratch, report)
        return _build_newest(scratch, report)


def _check_means() -> None:
    lacking = [check for check in (*checks.programs(checks.BUILD_PROGRAMS), *checks.headers()) if not check.ok]
    if lacking:
        names = ", ".join(check.name for check in lacking)
        raise GuestError(f"building the guest kernel needs {names}: {checks.install_command(lacking)}")
    free = shutil.disk_usage(kernels_root()).free
    if free < SCRATCH_BYTES:
        raise GuestError(
            f"{kernels_root()} has {free >> 20} MB free; building needs {SCRATCH_BYTES >> 20} MB for a while"
        )


@contextlib.contextmanager
def locked(report: Reporter) -> Iterator[None]:
    """One change of the cache at a time: waits, and says so, while another process has the lock."""
    with (kernels_root() / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report.phase("waiting for another build of the guest kernel")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def scratch_directory() -> Iterator[Path]:
    """A directory of our own for source and objects; leftovers of killed builds go, too (the lock is held)."""
    for leftover in kernels_root().glob(".scratch-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".scratch-", dir=kernels_root()) as name:
        yield Path(name)


def _build_newest(scratch: Path, report: Reporter) -> GuestKernel:
    report.phase("looking for kernel sources on the system's mirror")
    found = apt.candidates(scratch / "apt", MINIMUM_VERSION)
    failures = []
    for candidate in found:
        room = scratch / candidate.upstream
        room.mkdir()
        try:
            report.phase(f"downloading {candidate.package} {candidate.version} from {candidate.suite}")
            package = apt.download(candidate, room, report.fraction)
            return _build_tree(unpack(package, room, report), room, report)
        except GuestError as error:
            failures.append(f"{candidate.upstream}: {error}")
            report.phase(f"{candidate.upstream} will not do: {error}")
            shutil.rmtree(room, ignore_errors=True)
    reasons = "; ".join(failures) or f"the mirror has no linux-source >= {MINIMUM_VERSION}"
    raise GuestError(f"no guest kernel could be built ({reasons}): give one with `dmmlab guest build --source PATH`")


def apply_patch(tree: Path, version: str) -> None:
    """Gives the source of Linux ``version`` in ``tree`` its exact clock; GuestError says where it is too different."""
    patch = ["patch", "--strip=1", "--batch", "--forward", "--no-backup-if-mismatch", f"--directory={tree}"]
    try:
        run([*patch, "--reject-file=-", f"--input={patch_file()}"], tree)
    except GuestError as error:
        raise GuestError(
            f"Linux {version} cannot be given an exact clock, so it is refused for virtual time: {error}"
        ) from None


def _build_tree(tree: Tree, scratch: Path, report: Reporter) -> GuestKernel:
    """Patch, configure, compile, test and cache one tree."""
    if not (tree.path / "arch" / "um").is_dir():
        raise GuestError(f"{tree.name} is not a Linux source tree (no arch/um)")
    started = time.monotonic()
    objects = scratch / "objects"
    objects.mkdir()
    make = ["nice", "make", "-C", str(tree.path), f"O={objects}", "ARCH=um", f"CC={_compiler(scratch / 'headers')}"]
    version = run([*make, "-s", "kernelversion"], scratch).strip().splitlines()[-1]
    if version_key(version) < version_key(MINIMUM_VERSION):
        raise GuestError(f"{tree.name} is Linux {version}; the guest needs {MINIMUM_VERSION} or newer")
    report.phase(f"configuring Linux {version}")
    apply_patch(tree.path, version)
    configure(make, tree.path, objects)
    report.phase(f"compiling Linux {version}")
    _compile(make, scratch, report)
    compiled_s = time.monotonic() - started
    staging = scratch / "finished"
    staging.mkdir()
    run(["strip", "-o", str(staging / "linux"), str(objects / "linux")], scratch)
    kernel = GuestKernel(staging / "linux", version, virtual_time=True)
    run(["gcc", "-O2", "-shared", "-fPIC", "-o", str(kernel.entropy), str(entropy_source())], scratch)
    report.phase(f"testing Linux {version}")
    result = selftest.run(kernel)
    if not result["passed"]:
        raise KernelRejectedError(f"fails the self-test: {result['reason']}")
    record = {
        "version": version,
        "source": tree.name,
        "config_sha256": config_hash(),
        "patch_sha256": patch_hash(),
        "compiler": run(["gcc", "--version"], scratch).splitlines()[0],
        "built": datetime.now(UTC).isoformat(timespec="seconds"),
        "build_s": round(compiled_s, 1),
        "self_test": result,
    }
    (staging / "build.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return install(staging, version)


def install(staging: Path, version: str) -> GuestKernel:
    """Move a finished kernel into the cache; a running guest keeps the file it was started from."""
    final = kernel_directory(version)
    if final.exists():
        final.rename(staging.parent / "replaced")
    staging.rename(final)
    return GuestKernel(final / "linux", version, virtual_time=True)


def configure(make: list[str], tree: Path, objects: Path) -> None:
    """tinyconfig plus the shipped fragment; GuestError names every option that did not stick."""
    fragment = objects / "fragment.config"
    fragment.write_text(config_text(), encoding="utf-8")
    run([*make, "tinyconfig"], objects)
    merge = [str(tree / "scripts/kconfig/merge_config.sh"), "-m", "-O", str(objects), str(objects / ".config")]
    run([*merge, str(fragment)], objects)
    run([*make, "olddefconfig"], objects)
    missing = missing_options(config_text(), (objects / ".config").read_text(encoding="utf-8"))
    if missing:
        raise GuestError(f"this source does not accept {', '.join(missing)}")


def missing_options(wanted: str, got: str) -> list[str]:
    """Lines `CONFIG_X=value` or `# CONFIG_X is not set` of the fragment that do not hold in the resolved configuration.

    An option below a comment that begins with "# May be absent" counts only if it was switched off.
    """
    present = {line.strip() for line in got.splitlines()}
    missing, above = [], ""
    for line in map(str.strip, wanted.splitlines()):
        name = line.split("=")[0]
        if line.startswith("CONFIG_") and line not in present:
            gone = above.startswith("# May be absent") and f"# {name} is not set" not in present
            if not gone:
                missing.append(line)
        off = re.fullmatch(r"# (CONFIG_\w+) is not set", line)
        if off and {f"{off[1]}=y", f"{off[1]}=m"} & present:
            missing.append(line)
        above = line
    return missing


def _compiler(folder: Path) -> Path:
    """What compiles with headers that are read once, in a new ``folder`` of its own (compile.sh says how)."""
    folder.mkdir()
    for name in COMPILER_FILES:
        (folder / name).write_bytes(resources.files("dmmlab.guest").joinpath(name).read_bytes())
    compiler = folder / COMPILER_FILES[0]
    compiler.chmod(0o755)
    return compiler


def _compile(make: list[str], scratch: Path, report: Reporter) -> None:
    steps = 0

    def seen(line: str) -> None:
        nonlocal steps
        steps += bool(re.match(r"\s+(CC|AS|AR|LD|HOSTCC|GEN)\s", line))
        report.fraction(min(steps / EXPECTED_STEPS, 0.99))

    run([*make, "init/"], scratch, seen)  # by itself: here headers are read, by all other files they are found
    run([*make, f"-j{os.cpu_count() or 1}", "linux"], scratch, seen)
