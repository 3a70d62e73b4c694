"""Runs that several test modules look at."""

from __future__ import annotations

from collections.abc import Callable

import figures_fake
import pytest

from dmmlab.experiments.figures.base import FigureKind
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.load import load

Make = Callable[..., list[RunDirectory]]


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """The runs of a figure, perfect but for so many ms; made once."""
    made: dict[tuple[str, float], list[RunDirectory]] = {}

    def runs(kind: FigureKind, off_ms: float = 0.0) -> list[RunDirectory]:
        if (kind.id, off_ms) not in made:
            out = tmp_path_factory.mktemp(kind.id)
            made[kind.id, off_ms] = [
                figures_fake.make(scenario, out / figures_fake.folder_of(scenario), off_ms)
                for scenario in kind.scenarios(load)
            ]
        return made[kind.id, off_ms]

    return runs
