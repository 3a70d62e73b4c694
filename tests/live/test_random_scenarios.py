"""Scenarios drawn at random, and those that were found so: what is measured is the closed form's, to the microsecond.

How many, and from which seed, ``DMMLAB_RANDOM`` and ``DMMLAB_RANDOM_SEED`` say (`make test-random`, docs/testing.md).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from random_scenarios import Novelty, scenarios

from dmmlab.experiments.analysis.distance import Distances
from dmmlab.experiments.figures.base import EXACT_MS
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.runner.run import Progress, run_scenario
from dmmlab.experiments.scenario.load import load
from dmmlab.guest.cache import GuestKernel

pytestmark = pytest.mark.live

MANY = int(os.environ.get("DMMLAB_RANDOM", "4"))
SEED = int(os.environ.get("DMMLAB_RANDOM_SEED", "1"))
FOUND = sorted((Path(__file__).parent / "found").glob("*.yaml"))
novel, failed, held = Novelty(), list[Path](), list[Distances]()


def measured(file: Path, folder: Path) -> Recording:
    """A run of the scenario in ``file``; AssertionError, with the file, if it is not valid or a time is off."""
    done = run_scenario(load(file), folder, "guest", "virtual", Progress())
    outcome = done.outcome() or {"outcome": "missing", "reason": "no outcome"}
    assert outcome["outcome"] == "ok", f"dmmlab run {file}: {outcome['reason']}\n{file.read_text()}"
    recording = Recording(done)
    held.append(Distances.of([recording]))
    wrong = held[-1].beyond(EXACT_MS)
    lines = "\n".join(map(str, wrong[:10]))
    assert not wrong, f"dmmlab run {file}: {len(wrong)} off, the first of them:\n{lines}\n{file.read_text()}"
    return recording


@pytest.fixture(scope="module")
def folder(live_kernel: GuestKernel) -> Iterator[Path]:
    """Where scenarios are kept that fail; and what all others came to is said in the end."""
    kept = Path(os.environ.get("DMMLAB_RANDOM_OUT") or tempfile.mkdtemp(prefix="dmmlab-random-"))
    kept.mkdir(parents=True, exist_ok=True)
    yield kept
    whole = Distances.together(held)
    sys.stdout.write(f"\n{len(held)} scenarios: {whole}\n{whole.kinds}\n")
    if not any(kept.iterdir()):
        kept.rmdir()


@seed(SEED)
@settings(
    max_examples=MANY,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
@given(data=scenarios())
def test_every_time_of_a_random_scenario_is_its_closed_form(folder: Path, data: dict[str, Any]) -> None:
    assume(failed or novel(data))
    mine = Path(tempfile.mkdtemp(dir=folder))
    file = mine / "scenario.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=120))
    try:
        measured(file, mine / "run")
    except AssertionError:
        failed.append(mine)  # hypothesis makes the scenario smaller from here on
        raise
    shutil.rmtree(mine)


@pytest.mark.parametrize("file", FOUND, ids=[file.stem for file in FOUND])
def test_what_was_found_before_holds(live_kernel: GuestKernel, file: Path, tmp_path: Path) -> None:
    recording = measured(file, tmp_path / "run")
    assert all(session.worked for session in recording.sessions if session.spec.entry.name != "E"), file
    if file.stem == "call-before-address":
        assert [session.row.outcome for session in recording.sessions] == ["ok"]
