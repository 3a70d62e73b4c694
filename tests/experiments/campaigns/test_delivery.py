"""A run that arrives from another machine: all of it or nothing, once."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import figures_fake
import pytest

from dmmlab.experiments.campaigns.delivery import DeliveryError, deliver, pack
from dmmlab.experiments.campaigns.places import MADE_BY, Job
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.load import load

SCENARIO = load("two-mr")


def job(folder: Path) -> Job:
    return Job(SCENARIO, folder, "guest", "virtual", {"program": "1"})


def made(folder: Path, outcome: str = "ok", off_ms: float = 0.0, program: str = "1") -> Path:
    figures_fake.make(SCENARIO, folder, outcome=outcome, off_ms=off_ms)
    (folder / MADE_BY).write_text(json.dumps({"program": program}))
    return folder


def test_what_arrives_is_what_was_sent(tmp_path: Path) -> None:
    sent = made(tmp_path / "sent")
    assert deliver(pack(sent), job(tmp_path / "out" / "run")) is None
    assert files(tmp_path / "out" / "run") == files(sent)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run"]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_result_is_dropped_and_other_bytes_are_said(tmp_path: Path) -> None:
    first = made(tmp_path / "out" / "run")
    before = files(first)
    assert deliver(pack(made(tmp_path / "same")), job(first)) is None
    said = deliver(pack(made(tmp_path / "other", off_ms=1)), job(first))
    assert said is not None and "other bytes" in said
    assert files(first) == before


@pytest.mark.parametrize("left", [{"outcome": "failed"}, {"program": "0"}])
def test_a_failed_or_older_run_gives_way(tmp_path: Path, left: dict[str, Any]) -> None:
    folder = made(tmp_path / "run", off_ms=1, **left)
    (folder / "notes.txt").write_text("of the user")
    (folder / "log" / "old.log").touch()
    sent = made(tmp_path / "sent")
    assert deliver(pack(sent), job(folder)) is None
    assert files(folder) == files(sent) | {"notes.txt": b"of the user"}


def test_what_is_killed_half_way_counts_as_unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, sent = made(tmp_path / "run", outcome="failed"), pack(made(tmp_path / "sent"))
    replace = Path.replace
    moved: list[Path] = []

    def dies(self: Path, target: Path) -> Path:
        if len(moved) == 4:
            raise KeyboardInterrupt
        moved.append(self)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        deliver(sent, job(folder))
    assert RunDirectory(folder).outcome() is None


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside-dmmlab", "log/../../outside"])
def test_a_file_that_would_lie_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(DeliveryError, match="no file of a run"):
        deliver(content.getvalue(), job(tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


def test_half_a_run_is_refused(tmp_path: Path) -> None:
    sent = made(tmp_path / "sent")
    RunDirectory(sent).outcome_json.unlink()
    with pytest.raises(DeliveryError, match="no outcome"):
        deliver(pack(sent), job(tmp_path / "out" / "run"))
    assert list((tmp_path / "out").iterdir()) == []
