"""Runner, guests, workers and scheduler are killed at random instants: a few here, more by `kill.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dmmlab.guest.cache import GuestKernel

pytestmark = pytest.mark.live


@pytest.mark.parametrize(("place", "instants"), [("here", 2), ("cluster", 3)])
def test_whatever_is_killed_the_result_is_the_same_bytes(
    live_kernel: GuestKernel, tmp_path: Path, place: str, instants: int
) -> None:
    if place == "cluster":
        pytest.importorskip("distributed", reason="Dask is not installed: make setup-tests")
    script = Path(__file__).with_name("kill.py")
    command = [sys.executable, str(script), "--place", place, "--instants", str(instants), "--folder", str(tmp_path)]
    tried = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=3600)
    assert tried.returncode == 0, tried.stdout
    assert tried.stdout.splitlines()[-1].startswith(f"{instants} instants")
