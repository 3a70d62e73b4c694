"""The fault explorer: a few seeds of two rounds of a scenario, in both families; and what was found so before."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmmlab.experiments.campaigns.places import Here
from dmmlab.experiments.explorer.explore import explore, judge
from dmmlab.experiments.runner.run import Progress, run_scenario
from dmmlab.experiments.scenario.load import load
from dmmlab.guest.cache import GuestKernel

pytestmark = pytest.mark.live

FOUND = sorted((Path(__file__).parent / "found").glob("*.yaml"))
SEEDS = range(1, 3)


@pytest.mark.parametrize("name", ["two-mr", "two-mr-ipv6"])
def test_nothing_breaks_whatever_does(live_kernel: GuestKernel, name: str, tmp_path: Path) -> None:
    explored = list(explore(load(name), SEEDS, tmp_path, "guest", "virtual", Here(1), rounds=2))
    assert [finding.breaks for finding in explored[-1].findings] == []
    assert explored[-1].runs == len(SEEDS) and explored[-1].faults.total() > 0


@pytest.mark.parametrize("file", FOUND, ids=[file.stem for file in FOUND])
def test_what_was_found_before_holds(live_kernel: GuestKernel, file: Path, tmp_path: Path) -> None:
    assert judge(run_scenario(load(file), tmp_path / "run", "guest", "virtual", Progress())) == []
