"""Where straight lines cross, and what is none."""

from __future__ import annotations

import pytest

from dmmlab.experiments.oracle.crossings import solve


def test_lines_cross_between_points_and_at_one() -> None:
    lines = {"flat": [(1, 88), (5, 88), (80, 88)], "steep": [(1, 72), (5, 88), (80, 388)], "slow": [(1, 56), (80, 214)]}
    found = [(round(one.at_ms, 9), one.before, one.after) for one in solve(lines)]
    assert found == [(5, "steep", "flat"), (17, "slow", "flat")]


def test_parallels_and_what_lies_beyond_the_distances_do_not_cross() -> None:
    assert solve({"one": [(1, 10), (2, 12)], "two": [(1, 20), (2, 22)], "three": [(1, 30), (2, 29)]}) == []


def test_what_is_bent_is_refused() -> None:
    with pytest.raises(ValueError, match="the closed form of one is no straight line"):
        solve({"one": [(1, 10), (2, 12), (3, 15)], "two": [(1, 20), (2, 22)]})
