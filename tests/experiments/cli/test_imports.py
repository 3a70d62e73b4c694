"""What a command does not import: heavy modules that it has no use for, and would make everybody wait for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from dmmlab.experiments.cli.main import LATER, cli
from dmmlab.experiments.figures import ENTRIES, FIGURES

NETWORK = ("scapy", "pyroute2", "dns", "mininet", "ryu", "os_ken", "eventlet", "dmmlab.topologies.build")
DRAWING = ("matplotlib", "numpy", "pandas", "jinja2", "rich", "dmmlab.experiments.figures.base")
GUEST = ("dmmlab.guest.kernel", "dmmlab.guest.launch", "dmmlab.experiments.runner.run")
SCENARIO = ("pydantic", "yaml", "dmmlab.experiments.scenario.model")


def imported(*arguments: str, cwd: Path) -> set[str]:
    """Every module that is there once the command has done its work."""
    program = (
        "import contextlib, io, sys\nfrom dmmlab.experiments.cli.main import command\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): command()\n"
        "print(*sys.modules, sep='\\n')"
    )
    ran = subprocess.run([sys.executable, "-c", program, *arguments], cwd=cwd, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "unused"),
    [
        (("--help",), (*NETWORK, *DRAWING, *GUEST, *SCENARIO, "importlib.metadata", "dmmlab.experiments.methods")),
        (("--version",), (*NETWORK, *DRAWING, *GUEST, *SCENARIO)),
        (("list",), (*NETWORK, *DRAWING, *GUEST, *SCENARIO)),
        (("check", "two-mr"), (*NETWORK, *DRAWING, *GUEST, "importlib.metadata")),
    ],
)
def test_a_command_imports_what_it_uses(arguments: tuple[str, ...], unused: tuple[str, ...], tmp_path: Path) -> None:
    found = imported(*arguments, cwd=tmp_path)
    assert "click" in found
    assert found & set(unused) == set()


def test_a_guest_boots_before_anything_is_imported_that_reads_its_records() -> None:
    program = "import sys, dmmlab.experiments.runner.run\nprint(*sys.modules, sep='\\n')"
    found = set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )
    unused = (*NETWORK, *DRAWING, "asyncio", "dmmlab.guest.kernel", "dmmlab.experiments.analysis.tables")
    assert "dmmlab.guest.launch" in found
    assert found & set(unused) == set()


@pytest.mark.parametrize("name", LATER)
def test_a_command_that_is_imported_later_has_its_own_line_in_the_help(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert LATER[name].line == command.get_short_help_str(62)


def test_a_figure_is_what_its_line_in_the_list_says() -> None:
    for name, entry in ENTRIES.items():
        assert FIGURES[name].entry is entry
