"""A kernel's source: from an archive, a package or a tree, what the guest's kernel is made of."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from dmmlab.guest.errors import GuestError
from dmmlab.guest.progress import Reporter
from dmmlab.guest.steps import run

_OTHER_MACHINES = (
    "alpha arc arm arm64 csky hexagon loongarch m68k microblaze mips nios2 openrisc parisc powerpc riscv s390 sh sparc"
    " xtensa"
)
# Drivers of which the guest has none. Their Kconfig stays, as that of other machines: the configuration reads them all.
_DRIVERS = (
    "accel clk crypto gpu hid hwmon iio infiniband input md media mfd misc mtd net/*/* phy pinctrl platform scsi soc"
    " staging usb video"
)
# Of an archive, in tar's words: three files in four, most of the time that unpacking takes, and removing it.
LEFT_OUT = (
    *(f"*/arch/{machine}/*.[chS]" for machine in _OTHER_MACHINES.split()),
    *(f"*/drivers/{driver}/*.[ch]" for driver in _DRIVERS.split()),
    *("*.dts", "*.dtsi", "*/Documentation/*/*"),
    *("*/sound/*.[ch]", "*/tools/perf", "*/tools/testing"),
)


@dataclass(frozen=True)
class Tree:
    """An unpacked kernel source of our own, which may be changed, and a name for it in messages."""

    path: Path
    name: str


def unpack(source: Path, scratch: Path, report: Reporter) -> Tree:
    """A tree ready to build, from a tree, a tarball or a linux-source package."""
    if source.is_dir():
        return _copy(source, scratch, report)
    if not source.is_file():
        raise GuestError(f"{source} is neither a kernel tree nor an archive of one")
    report.phase(f"unpacking {source.name}")
    archive = source
    if source.suffix == ".deb":
        package = scratch / "package"
        run(["dpkg-deb", "-x", str(source), str(package)], scratch)
        tarballs = sorted(p for p in package.glob("usr/src/**/linux-source*.tar.*") if not p.is_symlink())
        if not tarballs:
            raise GuestError(f"{source.name} holds no linux-source archive")
        archive = tarballs[0]
        if source.is_relative_to(scratch):
            source.unlink()
    target = scratch / "source"
    target.mkdir()
    left_out = [f"--exclude={pattern}" for pattern in LEFT_OUT]
    run(["tar", "-xf", str(archive), "-C", str(target), "--strip-components=1", *left_out], scratch)
    shutil.rmtree(scratch / "package", ignore_errors=True)
    return Tree(target, source.name)


def _copy(source: Path, scratch: Path, report: Reporter) -> Tree:
    """A tree of the user's, copied: it is patched, and his stays as it is."""
    if not (source / "arch" / "um").is_dir():
        raise GuestError(f"{source} is not a Linux source tree (no arch/um)")
    report.phase(f"copying {source}")
    shutil.copytree(source, scratch / "source", symlinks=True, ignore=shutil.ignore_patterns(".git"))
    return Tree(scratch / "source", str(source))
