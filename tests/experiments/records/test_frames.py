"""Runs as pandas frames, and the notebook that uses them."""

from __future__ import annotations

import json
from pathlib import Path

import figures_fake
import pandas as pd
import pytest

import dmmlab.experiments
from dmmlab.experiments.analysis import validity
from dmmlab.experiments.records import rows
from dmmlab.experiments.records.errors import RunDirectoryError
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rows import ProgramRow
from dmmlab.experiments.records.rundir import RunDirectory, read_csv, write_csv
from dmmlab.experiments.scenario.load import load

NOTEBOOK = Path(__file__).parents[3] / "docs" / "first-look.ipynb"


def test_a_run_becomes_frames_with_numbers_as_numbers(tmp_path: Path) -> None:
    figures_fake.make(load("two-mr"), tmp_path / "one")
    frames = dmmlab.experiments.load(tmp_path / "one")
    assert list(frames.sessions.columns)[:3] == ["run", "session", "method"]
    assert pd.api.types.is_float_dtype(frames.sessions.setup_ms)
    assert pd.api.types.is_float_dtype(frames.probes.rtt_ms)
    p1 = frames.probes[frames.probes.session == "P1"]
    assert p1.rtt_ms.median() == pytest.approx(42, abs=8.1)
    assert set(frames.runs.outcome) == {"ok"}
    assert {"time_s", "source", "event", "fields"} <= set(frames.events.columns)


def test_invalid_runs_are_listed_and_stay_out(tmp_path: Path) -> None:
    for outcome in ("ok", "invalid"):
        figures_fake.make(load("two-mr"), tmp_path / outcome, outcome=outcome)
    frames = dmmlab.experiments.load(tmp_path)
    assert sorted(frames.runs.outcome) == ["invalid", "ok"]
    assert set(frames.sessions.run) == {"ok"}
    assert set(dmmlab.experiments.load(tmp_path, invalid=True).sessions.run) == {"ok", "invalid"}


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="neither a run directory nor a folder of them"):
        dmmlab.experiments.load(tmp_path)


def test_a_table_that_a_run_lacks_is_an_error_unless_it_failed(tmp_path: Path) -> None:
    run = figures_fake.make(load("two-mr"), tmp_path / "one")
    run.signalling.unlink()
    with pytest.raises(RunDirectoryError, match=r"signalling\.csv: not what a run writes"):
        dmmlab.experiments.load(run.root)
    run.finish("failed", "nothing ran")
    frames = dmmlab.experiments.load(run.root, invalid=True)
    assert frames.signalling.empty
    assert "cause" in frames.signalling.columns


def test_of_a_program_that_got_nothing_no_bytes_are_known(tmp_path: Path) -> None:
    run = figures_fake.make(load("two-mr"), tmp_path / "one")
    known = [ProgramRow(session="T", role="server", bytes=5), ProgramRow(session="T", role="client")]
    rows.write(run.programs, ProgramRow, known)
    frames = dmmlab.experiments.load(run.root)
    assert list(frames.programs.bytes.fillna(-1)) == [5, -1]
    assert pd.api.types.is_integer_dtype(frames.programs.bytes)


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = figures_fake.make(load("two-mr"), tmp_path / "two-mr")
    monkeypatch.setenv("DMMLAB_RUN", str(run.root))
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), names)  # what Jupyter does, cell by cell
            assert cell["outputs"] == [], "a notebook is committed without its results"


def problems(run: RunDirectory) -> list[str]:
    return validity.problems(Recording(run))


# -- validity --------------------------------------------------------------------------------------------------------
def test_a_perfect_run_is_valid_and_one_with_wrong_paths_is_not(tmp_path: Path) -> None:
    assert problems(figures_fake.make(load("two-mr"), tmp_path / "good")) == []
    found = problems(figures_fake.make(load("two-mr"), tmp_path / "bad", off_ms=1.0))
    assert [sentence.split(" are ")[0] for sentence in found] == [
        f"paths at the {part} of the run" for part in ("start", "middle", "end")
    ]
    assert "+1.000 ms off what is configured; 0.001 ms are allowed" in found[0]


def test_probes_that_leave_late_make_a_run_invalid(tmp_path: Path) -> None:
    run = figures_fake.make(load("two-mr"), tmp_path / "late")
    rows = read_csv(run.probes)
    late = [{**row, "sent_s": f"{float(row['sent_s']) + 0.003:.9f}"} if row["session"] == "P2" else row for row in rows]
    write_csv(run.probes, list(rows[0]), late)
    assert any("late (p95)" in sentence for sentence in problems(run))
