"""Modules in one file: found without a look at their folders, made anew when a source changes, no loss without it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dmmlab.machine import bundle

PROGRAM = """
import sys
from importlib import resources
import package
from package import part

def main():
    print(part.VALUE, resources.files(package).joinpath("data").read_text(), sys.argv[1:], part.__file__)
"""


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "sources"
    (folder / "package").mkdir(parents=True)
    (folder / "program.py").write_text(PROGRAM)
    (folder / "package" / "__init__.py").touch()
    (folder / "package" / "data").write_text("words")
    (folder / "package" / "part.py").write_text("VALUE = 1\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def run(file: Path, *program: str) -> str:
    command = [sys.executable, "-m", "dmmlab.machine.bundle", str(file), *program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_program_runs_from_the_file_alone(sources: Path) -> None:
    file = bundle.bundle_of(["program"], sources / "cache")
    assert file is not None
    part = sources / "package" / "part.py"
    assert run(file, "program", "a", "b").strip() == f"1 words ['a', 'b'] {part}"
    part.unlink()
    assert run(file, "program").startswith("1 words")


def test_a_changed_source_makes_another_file_and_an_unchanged_one_does_not(sources: Path) -> None:
    file = bundle.bundle_of(["program"], sources / "cache")
    assert file is not None
    made = file.stat().st_mtime_ns
    assert bundle.bundle_of(["program"], sources / "cache") == file
    assert file.stat().st_mtime_ns == made
    part = sources / "package" / "part.py"
    part.write_text("VALUE = 22\n")
    os.utime(part, ns=(made, made))
    assert bundle.bundle_of(["program"], sources / "cache") == file
    assert run(file, "program").startswith("22 ")


def test_extensions_and_namespaces_are_found_too(sources: Path) -> None:
    (sources / "space").mkdir()
    (sources / "space" / "inner.py").write_text("import _json\n\ndef main():\n    print(_json.__name__)\n")
    file = bundle.bundle_of(["space.inner"], sources / "cache")
    assert file is not None
    assert run(file, "space.inner") == "_json\n"


def test_what_cannot_be_imported_makes_no_file(sources: Path) -> None:
    (sources / "package" / "part.py").write_text("raise ValueError\n")
    assert bundle.bundle_of(["program"], sources / "cache") is None


def test_a_damaged_file_is_made_anew(sources: Path) -> None:
    file = bundle.bundle_of(["program"], sources / "cache")
    assert file is not None
    file.write_bytes(file.read_bytes()[:100])
    assert bundle.bundle_of(["program"], sources / "cache") == file
    assert run(file, "program").startswith("1 ")
