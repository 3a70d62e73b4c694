"""How `dmmlab` ends: at once, with all that it had to say, and with its command's status."""

from __future__ import annotations

import subprocess
import sys

import pytest

DMMLAB = [sys.executable, "-m", "dmmlab.experiments.cli.main"]


@pytest.mark.parametrize(
    ("arguments", "status", "last"),
    [
        (("--version",), 0, "version"),
        (("check", "two-mr"), 0, "the scenario ends"),
        (("check", "no-such-scenario"), 2, "neither a file nor a shipped scenario"),
        (("no-such-command",), 2, "No such command"),
    ],
)
def test_status_and_words_arrive(arguments: tuple[str, ...], status: int, last: str) -> None:
    ran = subprocess.run([*DMMLAB, *arguments], capture_output=True, text=True)
    assert ran.returncode == status
    assert last in ran.stdout + ran.stderr


def test_what_was_to_be_done_at_the_end_is_done() -> None:
    program = (
        "import atexit, sys\nfrom dmmlab.experiments.cli import main\nsys.argv = ['dmmlab', '--version']\n"
        "atexit.register(print, 'tidied')\nmain.main()\nprint('never')"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "tidied")
