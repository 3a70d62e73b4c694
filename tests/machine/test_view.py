"""The view of the sources in which a folder is dmmlab.<folder>: made at set-up, and named to every static tool."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2]
FOLDERS = ("machine", "topologies", "controllers", "nodes", "guest", "experiments")
SETTINGS = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]


def set_up(folder: Path) -> None:
    script = folder / "machine" / "provision.sh"
    subprocess.run([script, "--skip-apt", "--skip-venv"], check=True, capture_output=True)


def test_a_fresh_clone_has_the_view_after_set_up(tmp_path: Path) -> None:
    for folder in FOLDERS:
        shutil.copytree(PROJECT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    set_up(tmp_path)
    view = tmp_path / ".view" / "dmmlab"
    assert {link.name for link in view.iterdir()} == set(FOLDERS)
    assert all((view / folder / "__init__.py").is_file() for folder in FOLDERS)
    (tmp_path / "use.py").write_text("from dmmlab.topologies.plan import NetworkPlan\nreveal_type(NetworkPlan.host)\n")
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    mypy = [sys.executable, "-m", "mypy", "--follow-imports=silent", "use.py"]
    checked = subprocess.run(mypy, cwd=tmp_path, capture_output=True, text=True)
    assert "dmmlab.topologies.plan.Host" in checked.stdout, checked.stdout + checked.stderr


def test_a_folder_that_is_gone_is_gone_from_the_view(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "machine", tmp_path / "machine")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "__init__.py").touch()
    set_up(tmp_path)
    shutil.rmtree(tmp_path / "old")
    set_up(tmp_path)
    assert [link.name for link in (tmp_path / ".view" / "dmmlab").iterdir()] == ["machine"]


def test_every_static_tool_knows_the_view() -> None:
    editor = json.loads((PROJECT / ".vscode" / "settings.json").read_text())
    paths = [SETTINGS["mypy"]["mypy_path"].split(":"), SETTINGS["pyright"]["extraPaths"]]
    paths.append(editor["python.analysis.extraPaths"])
    assert paths == [[".view", "tests/support"]] * 3
    assert {".view/dmmlab", "tests", "benchmarks"} == set(SETTINGS["mypy"]["files"])
    assert ".view" in SETTINGS["ruff"]["extend-exclude"], "what is there is already checked where it really is"
