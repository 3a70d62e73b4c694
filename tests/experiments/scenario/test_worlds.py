"""Generated matrices: how much of one is no plane, and that the seed decides it."""

from __future__ import annotations

import math
from itertools import permutations

import pytest

from dmmlab.experiments.scenario.worlds import MOST_VIOLATIONS, violated, world


@pytest.mark.parametrize("share", [0.0, 0.03, 0.06, MOST_VIOLATIONS])
def test_so_many_triples_violate_the_triangle_inequality(share: float) -> None:
    assert violated(world(40, share, seed=3)) == pytest.approx(share, abs=0.002)


def test_it_is_symmetric_in_whole_microseconds_and_the_seeds() -> None:
    matrix = world(12, 0.05, seed=4)
    assert matrix == world(12, 0.05, seed=4) != world(12, 0.05, seed=5)
    for one in range(12):
        assert matrix[one][one] == 0
        for other in range(one):
            assert matrix[one][other] == matrix[other][one] > 0
            assert round(matrix[one][other], 3) == matrix[one][other]


def test_violations_are_counted_over_ordered_triples_that_have_all_three_ways() -> None:
    """Only from row 0 to row 2, and back, is the way by row 1 the shorter one; row 3 has no way to row 0."""
    nan = math.nan
    matrix: list[list[float]] = [[0, 1, 9, nan], [1, 0, 1, 9], [9, 1, 0, 9], [nan, 9, 9, 0]]
    assert sum(not _missing(triple, matrix) for triple in permutations(range(4), 3)) == 12
    assert violated(matrix) == pytest.approx(2 / 12)


def _missing(triple: tuple[int, ...], matrix: list[list[float]]) -> bool:
    a, b, c = triple
    return any(math.isnan(matrix[i][j]) for i, j in ((a, b), (b, c), (a, c)))
