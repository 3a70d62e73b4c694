"""Many moves of one node leave nothing behind: what the network holds after forty is what it held after ten."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from dmmlab.guest import launch
from dmmlab.machine import isolation

pytestmark = pytest.mark.live

INSIDE = Path(__file__).parents[1] / "support" / "moves_inside.py"
BEFORE, AFTER = "10", "40"  # the node is at the same router then, and has been at all three
KB_A_MOVE = 40  # what a move may leave in the processes' memory: logs of what happened, lines of a few hundred bytes


@pytest.fixture(scope="module")
def found(live_kernel: object) -> dict[str, dict[str, Any]]:
    output, errors = bytearray(), bytearray()
    argv = isolation.argv([sys.executable, str(INSIDE), BEFORE, AFTER])
    status = launch.execute(argv, stdout=output.extend, stderr=errors.extend, time_limit_s=400)
    assert status == 0, errors.decode()
    return dict(json.loads(output.splitlines()[-1]))  # before it, what the runner says of itself


@pytest.mark.parametrize("kind", ["rules", "ports of s1", "processes", "namespaces", "files"])
def test_a_move_leaves_nothing_behind(found: dict[str, dict[str, Any]], kind: str) -> None:
    assert found[AFTER][kind] == found[BEFORE][kind]


def test_what_is_counted_is_there(found: dict[str, dict[str, Any]]) -> None:
    assert all(count > 10 for count in found[BEFORE]["rules"].values())
    assert found[BEFORE]["namespaces"] >= 10


def test_memory_does_not_grow_with_moves(found: dict[str, dict[str, Any]]) -> None:
    grown_kb = sum(found[AFTER]["anonymous_kb"].values()) - sum(found[BEFORE]["anonymous_kb"].values())
    assert grown_kb < KB_A_MOVE * (int(AFTER) - int(BEFORE))
