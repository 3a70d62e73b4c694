"""The description of a boot: command line, mounts, session."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmmlab.guest import cache, job

STOCK = cache.GuestKernel(Path("/usr/bin/linux.uml"), "6.1.0", virtual_time=False, modules=Path("/usr/lib/uml/modules"))
BUILT = cache.GuestKernel(Path("/cache/linux"), "7.2.12", virtual_time=True)


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
