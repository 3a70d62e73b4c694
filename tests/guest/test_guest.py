"""The guest without a kernel: apt sources, choice of version, configuration, boot description, doctor."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dmmlab.experiments.cli import doctor_view
from dmmlab.experiments.cli.guest import guest
from dmmlab.experiments.runner import doctor
from dmmlab.guest import apt, cache, exactness, job, kernel, launch, mconsole, selftest
from dmmlab.guest.errors import GuestError, NoKernelError
from dmmlab.machine import checks, processors

STOCK = cache.GuestKernel(Path("/usr/bin/linux.uml"), "6.1.0", virtual_time=False, modules=Path("/usr/lib/uml/modules"))
BUILT = cache.GuestKernel(Path("/cache/linux"), "7.2.12", virtual_time=True)


# --- apt ---------------------------------------------------------------------------------------------------


def test_one_line_sources_with_and_without_options() -> None:
    text = """
# deb http://commented.example/debian bookworm main
deb http://mirror.example/debian bookworm main contrib # trailing
deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] https://other.example/debian bookworm-backports main
deb-src http://mirror.example/debian bookworm main
"""
    assert list(apt.parse_one_line(text)) == [
        apt.Source("http://mirror.example/debian", ("bookworm",), ("main", "contrib")),
        apt.Source(
            "https://other.example/debian", ("bookworm-backports",), ("main",), signed_by="/usr/share/keyrings/k.gpg"
        ),
    ]


def test_deb822_sources_skip_disabled_stanzas_and_source_packages() -> None:
    text = """# a comment
Types: deb deb-src
URIs: http://mirror.example/debian http://second.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
"""
    sources = list(apt.parse_deb822(text))
    assert [s.uri for s in sources] == ["http://mirror.example/debian", "http://second.example/debian"]
    assert sources[0].suites == ("bookworm", "bookworm-updates")
    assert sources[0].signed_by == "/usr/share/keyrings/debian-archive-keyring.gpg"


def test_deb822_key_inside_the_stanza_is_written_to_a_file(tmp_path: Path) -> None:
    text = (
        "Types: deb\nURIs: http://m.example/debian\nSuites: trixie\nComponents: main\nSigned-By:\n"
        " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n -----END PGP PUBLIC KEY BLOCK-----\n"
    )
    (source,) = apt.parse_deb822(text)
    apt.write_configuration(source, "trixie", tmp_path)
    key = (tmp_path / "key.asc").read_text()
    assert key.splitlines()[1] == "" and key.endswith("-----END PGP PUBLIC KEY BLOCK-----\n")
    assert f"signed-by={tmp_path}/key.asc" in (tmp_path / "sources.list").read_text()


def test_the_distributions_own_mirror_is_found_among_others() -> None:
    sources = [
        apt.Source("http://vendor.example/apt", ("stable",), ("nightly",)),
        apt.Source("http://m.example/debian-security", ("bookworm-security",), ("main",)),
        apt.Source("http://m.example/debian", ("bookworm", "bookworm-updates"), ("main",)),
    ]
    assert apt.main_source(sources, "bookworm").uri == "http://m.example/debian"
    with pytest.raises(GuestError, match="--source PATH"):
        apt.main_source(sources[:2], "bookworm")


def test_system_sources_reads_both_notations_and_ignores_other_files(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://a.example/debian bookworm main\n")
    (tmp_path / "sources.list.d" / "b.sources").write_text(
        "Types: deb\nURIs: http://b.example/debian\nSuites: bookworm\nComponents: main\n"
    )
    (tmp_path / "sources.list.d" / "c.list.disabled").write_text("deb http://c.example/debian bookworm main\n")
    assert [s.uri for s in apt.system_sources(tmp_path)] == ["http://a.example/debian", "http://b.example/debian"]


def test_suites_are_the_systems_own_and_on_debian_the_newer_backports() -> None:
    assert apt.suites_to_try({"ID": "debian", "VERSION_CODENAME": "bookworm"}) == [
        "bookworm",
        "bookworm-backports",
        "trixie-backports",
    ]
    assert apt.suites_to_try({"ID": "debian", "VERSION_CODENAME": "trixie"}) == ["trixie", "trixie-backports"]
    assert apt.suites_to_try({"ID": "ubuntu", "VERSION_CODENAME": "noble"}) == ["noble", "noble-backports"]


def test_configuration_keeps_apt_inside_its_directory(tmp_path: Path) -> None:
    configuration = apt.write_configuration(
        apt.Source("http://m.example", ("x",), ("main",)), "x", tmp_path
    ).read_text()
    for key in ("Dir::Etc::SourceList", "Dir::State::Lists", "Dir::State::status", "Dir::Cache"):
        line = next(line for line in configuration.splitlines() if line.startswith(f"{key} "))
        assert str(tmp_path) in line
    assert "proxy" not in configuration.lower()  # the system's own stays in force


def test_versions_sort_by_number_and_lose_the_packaging() -> None:
    newest = sorted(["7.9.1", "7.10", "6.16.3", "7.9"], key=cache.version_key, reverse=True)
    assert newest == ["7.10", "7.9.1", "7.9", "6.16.3"]
    assert apt.Candidate("linux-source-7.2", "7.2.12-1~bpo13+1", "s", Path("c")).upstream == "7.2.12"
    assert apt.PACKAGE.match("linux-source-7.2") and not apt.PACKAGE.match("linux-source-7.2-rt")


# --- kernel configuration and cache ------------------------------------------------------------------------


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


# --- self-test verdict -------------------------------------------------------------------------------------


def _selftest_output(features: str = "netem present\nopenvswitch present\n", **changed: Any) -> str:
    clock = {
        "exact_clock": True,
        "round_trips_ns": [60_000_000, 30_000_000, 30_000_000],
        "failing_ns": 0,
        "sleeping_ns": exactness.SLEEP_NS,
        "selecting_ns": 500_000_000,
        "coarse_ns": 0,
        "spinning_ns": exactness.SPIN_NS,
        "spins": [0, 1001],
    }
    epoch = f"epoch={job.EPOCH_NS // 10**9 + job.UPTIME_S + 1}.000000001"
    return f"{features}{epoch}\n 8f a6\n{json.dumps(clock | changed)}\n"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"exact_clock": False}, "exact-clock.patch"),
        ({"round_trips_ns": [60_000_000, 30_000_000, 30_000_256]}, "30.000000 ms of netem measured as 30.000256 ms"),
        ({"failing_ns": 1_000_000}, "1000 failing look-ups took 1000000 ns instead of 0"),
        ({"sleeping_ns": 10_000_256}, "a sleep"),
        ({"selecting_ns": 500_500_000}, "a select"),
        ({"coarse_ns": 9_000_000}, "coarse"),
        ({"spinning_ns": 1_000_256}, "a loop on the clock"),
        ({"spins": [7, 1008]}, "7 calls of a spinning task"),
        ({"spins": [0, 0]}, "0 with it"),
    ],
)
def test_selftest_accepts_an_exact_clock_only(changed: dict[str, Any], reason: str) -> None:
    assert selftest.judge([_selftest_output(), _selftest_output()]) is None
    assert reason in str(selftest.judge([_selftest_output(**changed)] * 2))


def test_selftest_wants_its_features_and_the_same_twice() -> None:
    good = _selftest_output()
    assert selftest.round_trips_ms(good) == [60.0, 30.0, 30.0]
    assert "openvswitch" in str(selftest.judge([_selftest_output("netem present\n")] * 2))
    assert "different times" in str(selftest.judge([good, _selftest_output(spins=[0, 1002])]))
    assert "random" in str(selftest.judge([good, good.replace("8f a6", "8f a7")]))
    assert "epoch" in str(selftest.judge([good.replace("epoch=", "epoch=9")] * 2))


# --- the patch of the kernel's clock -------------------------------------------------------------------------


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


# --- a processor for each guest ------------------------------------------------------------------------------


def test_guests_beside_each_other_get_different_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    free = {2_000_001, 2_000_002}  # numbers that no guest of this machine can have
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: free)
    with processors.claimed() as one:
        with processors.claimed() as two:
            assert {one, two} == free
            with processors.claimed() as shared:
                assert shared in free
        with processors.claimed() as again:
            assert again == two


def test_where_there_is_one_processor_there_is_no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    with processors.claimed() as only:
        assert only is None


# --- description of a boot ---------------------------------------------------------------------------------


def test_command_line_of_both_clocks() -> None:
    virtual = job.command_line(job.Job(["true"], Path("/"), memory_mb=256), BUILT)
    assert "mem=256M" in virtual and "ro" in virtual and "time-travel=inf-cpu" in virtual and "seccomp=on" in virtual
    assert f"time-travel-start={job.EPOCH_NS}" in virtual and f"dmmlab_job={job.HERE}" in virtual
    real = job.command_line(job.Job(["true"], Path("/"), clock="real"), STOCK)
    assert not any(word.startswith(("time-travel", "seccomp")) for word in real)


def test_entropy_is_seeded_in_virtual_time_and_the_hosts_in_real_time() -> None:
    seeded = job.kernel_environment(job.Job(["true"], Path("/"), seed=7), BUILT, "/tmp")
    assert seeded["LD_PRELOAD"] == "/cache/entropy.so" and seeded["DMMLAB_ENTROPY_SEED"] == "7"
    assert set(job.kernel_environment(job.Job(["true"], Path("/"), clock="real"), STOCK, "/tmp")) == {"PATH", "TMPDIR"}


def _mounts(what: job.Job) -> list[list[str]]:
    return [row.split() for row in job.fstab(what, Path("/dev/shm/job")).splitlines()]


def test_writable_directories_are_bound_from_the_writable_tree_with_odd_names() -> None:
    mounts = _mounts(job.Job(["true"], Path("/"), writable=[Path("/tmp/x/my results")]))
    row = next(row for row in mounts if row[1] == r"/tmp/x/my\040results")
    assert row[0] == r"/run/dmmlab/files/tmp/x/my\040results" and row[3].startswith("bind,x-mount")
    assert mounts.index(row) > [m[1] for m in mounts].index("/tmp")


def test_a_working_directory_under_a_scratch_mount_stays_visible_and_read_only() -> None:
    for place in ("/tmp/checkout", "/run/user/1000/checkout", "/dev/shm/checkout"):
        mounts = _mounts(job.Job(["true"], Path(place)))
        assert [row[3] for row in mounts if row[1] == place] == ["bind,ro,x-mount.mkdir"]
    assert "/home" not in [row[1] for row in _mounts(job.Job(["true"], Path("/home")))]
    assert [row[2] for row in _mounts(job.Job(["true"], Path("/tmp"))) if row[1] == "/tmp"] == ["overlay"]


def test_in_virtual_time_programs_do_not_see_how_much_else_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = ["/dev/null", "/etc/ld.so.cache", "none", "bind"]
    virtual, real = (job.Job(["true"], Path("/"), clock=clock) for clock in ("virtual", "real"))
    assert hidden in [row[:4] for row in _mounts(virtual)]
    assert hidden[1] not in [row[1] for row in _mounts(real)]
    monkeypatch.setattr(job, "LIBRARY_CACHE", Path("/etc/there-is-none"))
    assert hidden[1] not in [row[1] for row in _mounts(virtual)]


def test_a_place_has_its_own_path_inside() -> None:
    job_with = job.Job(["true"], Path("/"), places={"/run/dmmlab/run": Path("/home/me/results/run 1")})
    rows = [(row[0], row[1]) for row in _mounts(job_with) if row[3].startswith("bind")]
    assert (r"/run/dmmlab/files/home/me/results/run\0401", "/run/dmmlab/run") in rows
    assert ("/run/dmmlab/streams/dev/shm/job", "/dev/shm/job") in rows


def test_session_quotes_the_command_and_inherits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "leaks")
    text = job.session(job.Job(["echo", "a b", "$HOME;'"], Path("/x y"), env={"MODE": "1 2"}))
    assert "cd -- '/x y'" in text and "'MODE=1 2'" in text and "DMMLAB_GUEST=virtual" in text
    assert text.rstrip().endswith("""echo 'a b' '$HOME;'"'"''""")
    assert "leaks" not in text and "ovs-vswitchd" not in text
    assert "ovs-vswitchd" in job.session(job.Job(["true"], Path("/"), services=True))


# --- what became of it -------------------------------------------------------------------------------------


def test_exit_status_or_the_reason_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "console").write_text("[   15.0] Kernel panic - not syncing: Attempted to kill init!\n")
    with pytest.raises(GuestError, match="Kernel panic - not syncing: Attempted to kill init"):
        launch.exit_status(tmp_path, -6)
    (tmp_path / "console").write_text("")
    with pytest.raises(GuestError, match="SIGKILL"):
        launch.exit_status(tmp_path, -9)
    (tmp_path / "status").write_text("7\n")
    assert launch.exit_status(tmp_path, 0) == 7
    (tmp_path / "failed").write_text("Open vSwitch did not start\n")
    with pytest.raises(GuestError, match="Open vSwitch did not start"):
        launch.exit_status(tmp_path, 0)


def test_leftovers_of_killed_launchers_are_swept_but_not_the_living(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # no shared memory here
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead = tmp_path / f"{launch.JOB_PREFIX}dead"
    dead.mkdir()
    os.utime(dead, (0, 0))
    with launch.job_directory() as living:
        os.utime(living, (0, 0))
        assert not dead.exists()
        with launch.job_directory():
            assert living.exists()
    assert list(tmp_path.iterdir()) == []


def test_memory_goes_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    def room(megabytes: int) -> None:
        fields = [4096, 4096, *[megabytes * 256] * 3, *[0] * 5]
        monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(fields))

    monkeypatch.setattr(os, "access", lambda *_: True)
    room(4096)
    assert launch.memory_directory(1024) == "/dev/shm"
    room(64)  # what a container gets by default
    assert launch.memory_directory(1024) == tempfile.gettempdir()


def test_no_guest_inside_the_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMMLAB_GUEST", "virtual")
    with pytest.raises(GuestError, match="the guest already"):
        launch.execute(["true"], kernel=BUILT)


def test_mconsole_request_is_framed_as_the_kernel_expects(tmp_path: Path) -> None:
    received = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "mconsole"))

        def answer() -> None:
            data, client = server.recvfrom(1024)
            received.append(data)
            server.sendto(struct.pack("<III512s", 0, 0, 0, b""), client)

        thread = threading.Thread(target=answer)
        thread.start()
        assert mconsole.request(tmp_path, "cad")
        thread.join()
    magic, version, length = struct.unpack_from("<III", received[0])
    assert (magic, version, received[0][12 : 12 + length]) == (0xCAFEBABE, 2, b"cad")
    assert not mconsole.request(tmp_path / "nobody", "cad")


# --- doctor ------------------------------------------------------------------------------------------------

GOOD = checks.Check("x", True, "there")
BAD = checks.Check("openvswitch", False, "not in kernel 6.18", "apt-get install linux-image-amd64")
UNBUILT = checks.Check("guest kernel", False, "not built yet", doctor.BUILD_COMMAND)
NEVER = checks.Check("virtual time", False, "only the guest can stop the clock")


def _report(guest_check: checks.Check, native_check: checks.Check) -> doctor.Report:
    return doctor.Report(
        "a machine",
        (
            doctor.Combination("guest", "virtual", (guest_check,)),
            doctor.Combination("guest", "real", (guest_check,)),
            doctor.Combination("native", "real", (native_check,)),
            doctor.Combination("native", "virtual", (NEVER,)),
        ),
        (),
    )


def test_auto_prefers_the_guest_in_virtual_time_and_falls_back_to_native() -> None:
    assert doctor.pick("auto", "auto", _report(GOOD, GOOD)) == ("guest", "virtual")
    assert doctor.pick("auto", "auto", _report(UNBUILT, GOOD)) == ("guest", "virtual")  # it can be built
    assert doctor.pick("auto", "auto", _report(BAD, GOOD)) == ("native", "real")
    assert doctor.pick("auto", "real", _report(GOOD, GOOD)) == ("guest", "real")
    assert doctor.pick("native", "auto", _report(GOOD, GOOD)) == ("native", "real")


def test_what_cannot_be_had_is_one_sentence_with_its_remedy() -> None:
    with pytest.raises(
        GuestError, match=r"native with real clock.*openvswitch.*apt-get install linux-image-amd64"
    ) as caught:
        doctor.pick("native", "auto", _report(GOOD, BAD))
    assert "\n" not in str(caught.value)
    with pytest.raises(GuestError, match="only the guest can stop the clock"):
        doctor.pick("native", "virtual", _report(GOOD, GOOD))
    with pytest.raises(ValueError, match="allowed are auto"):
        doctor.pick("cloud", "auto", _report(GOOD, GOOD))


def test_a_build_that_lacks_packages_is_no_silent_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    flex = checks.Check("flex", False, "not installed", "apt-get install flex")
    check = doctor.guest_kernel("virtual", (GOOD, flex))
    assert not check.ok and "flex" in check.found and check.remedy.endswith(f"flex && {doctor.BUILD_COMMAND}")
    with pytest.raises(GuestError, match="apt-get install flex"):
        doctor.pick("guest", "virtual", _report(check, BAD))


def test_the_package_with_the_modules_depends_on_the_kernel() -> None:
    assert checks.module_package("6.1.0-20-cloud-amd64") == "linux-image-cloud-amd64"
    assert checks.module_package("6.8.0-45-generic") == "linux-modules-extra-6.8.0-45-generic"
    assert checks.module_package("6.18.1") == "linux-image-amd64"


def test_examination_of_this_machine_is_complete_and_json() -> None:
    report = doctor.examine()
    pairs = [(c.runtime, c.clock) for c in report.combinations]
    assert pairs == [("guest", "virtual"), ("guest", "real"), ("native", "real"), ("native", "virtual")]
    assert all(check.remedy for c in report.combinations for check in c.missing())
    assert json.loads(json.dumps(report.as_dict()))["combinations"][0]["runtime"] == "guest"
    doctor_view.show(report, everything=True)


# --- command line ------------------------------------------------------------------------------------------


def test_exec_passes_the_commands_own_options_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, object] = {}
    monkeypatch.setattr(launch, "execute", lambda argv, **options: seen.update(options, argv=argv) or 3)
    result = CliRunner().invoke(
        guest, ["exec", "--real", "--writable", str(tmp_path), "--env", "A=b=c", "--", "ls", "-l", "--real"]
    )
    assert result.exit_code == 3
    assert seen["argv"] == ("ls", "-l", "--real") and seen["clock"] == "real" and seen["env"] == {"A": "b=c"}
    assert CliRunner().invoke(guest, ["exec", "--env", "oops", "true"]).exit_code == 2


def test_exec_without_a_kernel_is_one_sentence_and_status_2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    result = CliRunner().invoke(guest, ["exec", "true"])
    assert result.exit_code == 2 and "dmmlab guest build" in result.output
