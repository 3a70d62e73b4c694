"""Folders of runs: gone when the run is, and those of killed runs when the next one begins."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dmmlab.machine import scratch

HOLD = """
import time
from dmmlab.machine import scratch
with scratch.folder() as made:
    print(made, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_its_owners_and_goes_with_its_block(temporary: Path) -> None:
    with scratch.folder("ovs-") as made:
        assert made.name.startswith("dmmlab-ovs-") and made.stat().st_mode & 0o777 == 0o700
        (made / "below").mkdir()
        assert scratch.sweep() == []
    assert not made.exists()


def test_what_a_killed_run_has_left_is_removed_by_the_next_and_nothing_else(
    temporary: Path,
) -> None:
    environment = {**os.environ, "TMPDIR": str(temporary)}
    killed, alive = (
        subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    )
    assert killed.stdout is not None and alive.stdout is not None
    left, held = Path(killed.stdout.readline().strip()), Path(alive.stdout.readline().strip())
    foreign = [temporary / "dmmlab-somebody", temporary / "other-1"]
    for each in foreign:
        each.mkdir()
    (temporary / "dmmlab-link").symlink_to(temporary / "other-1")
    (temporary / "other-1" / "lock").touch()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert left.exists()
    with scratch.folder():
        assert not left.exists()
        assert held.exists() and all(each.exists() for each in foreign) and (foreign[1] / "lock").exists()
    alive.kill()
    for process in (killed, alive):
        process.communicate()
