"""What is drawn on request: the files that were asked for, the same wherever they are drawn; all else is refused."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from recorded_story import Story

from dmmlab.experiments.cli import pictures
from dmmlab.experiments.figures import parallel
from dmmlab.experiments.figures.base import FigureError, finished
from dmmlab.experiments.ladders import files
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rundir import RunDirectory

LADDERS = [f"ladder-{method}" for method in ("ddns", "p2p", "central", "combined")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return Story(tmp_path_factory.mktemp("story") / "run").write()


def stems(folder: Path, suffix: str) -> list[str]:
    return sorted(path.stem for path in folder.glob(f"*{suffix}"))


def test_names_are_taken_with_commas_or_without() -> None:
    assert pictures.names(["F1,F3", "ladders", "F1"]) == ("F1", "F3", "ladders")
    assert pictures.names([]) == ()
    with pytest.raises(click.UsageError, match="unknown figure F99"):
        pictures.names(["F1,F99"])


def test_only_what_is_named_is_drawn_and_a_pdf_only_on_request(run: RunDirectory, tmp_path: Path) -> None:
    pictures.draw_from([run.root], ("F2", "ladders"), tmp_path / "png", pdf=False)
    assert stems(tmp_path / "png", ".png") == stems(tmp_path / "png", ".csv") == ["F2-setup", *sorted(LADDERS)]
    assert stems(tmp_path / "png", ".pdf") == []
    pictures.draw_from([run.root], ("F2",), tmp_path / "pdf", pdf=True)
    assert stems(tmp_path / "pdf", ".pdf") == stems(tmp_path / "pdf", ".png") == ["F2-setup"]


def test_all_of_a_run_is_drawn_beside_it_and_what_it_does_not_show_is_no_error(run: RunDirectory) -> None:
    assert pictures.draw_beside([run], ("all",), pdf=False)
    assert set(LADDERS) | {"F2-setup"} <= set(stems(run.figures, ".png"))


def test_what_was_named_and_cannot_be_drawn_is_said(
    run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not pictures.draw_beside([run], ("F12",), pdf=False)
    assert "dmmlab: F12: none of" in capsys.readouterr().err
    with pytest.raises(FigureError, match="F12"):
        pictures.draw_from([run.root], ("F12",), tmp_path, pdf=False)


def test_all_figures_are_drawn_of_a_run_that_was_made_for_none_or_left_out(run: RunDirectory, tmp_path: Path) -> None:
    pictures.draw_from([run.root], (), tmp_path, pdf=False)
    assert "F2-setup" in stems(tmp_path, ".png") and stems(tmp_path, ".png") == stems(tmp_path, ".txt")


def test_ladders_are_those_of_one_run(run: RunDirectory, tmp_path: Path) -> None:
    other = Story(tmp_path / "other").write()
    with pytest.raises(click.UsageError, match="one valid run"):
        pictures.draw_from([run.root, other.root], ("ladders",), tmp_path / "out", pdf=False)
    with pytest.raises(FigureError, match="no valid run there"):
        pictures.draw_from([tmp_path / "nothing"], ("ladders",), tmp_path / "out", pdf=False)


def test_processes_draw_the_same_bytes_as_one(run: RunDirectory, tmp_path: Path) -> None:
    for out, draw in ((tmp_path / "many", parallel.draw), (tmp_path / "one", lambda jobs: [job() for job in jobs])):
        draw([*parallel.jobs(["F2", "F2"], finished([run.root]), out, True), *files.jobs(Recording(run), out, True)])
    many, one = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("many", "one"))
    assert many == one
    assert len(many) == 4 * 5
