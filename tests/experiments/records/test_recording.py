"""A run is opened once, whatever is read of it; and one that this version cannot read is refused with the remedy."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from manifests import manifest
from recorded_run import START_NS, Recorded, scenario
from recorded_story import Story

from dmmlab.experiments.analysis import tables
from dmmlab.experiments.ladders.reading import ladders
from dmmlab.experiments.records import pcap, recording, rundir
from dmmlab.experiments.records.errors import RunDirectoryError
from dmmlab.experiments.records.recording import RecordError, Recording
from dmmlab.experiments.records.rundir import FORMAT, RunDirectory
from dmmlab.experiments.report import timeline
from dmmlab.experiments.scenario.load import parse
from dmmlab.experiments.scenario.model import Scenario


def test_each_capture_and_the_scenario_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By everything that is made of a run: tables, judgements, ladders, the report's timeline."""
    read: list[str] = []
    captures = pcap.read

    def capture(file: Path, **how: Any) -> Iterable[pcap.Frame]:
        read.append(file.name)
        return captures(file, **how)

    def scenario(data: dict[str, Any], source: str) -> Scenario:
        read.append("scenario")
        return parse(data, source)

    monkeypatch.setattr(pcap, "read", capture)
    monkeypatch.setattr(recording, "parse", scenario)
    run = Recording(Story(tmp_path / "run").write())
    read.clear()
    tables.reduce(run)
    tables.problems(run)
    assert ladders(run) and timeline.movements(run)
    assert sorted(read) == sorted(set(read)) and {"MN1.pcap", "CN3.pcap", "SERVER.pcap"} <= set(read)


def test_tables_made_of_the_raw_records_are_what_the_recording_then_has(tmp_path: Path) -> None:
    run = Recording(Story(tmp_path / "run").write())
    tables.reduce(run)
    found = {session.spec.name: session.row for session in run.sessions}
    assert found["P1"].setup_ms == pytest.approx(34.0)
    parts_ms = (found["Px.p2p"].lookup_ms, found["Px.p2p"].connect_ms)
    assert found["Px.p2p"].setup_ms == pytest.approx(sum(part_ms or 0.0 for part_ms in parts_ms))
    assert (found["Px.p2p"].serving, found["Px.p2p"].anchor) == ("MR2", "MR2")
    assert found["Px.p2p"].path == "redirect", "all frames of the story come from MR1's access port"
    assert (found["Px.central"].path, found["Px.central"].address) == ("relay", str(run.plan.host("SERVER").address.ip))
    (move,) = run.handovers
    assert (move.detach_s, move.attach_s, move.to_mr) == (10.0, 10.05, "MR2")
    assert len(run.probes["P1"]) == 1 and run.signalling and run.events[0]["time_s"] <= 0


def test_the_later_of_two_servers_counts_also_where_its_number_begins_with_a_smaller_digit(tmp_path: Path) -> None:
    moves = [{"at": "0s", "node": "MN1", "to": "MR1"}, {"at": "9900ms", "node": "MN1", "to": "MR2"}]
    recorded = Recorded(tmp_path / "run", scenario(movement=moves))
    recorded.event("MN1", 9.99, "registered")
    recorded.event("MN1", 10.01, "zone_updated")
    run = Recording(recorded.write())
    tables.reduce(run)
    assert run.handovers[0].registered_s == 10.01
    assert "10.010000000" in run.run.handovers.read_text()


def test_events_have_the_mobile_node_s_name_and_the_order_of_time(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "run", scenario())
    recorded.event("controller", 2.0, "mn_attached", mn=recorded.mac["MN1"])
    recorded.event("MN1", 1.0, "carrier_up")
    run = Recording(recorded.write())
    assert [event["event"] for event in run.logged] == ["scenario_started", "carrier_up", "mn_attached"]
    assert run.find("controller", "mn_attached", mn="MN1")
    assert run.start_ns == START_NS and run.since_start(START_NS + 1) == 1e-9


def test_a_run_that_never_started_says_so(tmp_path: Path) -> None:
    written = Recorded(tmp_path / "run", scenario()).write()
    written.events_of("runner").unlink()
    with pytest.raises(RecordError, match="the scenario never started"):
        tables.reduce(Recording(written))
    assert not written.events.exists()


# -- the format's version --------------------------------------------------------------------------------------------
def a_run(folder: Path, **changes: object) -> RunDirectory:
    run = RunDirectory(folder)
    run.create(manifest(**changes))
    return run


def test_a_newer_format_is_refused_with_file_and_remedy(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", format=FORMAT + 1, name="x")
    with pytest.raises(RunDirectoryError) as refused:
        Recording(run)
    sentence = str(refused.value)
    assert str(run.run_json) in sentence and f"format {FORMAT + 1}" in sentence and "update dmmlab" in sentence


def test_an_older_format_is_converted_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rundir.CONVERTERS, FORMAT - 1, lambda old: {**old, "clock": old["time"]})
    monkeypatch.setitem(rundir.CONVERTERS, FORMAT - 2, lambda old: {**old, "time": "virtual"})
    run = a_run(tmp_path / "run", format=FORMAT - 2, name="x")
    opened = Recording(run).manifest
    assert (opened["clock"], opened["format"]) == ("virtual", FORMAT)
    assert json.loads(run.run_json.read_text())["format"] == FORMAT - 2, "the file stays as it was"


@pytest.mark.parametrize("version", [FORMAT - 1, "one", None])
def test_a_format_that_nobody_ever_wrote_is_refused(tmp_path: Path, version: object) -> None:
    with pytest.raises(RunDirectoryError, match=r"run\.json: format"):
        Recording(a_run(tmp_path / "run", format=version, name="x"))
