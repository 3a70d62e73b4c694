"""The nodes' permanent IDs: by name, or as a ledger has them, the same in every run that shares it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmmlab.experiments.figures.base import digest
from dmmlab.experiments.scenario.identities import identified, identities, node_id
from dmmlab.experiments.scenario.load import load
from dmmlab.nodes.guid import GuidError, GuidLedger


def test_a_new_ledger_gives_the_names_and_changes_no_digest(tmp_path: Path) -> None:
    scenario = load("two-mr")
    mine = identified(scenario, tmp_path / "guids")
    assert digest(mine) == digest(scenario)
    assert identities(mine) == identities(scenario)
    assert node_id(mine, "MN1") == "mn1.mn.dmm.test"


def test_two_runs_that_share_a_ledger_have_the_same_ids_and_a_taken_label_is_nobody_elses(tmp_path: Path) -> None:
    ledger = GuidLedger(tmp_path / "guids")
    ledger.allocate("somebody@operator.example", "mn1")
    ledger.close()
    first, second = (identified(load("two-mr", {"seed": seed}), tmp_path / "guids") for seed in (1, 2))
    assert identities(first) == identities(second)
    assert node_id(first, "MN1").startswith("mn-") and node_id(first, "CN1") == "cn1.mn.dmm.test"
    assert identities(first)["MN1"]["uuid"] == identities(load("two-mr"))["MN1"]["uuid"]
    again = load("two-mr", first.model_dump(mode="json", by_alias=True))
    assert node_id(again, "MN1") == node_id(first, "MN1")


def test_a_withdrawn_id_is_refused(tmp_path: Path) -> None:
    identified(load("two-mr"), tmp_path / "guids")
    ledger = GuidLedger(tmp_path / "guids")
    ledger.withdraw("MN1@dmm.test")
    ledger.close()
    with pytest.raises(GuidError, match="withdrawn"):
        identified(load("two-mr"), tmp_path / "guids")
