"""A built kernel in one file, for another machine of the same architecture.

The file is a gzipped tar of four members, without folders: those of a kernel in the cache (`cache.py`), and
``transfer.json``, which says what they were made for and what their bytes are. Whoever imports a kernel runs it as a
program of his own: a digest finds damage, not malice.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import re
import shutil
import tarfile
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dmmlab.guest import kernel as building
from dmmlab.guest import selftest
from dmmlab.guest.cache import FILES, GuestKernel, find_kernel, kernels_root, read_build, recipe_hash
from dmmlab.guest.errors import GuestError, KernelRejectedError
from dmmlab.guest.progress import Reporter, Silent

LABEL = "transfer.json"
FORMAT = 1
_LARGEST_BYTES = 1 << 30  # of one member


def export(target: Path) -> GuestKernel:
    """Writes the kernel that this machine uses in virtual time to ``target``, all of it or nothing.

    Raises NoKernelError if there is none, OSError if the file cannot be written.
    """
    kernel = find_kernel("virtual")
    files = {name: (kernel.path.parent / name).read_bytes() for name in FILES}
    label = {
        "format": FORMAT,
        "architecture": platform.machine(),
        "recipe": recipe_hash(),
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    files = {LABEL: json.dumps(label, indent=1).encode(), **files}
    temporary = target.with_name(target.name + ".new")
    try:
        with temporary.open("wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
            _write(packed, files)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return kernel


def _write(packed: gzip.GzipFile, files: dict[str, bytes]) -> None:
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def install(source: Path, report: Reporter | None = None) -> GuestKernel:
    """Puts the kernel in file ``source`` into the cache, in one step, once it has passed its self-test here.

    Raises GuestError, one sentence, for a file that is damaged or no exported kernel, or a kernel for another
    architecture or version of dmmlab, and KernelRejectedError for one that fails; the cache is then as it was.
    """
    report = report or Silent()
    kernels_root().mkdir(parents=True, exist_ok=True)
    with building.locked(report), building.scratch_directory() as scratch:
        staging = scratch / "finished"
        staging.mkdir()
        report.phase(f"unpacking {source.name}")
        _unpack(source, staging)
        build = _checked(source, staging)
        kernel = GuestKernel(staging / "linux", build["version"], virtual_time=True)
        kernel.path.chmod(0o755)
        report.phase(f"testing Linux {kernel.version}")
        result = selftest.run(kernel)
        if not result["passed"]:
            raise KernelRejectedError(
                f"{source}: its kernel fails the self-test on this machine ({result['reason']}) and is not installed: "
                "build one here by `dmmlab guest build`"
            )
        build |= {"self_test": result, "imported": datetime.now(UTC).isoformat(timespec="seconds")}
        (staging / "build.json").write_text(json.dumps(build, indent=2) + "\n", encoding="utf-8")
        return building.install(staging, kernel.version)


def _unpack(source: Path, folder: Path) -> None:
    """Takes out what belongs into such a file, by name, and refuses a file in which there is anything else."""
    wanted = {LABEL, *FILES}
    try:
        with tarfile.open(source, "r:gz") as archive:
            for member in archive:
                if member.name not in wanted or not member.isreg() or member.size > _LARGEST_BYTES:
                    raise GuestError(f"{source}: holds {member.name!r}, which is no part of an exported kernel")
                wanted.remove(member.name)
                content = archive.extractfile(member)
                assert content is not None  # a regular file
                with (folder / member.name).open("wb") as file:
                    shutil.copyfileobj(content, file)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(source, str(error)) from None
    if wanted:
        raise _damaged(source, f"{sorted(wanted)[0]} is missing")


def _damaged(source: Path, why: str) -> GuestError:
    return GuestError(f"{source}: damaged, or no exported kernel ({why}): make it anew by `dmmlab guest export FILE`")


def _checked(source: Path, folder: Path) -> dict[str, Any]:
    """What build.json in ``folder`` says, if the label fits the files, and this machine and version."""
    try:
        label = json.loads((folder / LABEL).read_text(encoding="utf-8"))
        made_for = (label["format"], label["architecture"], label["recipe"])
        digests = dict(label["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(source, f"{LABEL} cannot be read: {error}") from None
    (folder / LABEL).unlink()
    if made_for[1] != platform.machine():
        raise GuestError(
            f"{source}: made for {made_for[1]}, and this machine is {platform.machine()}: "
            "build one here by `dmmlab guest build`"
        )
    if (made_for[0], made_for[2]) != (FORMAT, recipe_hash()):
        raise GuestError(
            f"{source}: made by another recipe than that of this version of dmmlab: export it where the same version is"
        )
    for name in FILES:
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digests.get(name):
            raise _damaged(source, f"{name} has other bytes than {LABEL} says")
    build = read_build(folder) or {}
    if not re.fullmatch(r"\d[\w.+-]*", str(build.get("version"))):  # it names the kernel's folder
        raise _damaged(source, "build.json names no version")
    return build
