"""Runs beside each other on this machine: the same bytes, and ended together by Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import interruptible
import pytest

from dmmlab.experiments.campaigns import places
from dmmlab.experiments.campaigns.places import MADE_BY, Here, Job, perform
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.load import load
from dmmlab.guest.cache import GuestKernel

SHORT = Path(__file__).resolve().parents[2] / "cluster" / "short.yaml"


def jobs(out: Path, seeds: tuple[int, ...]) -> list[Job]:
    return [Job(load(str(SHORT), {"seed": seed}), out / str(seed), "guest", "virtual") for seed in seeds]


def test_what_goes_wrong_is_handed_back_with_its_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("address")

    monkeypatch.setattr(places, "run_scenario", broken)
    done = list(Here(1).carry_out(jobs(tmp_path, (1, 2))))
    assert [(one.job.folder.name, str(one.error)) for one in done] == [("1", "'address'"), ("2", "'address'")]


def test_an_older_outcome_is_gone_before_the_program_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a run that is killed at its start would be taken for complete."""
    folder = tmp_path / "run"
    folder.mkdir()
    RunDirectory(folder).finish("ok")

    def killed(path: Path, _value: object) -> None:
        assert path.name == MADE_BY
        assert RunDirectory(folder).outcome() is None
        raise KeyboardInterrupt

    monkeypatch.setattr(places, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        perform(Job(load("two-mr"), folder, "guest", "virtual", {"program": "1"}))


@pytest.mark.live
def test_beside_each_other_they_leave_the_same_bytes(live_kernel: GuestKernel, tmp_path: Path) -> None:
    heard = []
    with closing(Here(2).carry_out(jobs(tmp_path, (1, 2)), lambda *word: heard.append(word))) as ended:
        assert [one.error for one in ended] == [None, None]
    (alone,) = Here(1).carry_out(jobs(tmp_path / "alone", (1,)))
    beside = [RunDirectory(tmp_path / name) for name in ("1", "2")]
    assert RunDirectory(alone.job.folder).imprint() == beside[0].imprint() != beside[1].imprint()
    for folder in ("1", "2"):
        assert next(phase for where, phase, _ in heard if where.name == folder) == "start"
    at = [where.name for where, phase, _ in heard if phase in ("boot", "records")]
    assert set(at[:2]) == {"1", "2"}, "the second boots before the first has its records"


@pytest.mark.live
def test_ctrl_c_ends_all_of_them_with_a_sentence(live_kernel: GuestKernel, tmp_path: Path) -> None:
    """It is the command alone that hears it here, not its process group."""
    command = [sys.executable, "-m", "dmmlab.experiments.cli.main", "run", str(SHORT), "--repeat", "4", "--jobs", "2"]
    with interruptible.started([*command, "--out", str(tmp_path)], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        watchdog = threading.Timer(300, process.kill)
        watchdog.start()
        for line in process.stderr:
            if "network" in line:
                break
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()  # until all who could write to it have ended
        watchdog.cancel()
        assert process.wait(timeout=60) == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert [run.outcome() for run in map(RunDirectory, tmp_path.iterdir())] == [None, None]
