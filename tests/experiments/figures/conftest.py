"""Runs that several test modules look at."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import figures_fake
import pytest

from dmmlab.experiments.figures.base import FigureKind
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.load import load

Make = Callable[..., list[RunDirectory]]


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """The runs of a figure, perfect but for so many ms; made once."""
    # The same objects each time: they remember their closed forms.
    scenarios = cache(lambda kind: kind.scenarios(load))

    @cache
    def runs(kind: FigureKind, off_ms: float = 0.0) -> list[RunDirectory]:
        out = tmp_path_factory.mktemp(kind.id)
        return [
            figures_fake.make(scenario, out / figures_fake.folder_of(scenario), off_ms) for scenario in scenarios(kind)
        ]

    return runs
