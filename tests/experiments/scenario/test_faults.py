"""Faults in a scenario file: what is refused, with which sentence; the timeline; what is written is read again."""

from __future__ import annotations

from typing import Any

import pytest

from dmmlab.experiments.scenario.load import ScenarioError, load, parse
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.timeline import FaultBegins, FaultEnds, timeline


def with_faults(*faults: dict[str, Any]) -> Scenario:
    return load("two-mr", {"faults": list(faults)})


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({"crash": "SERVR"}, "entry 1 (crash): SERVR: nothing runs there; known are RESOLVER, DDNS, SERVER"),
        ({"crash": "SERVER", "pause": "DDNS"}, "entry 1: a fault is of one kind, of crash, pause"),
        ({}, "found none"),
        ({"crush": "SERVER"}, "entry 1: crush: unknown key; allowed are at, for, crash"),
        ({"crash": "SERVER", "for": "40s"}, "ends at 41s, after the scenario's duration of 30s"),
        ({"crash": "SERVER", "for": "0s"}, "for: must be greater than 0"),
        ({"crash": "SERVER", "for": "3"}, "for: expected a number with a unit"),
        ({"partition": ["CN1", "MR1"]}, "no link between [CN1, MR1]; known are [radio, MN1]"),
        ({"crash": "SERVER", "way": "in"}, "way goes with partition"),
        ({"partition": ["CN1", "CORE"], "way": "up"}, "way: must be 'out', 'in' or 'both'"),
        ({"impair": {"between": ["CN1", "CORE"]}}, "nothing is impaired; give loss"),
        ({"impair": {"between": ["CN1", "CORE"], "los": "3%"}}, "los: unknown key; allowed are between, way, loss"),
        ({"impair": {"between": ["CN1", "CORE"], "delay": "3ms", "burst": 3}}, "give loss, too"),
        ({"impair": {"between": ["CN1", "CORE"], "loss": "90%", "burst": 2}}, "no gap would be a packet long"),
        ({"dns": "late"}, "dns: must be 'servfail', 'truncated' or 'silent'"),
        ({"disk-full": "DDNS"}, "use disk-full: SERVER"),
        ({"clock-step": "0s"}, "clock-step: must be greater than 0"),
        ({"clock-step": "-2s"}, "clock-step: must not be negative"),
    ],
)
def test_what_cannot_be_is_refused_with_one_sentence(fault: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ScenarioError) as error:
        with_faults({"at": "1s", "for": "3s", **fault})
    assert str(error.value).startswith("two-mr: faults: ") and sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_one_thing_has_one_fault_at_a_time() -> None:
    with pytest.raises(ScenarioError, match="entries 1 and 2 concern the same at one time"):
        with_faults({"at": "1s", "for": "3s", "crash": "MN1"}, {"at": "4s", "for": "1s", "pause": "MN1"})
    with_faults({"at": "1s", "for": "3s", "crash": "MN1"}, {"at": "4001ms", "for": "1s", "pause": "MN1"})
    with pytest.raises(ScenarioError, match="entries 1 and 2 concern the same at one time"):
        with_faults({"at": "1s", "for": "3s", "clock-step": "2s"}, {"at": "2s", "for": "1s", "clock-step": "1h"})


def test_the_timeline_has_both_ends_of_each_and_movement_goes_first() -> None:
    events = timeline(with_faults({"at": "10s", "for": "1500ms", "crash": "SERVER"}))
    mine = [event for event in events if isinstance(event, FaultBegins | FaultEnds)]
    assert [(event.at_s, event.number) for event in mine] == [(10.0, 1), (11.5, 1)]
    assert [type(event).__name__ for event in events if event.at_s == 10.0] == ["Detach", "FaultBegins"]


def test_what_is_written_is_read_again_and_has_only_its_own_kind() -> None:
    impair = {"between": ["MR1", "MR2"], "loss": "30%", "burst": 3}
    scenario = with_faults(
        {"at": "1s", "for": "1s", "impair": impair},
        {"at": "3s", "for": "1s", "partition": ["CN1", "CORE"], "way": "in"},
        {"at": "5s", "for": "1s", "disk-full": "SERVER"},
    )
    written = scenario.model_dump(mode="json", by_alias=True)
    assert parse(written, "again") == scenario
    assert written["faults"][2] == {"at": "5s", "for": "1s", "disk-full": "SERVER"}
    short = scenario.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert parse(short, "again") == scenario


def test_a_way_names_the_direction_from_the_first_end() -> None:
    out, back = {"partition": ["CN1", "CORE"], "way": "out"}, {"partition": ["CN1", "CORE"], "way": "in"}
    faults = with_faults({"at": "1s", "for": "1s", **out}, {"at": "5s", "for": "1s", **back}).faults
    assert [fault.directions for fault in faults] == [(("CN1", "CORE"),), (("CORE", "CN1"),)]
