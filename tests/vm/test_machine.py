"""What is said of an emulated machine that has made runs (`tests/vm/machine.py`), and when they cannot be compared."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from manifests import manifest
from scripts import script

from dmmlab.experiments.records.rundir import RunDirectory, write_json
from dmmlab.guest.cache import GuestKernel

HERE: dict[str, Any] = {
    "machine": {"processor": "AMD EPYC", "features": "f00d", "host_kernel": "6.18", "guest_processor": 0},
    "programs": {"named": "BIND 9.18.49"},
}
MACHINE = {"processor": "Haswell", "features": "cafe", "host_kernel": "6.1.0-50-amd64", "guest_processor": None}


machine = script(Path(__file__).with_name("machine.py"))


def described(out: Path, monkeypatch: pytest.MonkeyPatch, **there: Any) -> tuple[int, dict[str, Any]]:
    """The exit status and ``machine.json`` for a run in an environment that has ``there`` in place of what is here."""
    run = RunDirectory(out / "two-mr")
    run.create(manifest(environment={**HERE, "machine": MACHINE, **there}))
    run.finish("ok", wall_s=400.0)
    write_json(out / "virtual.json", {"wall_s": 460})
    monkeypatch.setattr(machine, "find_kernel", lambda: GuestKernel(out / "linux", "7.3.4", virtual_time=True))
    monkeypatch.setattr(machine.environment, "describe", lambda kernel, guest: HERE)
    monkeypatch.setattr(sys, "argv", ["machine.py", str(out), "Haswell"])
    return machine.main(), json.loads((out / "machine.json").read_text())


def test_another_processor_and_kernel_are_what_the_machine_is_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, said = described(tmp_path, monkeypatch)
    assert status == 0
    assert (said["cpu"], said["host_kernel"], said["wall_s"]) == ("Haswell", "6.1.0-50-amd64", 460)
    assert said["runs_wall_s"] == {"two-mr": 400.0}


def test_another_version_of_a_program_makes_runs_that_cannot_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, said = described(tmp_path, monkeypatch, programs={"named": "BIND 9.20.1"})
    assert status == 1
    assert any("9.20.1 there" in clause for clause in said["differs"])
