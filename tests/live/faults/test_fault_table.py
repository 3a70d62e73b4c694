"""Each row of the table of faults (docs/faults.md), in both families: what goes on, and when all is as it was.

``DMMLAB_FAULTS=all`` (`make test-faults`) runs every row, otherwise a few.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from fault_rows import AT_S, FAMILIES, FEW, FOR_S, METHODS, MOVES_S, ROWS, Row, scenario

from dmmlab.experiments.analysis.distance import Distances
from dmmlab.experiments.figures.base import EXACT_MS
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.runner.run import Progress, run_scenario
from dmmlab.experiments.scenario.load import load
from dmmlab.guest.cache import GuestKernel

pytestmark = pytest.mark.live

HOUR = {"at": f"{MOVES_S + 0.07}s", "for": "4s", "clock-step": "1h"}  # the update of the node's name is under way
CHOSEN = [row for row in ROWS if os.environ.get("DMMLAB_FAULTS") == "all" or row.name in FEW]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("row", CHOSEN, ids=[row.name for row in CHOSEN])
def test_row(live_kernel: GuestKernel, row: Row, family: str, tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(yaml.safe_dump(scenario(row, family)))
    done = run_scenario(load(file), tmp_path / "run", "guest", "virtual", Progress())
    outcome = done.outcome() or {"outcome": "missing"}
    assert outcome["outcome"] == "ok", outcome
    recording = Recording(done)
    began = [event["time_s"] for event in recording.events if event["event"].startswith("fault_")]
    assert began == [AT_S, AT_S + FOR_S]
    wrong = Distances.of([recording]).beyond(EXACT_MS)
    assert not wrong, "\n".join(map(str, wrong[:10]))
    late = [
        (session.spec.name, session.row.outcome)
        for session in recording.sessions
        if session.spec.at_s >= row.recovered_s(session.spec.method) and session.row.outcome != "ok"
    ]
    assert not late, f"not set up as ever after {row.recovers_s} s: {late}"
    for method in METHODS:
        again = [s for s in recording.sessions if s.spec.method == method and s.spec.at_s >= row.recovered_s(method)]
        assert len(again) >= 4, f"too few sessions by {method} after the fault to tell"
    lost = [
        (session.spec.name, session.row.outcome)
        for session in recording.sessions
        if session.spec.method in row.goes_on and AT_S <= session.spec.at_s < AT_S + FOR_S
        if session.row.outcome not in ("ok", "retried")
    ]
    assert not lost, f"not set up meanwhile: {lost}"


def test_an_hour_forward_ends_nothing_that_lasts_less(live_kernel: GuestKernel, tmp_path: Path) -> None:
    """A registration's 300 s, a signature's: neither is over before its time, nor is a session late."""
    file = tmp_path / "scenario.yaml"
    row = Row("an hour forward", {}, METHODS, 3)
    file.write_text(yaml.safe_dump({**scenario(row, "ipv4"), "faults": [HOUR]}))
    done = run_scenario(load(file), tmp_path / "run", "guest", "virtual", Progress())
    recording = Recording(done)
    assert recording.find("runner", "clock_stepped")
    assert not recording.find("server", "expired")
    updates = [event["outcome"] for event in recording.find("MN1", "zone_updated")]
    assert updates == ["ok", "refused", "ok"]
    wrong = Distances.of([recording]).beyond(EXACT_MS)
    assert not wrong, "\n".join(map(str, wrong[:10]))
    lost = [(s.spec.name, s.row.outcome) for s in recording.sessions if s.row.outcome not in ("ok", "retried")]
    assert not lost, f"not set up: {lost}"
