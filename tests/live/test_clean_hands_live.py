"""Labs beside a network of somebody else's, with the same names and addresses: untouched, whatever becomes of the labs.

``DMMLAB_KILLS`` says how often one is killed, at random instants (docs/testing.md).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from dmmlab.guest import launch

pytestmark = pytest.mark.live

INSIDE = Path(__file__).parents[1] / "support" / "foreign_inside.py"
KILLS = int(os.environ.get("DMMLAB_KILLS", "4"))
SEED = os.environ.get("DMMLAB_KILLS_SEED", "1")


@pytest.fixture(scope="module")
def found(live_kernel: object, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("labs")
    output, errors = bytearray(), bytearray()
    argv = [sys.executable, str(INSIDE), str(folder), str(KILLS), SEED]
    how: dict[str, Any] = {"writable": [folder], "services": True, "stdout": output.extend, "stderr": errors.extend}
    status = launch.execute(argv, time_limit_s=60 + 30 * KILLS, **how)
    assert status == 0, errors.decode()
    return dict(json.loads(output.splitlines()[-1]))


def test_what_is_somebody_elses_is_untouched_during_and_after_labs_and_kills(found: dict[str, Any]) -> None:
    assert found["kills"] == KILLS
    assert found["before"]["reached"] == found["before"]["mininet"] == 1 and "foreign1" in found["before"]["namespaces"]
    assert found["changed"] == []


def test_nothing_of_a_killed_lab_runs_on(found: dict[str, Any]) -> None:
    assert found["left running"] == 0


def test_two_labs_at_once_end_well_and_the_next_removes_what_killed_ones_left(found: dict[str, Any]) -> None:
    assert found["two at once"] == [0, 0]
    assert found["left in the end"] == []
