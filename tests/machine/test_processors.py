"""A processor for each guest."""

from __future__ import annotations

import os

import pytest

from dmmlab.machine import processors


def test_guests_beside_each_other_get_different_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    free = {2_000_001, 2_000_002}  # numbers that no guest of this machine can have
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: free)
    with processors.claimed() as one:
        with processors.claimed() as two:
            assert {one, two} == free
            with processors.claimed() as shared:
                assert shared in free
        with processors.claimed() as again:
            assert again == two


def test_where_there_is_one_processor_there_is_no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    with processors.claimed() as only:
        assert only is None
