"""What became of a boot, and what it leaves."""

from __future__ import annotations

import os
import socket
import struct
import tempfile
import threading
from pathlib import Path

import pytest

from dmmlab.guest import cache, launch, mconsole
from dmmlab.guest.errors import GuestError

BUILT = cache.GuestKernel(Path("/cache/linux"), "7.2.12", virtual_time=True)


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
