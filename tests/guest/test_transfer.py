"""A kernel moved to another machine: what comes out of the file, and which files are refused. No kernel is booted."""

from __future__ import annotations

import io
import json
import platform
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dmmlab.experiments.cli.guest import guest
from dmmlab.guest import cache, selftest, transfer
from dmmlab.guest.errors import GuestError

PASSED = {"passed": True, "reason": None}
Change = Callable[[dict[str, bytes]], object]


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the kernel of one machine; from here on, this is another one, whose cache is empty."""
    monkeypatch.setattr(selftest, "run", lambda _kernel: PASSED)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
    home = cache.kernel_directory("7.2.12")
    home.mkdir(parents=True)
    for name, text in (("linux", "the kernel"), ("entropy.so", "its entropy")):
        (home / name).write_text(text)
    (home / "linux").chmod(0o755)
    build = {"version": "7.2.12", "compiler": "gcc 12", "self_test": PASSED}
    (home / "build.json").write_text(json.dumps(build))
    transfer.export(tmp_path / "kernel.tar.gz")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    return tmp_path / "kernel.tar.gz"


def repacked(file: Path, change: Change) -> Path:
    """``file`` with its members changed."""
    with tarfile.open(file) as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    change(members)
    with tarfile.open(file, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file


def relabelled(**changed: Any) -> Change:
    def change(members: dict[str, bytes]) -> None:
        members[transfer.LABEL] = json.dumps({**json.loads(members[transfer.LABEL]), **changed}).encode()

    return change


def nothing_installed() -> bool:
    return [path.name for path in cache.kernels_root().glob("*")] in ([], [".lock"])


def test_what_was_exported_is_used_on_the_other_machine(exported: Path) -> None:
    kernel = transfer.install(exported)
    assert cache.find_kernel("virtual") == kernel
    assert kernel.path.read_text() == "the kernel"
    assert kernel.entropy.read_text() == "its entropy"
    assert cache.origin(kernel)["compiler"] == "gcc 12"
    assert sorted(path.name for path in kernel.path.parent.iterdir()) == sorted(cache.FILES)
    assert sorted(path.name for path in cache.kernels_root().iterdir()) == sorted([".lock", kernel.path.parent.name])


def test_the_kernel_that_was_there_is_replaced_as_a_whole(exported: Path) -> None:
    before = cache.kernel_directory("7.2.12")
    before.mkdir(parents=True)
    (before / "linux").write_text("an older build")
    (before / "stray").touch()
    assert transfer.install(exported).path.read_text() == "the kernel"
    assert not (before / "stray").exists()


def test_the_same_kernel_makes_the_same_file(exported: Path, tmp_path: Path) -> None:
    transfer.install(exported)
    record = cache.kernel_directory("7.2.12") / "build.json"
    record.write_text(json.dumps({"version": "7.2.12", "compiler": "gcc 12", "self_test": PASSED}))
    transfer.export(tmp_path / "again.tar.gz")
    assert (tmp_path / "again.tar.gz").read_bytes() == exported.read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda members: members.update({"../../outside": b"x"}), "'../../outside', which is no part"),
        (lambda members: members.update({"/tmp/outside": b"x"}), "'/tmp/outside', which is no part"),
        (lambda members: members.update({"readme": b"x"}), "'readme', which is no part"),
        (lambda members: members.pop("entropy.so"), "entropy.so is missing"),
        (lambda members: members.update({"linux": b"another"}), "linux has other bytes"),
        (lambda members: members.update({transfer.LABEL: b"{"}), "transfer.json cannot be read"),
        (lambda members: members.update({transfer.LABEL: b"[]"}), "transfer.json cannot be read"),
        (relabelled(architecture="s390x"), f"made for s390x, and this machine is {platform.machine()}"),
        (relabelled(recipe="0" * 64), "another recipe"),
        (relabelled(format=99), "another recipe"),
    ],
)
def test_a_file_that_is_not_fit_installs_nothing(exported: Path, change: Change, words: str) -> None:
    said = CliRunner().invoke(guest, ["import", str(repacked(exported, change))])
    assert said.exit_code == 2
    assert words in said.stderr
    assert said.stderr.splitlines()[-1].startswith(f"dmmlab: {exported}: ")
    assert nothing_installed()
    assert not list(exported.parent.rglob("outside")) and not Path("/tmp/outside").exists()


def test_a_version_that_names_another_folder_is_refused(exported: Path) -> None:
    import hashlib

    def change(members: dict[str, bytes]) -> None:
        members["build.json"] = json.dumps({"version": "../../../7", "self_test": PASSED}).encode()
        digests = {name: hashlib.sha256(members[name]).hexdigest() for name in cache.FILES}
        relabelled(sha256=digests)(members)

    with pytest.raises(GuestError, match="names no version"):
        transfer.install(repacked(exported, change))
    assert nothing_installed()


def test_a_link_in_place_of_a_file_is_refused(exported: Path) -> None:
    with tarfile.open(exported, "w:gz") as archive:
        member = tarfile.TarInfo("linux")
        member.type, member.linkname = tarfile.SYMTYPE, "/bin/sh"
        archive.addfile(member)
    with pytest.raises(GuestError, match="no part of an exported kernel"):
        transfer.install(exported)
    assert nothing_installed()


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "other"])
def test_a_damaged_file_is_refused(exported: Path, damage: str) -> None:
    content = bytearray(exported.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    exported.write_bytes({"cut": bytes(content[:-30]), "empty": b"", "other": b"MZ" * 500}.get(damage, bytes(content)))
    with pytest.raises(GuestError, match="damaged, or no exported kernel"):
        transfer.install(exported)
    assert nothing_installed()


def test_a_kernel_that_fails_its_self_test_here_is_refused(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "run", lambda _kernel: {"passed": False, "reason": "netem is missing"})
    said = CliRunner().invoke(guest, ["import", str(exported)])
    assert said.exit_code == 2
    assert "fails the self-test on this machine (netem is missing)" in said.stderr
    assert nothing_installed()


def test_without_a_kernel_there_is_nothing_to_export(exported: Path, tmp_path: Path) -> None:
    said = CliRunner().invoke(guest, ["export", str(tmp_path / "none.tar.gz")])
    assert said.exit_code == 2
    assert "dmmlab guest build" in said.stderr
    assert not (tmp_path / "none.tar.gz").exists()
