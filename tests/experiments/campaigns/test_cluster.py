"""Runs on a Dask cluster: who gets them, who is refused, what is lost and repeated. Its workers are threads here, and a
run is a perfect laboratory's (`figures_fake`); tests/cluster kills real ones with guests.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import figures_fake
import pytest

from dmmlab.experiments.campaigns import campaign, cluster, worker
from dmmlab.experiments.campaigns.cluster import OnCluster
from dmmlab.experiments.campaigns.places import Done, Job, PlaceError, Tell
from dmmlab.experiments.campaigns.program import program
from dmmlab.experiments.cli.campaign import place
from dmmlab.experiments.figures import FIGURES
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.guest.errors import NoKernelError

distributed = pytest.importorskip("distributed", reason="Dask is not installed: make setup-tests")
pytestmark = pytest.mark.filterwarnings("ignore")  # Dask's own

BASELINE = {"dmmlab": "1", "packages": {"scapy": "2.8"}}


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of two workers, "0" and "1", with one thread each, that fit."""
    monkeypatch.setattr(worker, "baseline", lambda _clock: BASELINE)
    monkeypatch.setattr(worker, "perform", perform)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp"
    ) as made:
        yield made


def perform(job: Job, tell: Tell) -> Done:
    """A run that was perfect."""
    tell(job.folder, "playing", 0.5)
    figures_fake.make(job.scenario, job.folder)
    return Done(job, 1.0, {"playing": 1.0})


def jobs(out: Path) -> list[Job]:
    return [
        Job(one.scenario.model_copy(update={"seed": seed}), out / f"{seed}", "guest", "virtual", {"program": program()})
        for one in campaign.plan([FIGURES["F3"]])
        for seed in range(4)
    ]


def name() -> Any:
    return distributed.get_worker().name


def carried_out(local: Any, work: list[Job], **how: Any) -> tuple[list[Done], list[str]]:
    said: list[str] = []
    with closing(OnCluster(local.scheduler_address, said.append, **how).carry_out(work)) as ended:
        return list(ended), said


def complete(work: list[Job]) -> list[bool]:
    return [(RunDirectory(job.folder).outcome() or {}).get("outcome") == "ok" for job in work]


def test_every_run_comes_back_once_and_whole(local: Any, tmp_path: Path) -> None:
    work, phases = jobs(tmp_path / "there"), []
    carried = OnCluster(local.scheduler_address, pytest.fail).carry_out(work, lambda *word: phases.append(word))
    with closing(carried) as ended:
        done = list(ended)
    assert sorted(one.job.folder for one in done) == sorted(job.folder for job in work)
    assert [one.error for one in done] == [None] * 4
    assert done[0].spent_s == {"playing": 1.0}
    for job in work:
        here = figures_fake.make(job.scenario, tmp_path / "here" / job.folder.name)
        assert RunDirectory(job.folder).imprint() == here.imprint()
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["0", "1", "2", "3"]
    assert {phase for _, phase, _ in phases} == {"playing"}


def test_a_worker_that_is_unlike_is_refused_and_its_runs_go_elsewhere(
    local: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []

    def baseline(_clock: str) -> dict[str, Any]:
        return {**BASELINE, "packages": {"scapy": "2.5"}} if on_worker() and name() == 1 else BASELINE

    def noting(job: Job, tell: Tell) -> Done:
        ran.append(name())
        return perform(job, tell)

    monkeypatch.setattr(worker, "baseline", baseline)
    monkeypatch.setattr(worker, "perform", noting)
    work = jobs(tmp_path)
    done, said = carried_out(local, work)
    assert len(done) == 4 and all(complete(work))
    assert ran == [0] * 4
    assert len(said) == 1
    assert said[0].endswith("is refused: packages.scapy: 2.8 here, 2.5 there")


def on_worker() -> bool:
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        (lambda: {**BASELINE, "dmmlab": "2"}, "dmmlab: 1 here, 2 there"),
        (lambda: (_ for _ in ()).throw(NoKernelError("no guest kernel has been built")), "no guest kernel"),
    ],
)
def test_if_nobody_fits_the_reason_is_said_and_nothing_is_run(
    local: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: Callable[[], Any], words: str
) -> None:
    monkeypatch.setattr(worker, "baseline", lambda _clock: theirs() if on_worker() else BASELINE)
    monkeypatch.setattr(worker, "perform", lambda *_: pytest.fail("was run"))
    with pytest.raises(PlaceError, match="no worker fits") as error:
        carried_out(local, jobs(tmp_path), patience_s=0)
    assert str(error.value).count(words) == 2
    assert list(tmp_path.iterdir()) == []


def test_what_a_lost_worker_had_begun_is_repeated_and_counted_once(
    local: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, over = threading.Event(), threading.Event()

    def stuck_on_one(job: Job, tell: Tell) -> Done:
        if name() == 1:
            begun.set()
            over.wait(60)
        return perform(job, tell)

    def lose() -> None:
        assert begun.wait(60)
        local.sync(local.scheduler.remove_worker, address=local.workers[1].address, stimulus_id="a test")

    monkeypatch.setattr(worker, "perform", stuck_on_one)
    loser = threading.Thread(target=lose)
    loser.start()
    work = jobs(tmp_path)
    done, said = carried_out(local, work)
    over.set()
    loser.join()
    assert sorted(one.job.folder for one in done) == sorted(job.folder for job in work)
    assert all(complete(work))
    assert sum("was lost" in sentence for sentence in said) == 1


def test_a_worker_whose_machine_cannot_gets_no_more(
    local: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(job: Job, tell: Tell) -> Done:
        return Done(job, 0.0, {}, OSError("No space left on device")) if name() == 1 else perform(job, tell)

    monkeypatch.setattr(worker, "perform", full)
    work = jobs(tmp_path)
    done, said = carried_out(local, work)
    assert len(done) == 4 and all(complete(work))
    assert len(said) == 1 and "No space left on device" in said[0]


def test_a_worker_that_sends_half_a_run_gets_no_more(
    local: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(job: Job, tell: Tell) -> Done:
        done = perform(job, tell)
        if name() == 1:
            RunDirectory(job.folder).outcome_json.unlink()
        return done

    monkeypatch.setattr(worker, "perform", half)
    work = jobs(tmp_path)
    done, said = carried_out(local, work)
    assert len(done) == 4 and all(complete(work))
    assert len(said) == 1 and "it has no outcome" in said[0]


def test_a_run_that_breaks_the_program_is_a_failed_run(
    local: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "perform", lambda job, _tell: Done(job, 0.0, {}, KeyError("address")))
    work = jobs(tmp_path)[:1]
    (done,), _ = carried_out(local, work)
    assert done.error is None
    assert RunDirectory(work[0].folder).outcome() == {"outcome": "failed", "reason": "KeyError: 'address'"}


def test_who_stops_listening_keeps_what_is_complete(local: Any, tmp_path: Path) -> None:
    work = jobs(tmp_path)
    with closing(OnCluster(local.scheduler_address, pytest.fail).carry_out(work)) as ended:
        first = next(ended)
    assert complete([first.job]) == [True]
    assert not (tmp_path / ".arriving").exists()


def test_without_a_scheduler_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "baseline", lambda _clock: BASELINE)
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        with pytest.raises(PlaceError, match="no Dask scheduler answers"):
            list(OnCluster(address, pytest.fail).carry_out(jobs(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_a_scheduler_that_is_lost_is_a_sentence(local: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = jobs(tmp_path)
    with (
        closing(OnCluster(local.scheduler_address, lambda _said: None).carry_out(work)) as ended,
        pytest.raises(PlaceError, match=r"was lost: start it and its workers again"),
    ):
        first = next(ended)
        local.close()
        list(ended)
    assert complete([first.job]) == [True]


def test_without_dask_the_remedy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "baseline", lambda _clock: BASELINE)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(PlaceError, match="pip install"):
        list(OnCluster("tcp://127.0.0.1:1", pytest.fail).carry_out(jobs(tmp_path)))


def test_native_runs_stay_here() -> None:
    with pytest.raises(click.UsageError, match="no root"):
        place(1, "tcp://127.0.0.1:1", "native")


def test_no_worker_at_all_is_a_sentence(local: Any, tmp_path: Path) -> None:
    local.scale(0)
    local.sync(local._correct_state)
    with pytest.raises(PlaceError, match="has no worker: `dask worker"):
        carried_out(local, jobs(tmp_path), patience_s=0)
