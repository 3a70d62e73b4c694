"""Processing times from the records of a run in real time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from manifests import manifest

from benchmarks import costs
from dmmlab.experiments.scenario.load import load

SIGNALLING = """time_s,protocol,source,destination,message,bytes,cause
9.000000000,dhcp,MN1,broadcast,discover,328,MN1
10.130000000,dhcp,MN1,broadcast,discover,328,MN1
10.131000000,openflow,CONTROLLER,s1,flow-mod delete,80,MN1
10.133000000,openflow,s2,CONTROLLER,packet-in,384,MN1
10.135000000,openflow,CONTROLLER,s1,flow-mod add,128,MN1
"""
HANDOVERS = """mn,from_mr,to_mr,detach_s,attach_s
MN1,MR1,MR2,10.000000000,10.050000000
MN1,MR2,MR1,20.000000000,20.050000000
"""


SCENARIO = load("two-mr").model_dump(mode="json", by_alias=True)


def recorded(folder: Path, clock: str) -> Path:
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(manifest(clock=clock, scenario=SCENARIO)))
    (folder / "signalling.csv").write_text(SIGNALLING)
    (folder / "handovers.csv").write_text(HANDOVERS)
    return folder


def test_what_a_run_shows_is_a_block_for_a_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The node asks 80 ms after it has a link, the orders come 2 ms later than 3 ms; the other move shows nothing."""
    assert costs.main([str(recorded(tmp_path / "run", "real")), "--out", str(tmp_path)]) == 0
    block = yaml.safe_load(capsys.readouterr().out)
    (tmp_path / "here.yaml").write_text(yaml.safe_dump({"extends": "two-mr", **block}))
    made = load(tmp_path / "here.yaml").costs
    assert made.node.dhcp is not None and made.node.dhcp.file == pytest.approx((0.08,))
    assert made.controller.packet_in is not None and made.controller.packet_in.file == pytest.approx((0.002,))


def test_in_virtual_time_there_is_nothing_to_see(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert costs.main([str(recorded(tmp_path / "run", "virtual")), "--out", str(tmp_path)]) == 2
    assert "give a run with --clock real" in capsys.readouterr().err
