"""Counts of rules: the general count against the two lines that it makes in a full mesh."""

from __future__ import annotations

import pytest

from dmmlab.experiments.figures import FIGURES
from dmmlab.experiments.oracle import rules
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.model import Scenario


@pytest.mark.parametrize("scenario", FIGURES["F12"].scenarios(load), ids=lambda scenario: scenario.name)
def test_the_lines(scenario: Scenario) -> None:
    nodes, routers = len(scenario.mobile_nodes), len(scenario.mobile_routers)
    assert rules.entries(scenario) == 2 * routers * (routers + 2) + nodes * (13 * routers - 11)
    assert rules.flow_mods_in_all(scenario) == nodes * (routers - 1) * (9.5 * routers - 4)
    assert rules.flow_mods(scenario, 3) == 19 * 3 - 4
    assert rules.packet_ins(scenario) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"redirect": False},
        {"addresses": {"keep": "1s"}},
        {"movement": [{"at": f"{10 * turn}s", "node": "MN1", "to": f"MR{turn % 2 + 1}"} for turn in range(3)]},
    ],
    ids=["no redirect", "released", "comes back"],
)
def test_elsewhere_there_is_no_closed_form(change: dict[str, object]) -> None:
    scenario = load("two-mr", change)
    assert rules.entries(scenario) is None
    assert rules.flow_mods_in_all(scenario) is None
