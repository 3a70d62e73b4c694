"""The same bytes twice, and with other processor features, more memory and no byte code; `make exact` goes further.

The scenarios are those of ``tests/exact/``. A leak that is put in on purpose must be found, or all this says nothing.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from dmmlab.experiments.campaigns import compare
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.guest.cache import GuestKernel

pytestmark = pytest.mark.live
HERE = Path(__file__).resolve().parents[1] / "exact"


def _script() -> ModuleType:
    found = importlib.util.spec_from_file_location("exact", HERE / "exact.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


exact = _script()
SCENARIOS = [str(HERE / "crowd.yaml"), str(HERE / "lossy.yaml")]


@pytest.fixture(scope="module", params=SCENARIOS, ids=lambda source: Path(source).stem)
def first(request: pytest.FixtureRequest, live_kernel: GuestKernel, tmp_path_factory: pytest.TempPathFactory) -> object:
    source = str(request.param)
    return source, exact.carry_out(source, tmp_path_factory.mktemp("first"), {})


def test_two_runs_are_the_same_to_the_byte(first: tuple[str, RunDirectory], tmp_path: Path) -> None:
    source, reference = first
    again = exact.carry_out(source, tmp_path / "several" / "steps" / "further" / "down", {})
    assert len(reference.records()) > 40
    assert compare.differing(again, reference) == []
    assert again.imprint() == reference.imprint()


def test_another_machine_changes_nothing(first: tuple[str, RunDirectory], tmp_path: Path) -> None:
    source, reference = first
    masked = exact.carry_out(source, tmp_path, exact.MASKED)
    assert compare.differing(masked, reference) == []


def test_no_task_has_moved_time_by_its_work(first: tuple[str, RunDirectory]) -> None:
    """And none has come near it: the limits are 100,000 calls in vain, and a million of any kind."""
    clock = first[1].manifest()["exact_clock"]
    assert clock["spins"] == 0
    assert 0 < clock["most_in_vain"] < 50_000
    assert 0 < clock["most_calls"] < 500_000


def test_a_leak_of_work_into_time_is_found(first: tuple[str, RunDirectory], tmp_path: Path) -> None:
    source, reference = first
    leaking = exact.carry_out(source, tmp_path, exact.LEAK)
    assert any(name.startswith("capture/") for name in compare.differing(leaking, reference))
    assert leaking.imprint() != reference.imprint()
