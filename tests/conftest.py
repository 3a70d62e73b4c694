"""What several test modules share."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.runner.run import Progress, run_scenario
from dmmlab.experiments.scenario.load import load
from dmmlab.guest.cache import GuestKernel, find_kernel
from dmmlab.guest.errors import GuestError
from dmmlab.machine.events import CHECK

os.environ[CHECK] = "1"  # an event that the catalogue does not have fails the test, in our processes too


@pytest.fixture(scope="session")
def live_kernel() -> GuestKernel:
    """The cached guest kernel; skips with the reason if there is none, fails if DMMLAB_REQUIRE_LIVE=1."""
    try:
        return find_kernel("virtual")
    except GuestError as error:
        if os.environ.get("DMMLAB_REQUIRE_LIVE") == "1":
            pytest.fail(f"DMMLAB_REQUIRE_LIVE=1 and {error}")
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def run(live_kernel: GuestKernel, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunDirectory]:
    """Runs a shipped scenario, with some of its keys replaced, in virtual time; fails if the run is not ok."""

    def start(source: str = "two-mr", folder: str = "", **overrides: Any) -> RunDirectory:
        out = tmp_path_factory.mktemp("run") / folder
        done = run_scenario(load(source, overrides), out, "guest", "virtual", Progress())
        outcome = done.outcome()
        assert outcome is not None
        assert outcome["outcome"] == "ok", outcome["reason"]
        return done

    return start
