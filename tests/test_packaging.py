"""The packages: everything is in it, and what it installs runs from another environment, anywhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from dmmlab.guest.cache import GuestKernel

PROJECT = Path(__file__).parent.parent
FOLDERS = ("machine", "topologies", "controllers", "nodes", "guest", "experiments")
SCENARIO = """
extends: two-mr
movement: [{at: 0s, node: MN1, to: MR1}]
sessions: [{name: P1, at: 2s, from: CN1, to: MN1, interval: 100ms, duration: 2s}]
duration: 5s
"""


def ran(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made of the sdist, which is made of a copy: a build leaves folders behind in its source."""
    folder = tmp_path_factory.mktemp("wheel")
    leave = shutil.ignore_patterns(".*", "results", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(PROJECT, folder / "source", ignore=leave)
    ran(sys.executable, "-m", "build", "--outdir", folder, "source", cwd=folder)
    (built,) = folder.glob("dmmlab-*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel; what it depends on is borrowed from the one that runs the tests."""
    folder = tmp_path_factory.mktemp("elsewhere")
    ran(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    ran(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    own = ran(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    lender = Path(sysconfig.get_path("purelib"))
    (Path(own) / "borrowed.pth").write_text(f"{lender}\n")
    for file in lender.glob("distutils-precedence.pth"):  # setuptools' distutils, for Mininet on Python 3.12 and later
        shutil.copy(file, own)
    return folder


def test_every_file_that_a_program_reads_is_in_the_wheel(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    ours = [file for folder in FOLDERS for file in (PROJECT / folder).rglob("*") if file.is_file()]
    wanted = {f"dmmlab/{file.relative_to(PROJECT)}" for file in ours if "__pycache__" not in file.parts}
    assert wanted - packed == set()


def test_the_wheel_runs_from_another_environment(elsewhere: Path) -> None:
    where = "import dmmlab.experiments.cli.main as it; print(it.__file__)"
    assert str(elsewhere) in ran(elsewhere / "venv/bin/python", "-c", where, cwd=elsewhere)
    assert "two-mr" in ran(elsewhere / "venv/bin/dmmlab", "list", cwd=elsewhere)
    assert "P1" in ran(elsewhere / "venv/bin/dmmlab", "check", "two-mr", cwd=elsewhere)


@pytest.mark.live
def test_a_run_from_another_environment(live_kernel: GuestKernel, elsewhere: Path) -> None:
    (elsewhere / "short.yaml").write_text(SCENARIO)
    ran(elsewhere / "venv/bin/dmmlab", "run", "short.yaml", "--out", "out", cwd=elsewhere)
    assert (elsewhere / "out" / "sessions.csv").read_text().count("\n") == 2


def test_the_lock_file_has_every_dependency_and_no_place_to_get_it_from() -> None:
    lines = (PROJECT / "requirements.lock").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[^ ;]+(; python_version [<>=]+ \"3\.\d+\")?", pin) for pin in pins), pins
    pinned = {pin.partition("==")[0].lower().replace("_", "-") for pin in pins}
    text = (PROJECT / "pyproject.toml").read_text()
    asked = re.findall(r'^ +"([A-Za-z0-9-]+)[><=;\[]', text, re.MULTILINE)
    assert len(asked) > 10
    assert {name.lower() for name in asked} - pinned == set()
