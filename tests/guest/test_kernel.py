"""The kernel's configuration and patch, and which of the kernels in the cache is used."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dmmlab.guest import cache, kernel
from dmmlab.guest.errors import GuestError, NoKernelError


def test_an_option_that_did_not_stick_is_named() -> None:
    wanted = "# net\nCONFIG_VETH=y\nCONFIG_TUN=y\n"
    assert kernel.missing_options(wanted, "CONFIG_VETH=y\n# CONFIG_TUN is not set\n") == ["CONFIG_TUN=y"]
    assert kernel.missing_options(wanted, "CONFIG_VETH=y\nCONFIG_TUN=y\n") == []


def test_an_option_that_may_be_absent_must_not_be_off() -> None:
    wanted = "# May be absent: always there since 7.3.\nCONFIG_PROC_SYSCTL=y\nCONFIG_TUN=y\n"
    assert kernel.missing_options(wanted, "CONFIG_TUN=y\n") == []
    assert kernel.missing_options(wanted, "CONFIG_TUN=y\n# CONFIG_PROC_SYSCTL is not set\n") == ["CONFIG_PROC_SYSCTL=y"]
    assert kernel.missing_options(wanted, "CONFIG_PROC_SYSCTL=y\n") == ["CONFIG_TUN=y"]


def test_an_option_that_is_switched_off_must_be_off() -> None:
    wanted = "# CONFIG_ETHTOOL_NETLINK is not set\nCONFIG_TUN=y\n"
    assert kernel.missing_options(wanted, "CONFIG_TUN=y\n") == []
    assert kernel.missing_options(wanted, "CONFIG_TUN=y\nCONFIG_ETHTOOL_NETLINK=y\n") == [
        "# CONFIG_ETHTOOL_NETLINK is not set"
    ]
    assert cache.config_hash(wanted) != cache.config_hash("CONFIG_TUN=y\n")


def test_shipped_configuration_has_what_the_lab_stands_on() -> None:
    text = cache.config_text()
    for option in (
        "UML_TIME_TRAVEL_SUPPORT",
        "OPENVSWITCH",
        "NET_SCH_NETEM",
        "VETH",
        "NET_NS",
        "MCONSOLE",
        "MAGIC_SYSRQ",
    ):
        assert f"CONFIG_{option}=y" in text.splitlines()


def test_comments_and_order_do_not_make_another_kernel() -> None:
    assert cache.config_hash("CONFIG_A=y\nCONFIG_B=y\n") == cache.config_hash("# x\nCONFIG_B=y\n\nCONFIG_A=y")
    assert cache.config_hash("CONFIG_A=y\n") != cache.config_hash("CONFIG_A=m\n")


def test_another_library_for_entropy_makes_another_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache.recipe_hash()
    other = tmp_path / "entropy.c"
    other.write_text(cache.entropy_source().read_text() + "/* changed */\n")
    monkeypatch.setattr(cache, "entropy_source", lambda: other)
    assert cache.recipe_hash() != before


def _cached(version: str, passed: bool) -> None:
    directory = cache.kernel_directory(version)
    directory.mkdir(parents=True)
    (directory / "linux").touch(mode=0o755)
    build = {"version": version, "self_test": {"passed": passed}}
    (directory / "build.json").write_text(json.dumps(build))


def test_newest_kernel_that_passed_its_test_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(cache, "STOCK_KERNEL", tmp_path / "absent")
    with pytest.raises(NoKernelError, match="dmmlab guest build"):
        cache.find_kernel("virtual")
    _cached("7.2.12", passed=True)
    _cached("7.10.1", passed=True)
    _cached("7.11", passed=False)
    (cache.kernels_root() / f"9.9-{'0' * 12}").mkdir()  # another configuration's
    assert cache.find_kernel("virtual").version == "7.10.1"
    with pytest.raises(ValueError, match="virtual, real"):
        cache.find_kernel("imaginary")


def _patched_files() -> list[str]:
    return re.findall(r"^--- a/(\S+)", cache.patch_file().read_text(), re.MULTILINE)


def test_another_patch_makes_another_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, other = cache.recipe_hash(), tmp_path / "other.patch"
    other.write_text(cache.patch_file().read_text() + "\n")
    monkeypatch.setattr(cache, "patch_file", lambda: other)
    assert cache.recipe_hash() != before


def test_a_source_that_the_patch_does_not_fit_is_refused_with_the_place(tmp_path: Path) -> None:
    for name in _patched_files():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("int nothing_that_is_known;\n")
    with pytest.raises(
        GuestError, match=r"Linux 9\.9 cannot be given an exact clock.*refused for virtual time.*FAILED"
    ):
        kernel.apply_patch(tmp_path, "9.9")


def test_the_patch_names_its_licence_and_touches_no_more_than_it_says() -> None:
    assert cache.patch_file().read_text().startswith("SPDX-License-Identifier: GPL-2.0\n")
    clock, memory = ("arch/um/", "arch/x86/um/", "kernel/time/"), ("drivers/char/random.c", "mm/")
    assert all(name.startswith((*clock, *memory)) for name in _patched_files())
