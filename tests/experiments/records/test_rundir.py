"""A folder that somebody else has made, or that is another's, in the place of a run directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from recorded_story import Story

from dmmlab.experiments.records.errors import RunDirectoryError
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.report import page


def theirs(folder: Path) -> Path:
    """What is dear to whoever opens it."""
    for name in ("thesis.tex", "log/diary", "events.jsonl"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("dear\n")
    return folder


def untouched(folder: Path) -> bool:
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [str(name) for name in files] == ["events.jsonl", "log/diary", "thesis.tex"] and all(
        (folder / name).read_text() == "dear\n" for name in files
    )


@pytest.mark.parametrize(
    "name", ["log", "capture", "figures", "run.json.new", "report.html", "log/x.out", "events.jsonl"]
)
def test_nothing_is_read_or_written_by_a_link_in_a_run_directory(tmp_path: Path, name: str) -> None:
    home, run = theirs(tmp_path / "home"), Story(tmp_path / "run").write()
    place = run.root / name
    if place.is_dir():
        place.rename(run.root / "other")
    place.unlink(missing_ok=True)
    place.symlink_to(home if "." not in name else home / "thesis.tex")
    for attempt in (lambda: run.create({}), run.manifest, lambda: page.write(run.root)):
        with pytest.raises(RunDirectoryError, match=f"{place}: a link"):
            attempt()
    assert untouched(home)


def test_a_file_in_a_run_directory_that_never_ends_is_refused(tmp_path: Path) -> None:
    run = Story(tmp_path / "run").write()
    run.sessions.unlink()
    os.mkfifo(run.sessions)
    with pytest.raises(RunDirectoryError, match="no file"):
        run.manifest()


def test_a_report_of_several_runs_follows_no_link_either(tmp_path: Path) -> None:
    home = theirs(tmp_path / "home")
    Story(tmp_path / "all" / "one").write().finish("failed", "nothing ran")
    for name in ("report.html", "F1.txt", "F2.png"):
        (tmp_path / "all" / name).symlink_to(home / "thesis.tex")
    (tmp_path / "all" / "F1.png").write_bytes(b"\x89PNG")
    text = page.write(tmp_path / "all").read_text()
    assert "dear" not in text and "ZGVhcg" not in text and untouched(home)  # nor in base 64


def test_a_run_takes_no_folder_of_yours_for_its_own(tmp_path: Path) -> None:
    """A stranger's scenario may bear the name of any folder that is where its results would go."""
    with pytest.raises(RunDirectoryError, match="is no run's"):
        RunDirectory(theirs(tmp_path / "Documents")).create({})
    assert untouched(tmp_path / "Documents")
    (tmp_path / "link").symlink_to(tmp_path / "Documents")
    with pytest.raises(RunDirectoryError, match="a link"):
        RunDirectory(tmp_path / "link").create({})
    run = RunDirectory(tmp_path / "run")
    run.create({"format": 1})
    (run.log / "kept").mkdir()
    with pytest.raises(RunDirectoryError, match="kept: is no run's"):
        run.create({})
