"""A ``run.json`` with every key that a run writes, for tests of what reads one."""

from __future__ import annotations

from typing import Any

from dmmlab.experiments.records.rundir import FORMAT


def manifest(**changes: Any) -> dict[str, Any]:
    """That of a run without a scenario in the guest's virtual time; the keys in ``changes`` take their places."""
    whole: dict[str, Any] = {
        "format": FORMAT,
        "name": "x",
        "seed": 1,
        "runtime": "guest",
        "clock": "virtual",
        "environment": {},
        "scenario": {},
    }
    return whole | changes
