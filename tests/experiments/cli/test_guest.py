"""`dmmlab guest`: options of the command's own, and what is said without a kernel."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from dmmlab.experiments.cli.guest import guest
from dmmlab.guest import launch


def test_exec_passes_the_commands_own_options_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, object] = {}
    monkeypatch.setattr(launch, "execute", lambda argv, **options: seen.update(options, argv=argv) or 3)
    result = CliRunner().invoke(
        guest, ["exec", "--real", "--writable", str(tmp_path), "--env", "A=b=c", "--", "ls", "-l", "--real"]
    )
    assert result.exit_code == 3
    assert seen["argv"] == ("ls", "-l", "--real") and seen["clock"] == "real" and seen["env"] == {"A": "b=c"}
    assert CliRunner().invoke(guest, ["exec", "--env", "oops", "true"]).exit_code == 2


def test_exec_without_a_kernel_is_one_sentence_and_status_2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    result = CliRunner().invoke(guest, ["exec", "true"])
    assert result.exit_code == 2 and "dmmlab guest build" in result.output
