"""The worked example of docs/methods.md, carried out: a method of one's own, from one module and one line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from dmmlab.experiments.records.rundir import RunDirectory, read_csv
from dmmlab.guest.cache import GuestKernel
from dmmlab.machine.sources import FOLDERS, ROOT

GUIDE = (ROOT / "docs" / "methods.md").read_text()
SESSIONS = [
    {"name": "A", "at": "3s", "from": "CN3", "to": "MN1", "method": ["p2p", "sticky"]},
    {"name": "B", "at": "15s", "from": "CN3", "to": "MN1", "method": ["p2p", "sticky"]},
]


def _block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", GUIDE.split("## A method of your own")[1], re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment in which `dmmlab` is a copy of the project with the example in it."""
    root = tmp_path_factory.mktemp("own")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, root / "dmmlab" / folder, ignore=shutil.ignore_patterns("__pycache__"))
    methods = root / "dmmlab" / "experiments" / "methods"
    (methods / "sticky.py").write_text(_block("python"))
    before, added, after = _block("diff").splitlines()
    registry = methods / "__init__.py"
    text = registry.read_text()
    assert f"{before[1:]}\n{after[1:]}\n" in text
    registry.write_text(text.replace(f"{before[1:]}\n", f"{before[1:]}\n{added[1:]}\n"))
    venv.create(root / "venv", symlinks=True)
    site = next((root / "venv" / "lib").glob("python*")) / "site-packages"
    (site / "own.pth").write_text(f"{root}\n{sysconfig.get_path('purelib')}\n")
    return root / "venv" / "bin" / "python"


def test_the_example_runs_and_equals_its_closed_form(python: Path, live_kernel: GuestKernel, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(json.dumps({"extends": "two-mr", "name": "own", "sessions": SESSIONS}))
    command = [str(python), "-m", "dmmlab.experiments.cli.main", "run", "own.yaml", "--out", "run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = {row["session"]: row for row in read_csv(RunDirectory(tmp_path / "run").sessions)}
    assert [rows[name]["anchor"] for name in ("B.p2p", "B.sticky")] == ["MR2", "MR1"]
    assert [float(rows[name]["lookup_ms"]) for name in ("A.sticky", "B.sticky")] == [50, 0]
    assert rows["B.sticky"]["path"] == "redirect"
    for row in rows.values():
        assert row["setup_ms"] == row["expected_setup_ms"] != ""


def test_it_is_listed(python: Path) -> None:
    listed = subprocess.run(
        [str(python), "-m", "dmmlab.experiments.cli.main", "list"], capture_output=True, text=True, check=True
    )
    assert "asks the registration server once, and keeps the answer" in listed.stdout
