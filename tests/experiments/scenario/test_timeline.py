"""The timeline: what a scenario's movement and sessions come to, in order."""

from __future__ import annotations

from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.timeline import Attach, Detach, ScenarioEnd, SessionEnd, SessionStart, timeline

MOVEMENT = [
    {"at": "10s", "node": "MN1", "to": "MR2", "gap": "50ms"},
    {"at": "0s", "node": "MN1", "to": "MR1", "gap": "1s"},  # of a first attachment the gap means nothing
]


def scenario(**keys: object) -> Scenario:
    return load("two-mr", {"movement": MOVEMENT, "sessions": [], "duration": "20s", **keys})


def test_a_movement_is_a_link_lost_and_a_link_got_and_the_first_is_only_got() -> None:
    assert timeline(scenario()) == (
        Attach(0.0, "MN1", "MR1", None),
        Detach(10.0, "MN1", "MR2"),
        Attach(10.05, "MN1", "MR2", 0.05),
        ScenarioEnd(20.0),
    )


def test_with_an_overlap_the_radios_take_turns() -> None:
    movement = [*MOVEMENT[1:], *({"at": f"{at}s", "node": "MN1", "to": to, "overlap": "1s"} for at, to in
                                 ((5, "MR2"), (10, "MR1")))]  # fmt: skip
    movement.append({"at": "15s", "node": "MN1", "to": "MR2", "gap": "50ms"})
    assert timeline(scenario(movement=movement))[1:] == (
        Attach(5.0, "MN1", "MR2", None, radio=1, overlap_s=1.0),
        Detach(6.0, "MN1", "MR2", radio=0, from_="MR1"),
        Attach(10.0, "MN1", "MR1", None, radio=0, overlap_s=1.0),
        Detach(11.0, "MN1", "MR1", radio=1, from_="MR2"),
        Detach(15.0, "MN1", "MR2"),
        Attach(15.05, "MN1", "MR2", 0.05),
        ScenarioEnd(20.0),
    )


def test_sessions_follow_movement_of_the_same_instant_and_end_where_they_have_a_duration() -> None:
    sessions = [
        {"name": "A", "at": "10s", "from": "CN1", "to": "MN1", "repeat": 2, "every": "5s"},
        {"name": "B", "at": "4s", "from": "CN1", "to": "MN1", "interval": "1s", "duration": "6s"},
    ]
    events = timeline(scenario(sessions=sessions))
    assert [event.at_s for event in events] == [0.0, 4.0, 10.0, 10.0, 10.0, 10.05, 15.0, 20.0]
    assert isinstance(events[2], Detach)
    named = [(type(event), event.session.name) for event in events if isinstance(event, SessionStart | SessionEnd)]
    assert named == [(SessionStart, "B"), (SessionStart, "A.1"), (SessionEnd, "B"), (SessionStart, "A.2")]


def test_two_nodes_that_move_at_once_do_so_in_the_order_of_the_file() -> None:
    links = [*load("two-mr").model_dump(by_alias=True)["links"], {"between": ("radio", "MN2"), "delay": "2ms"}]
    movement = [*MOVEMENT, {"at": "0s", "node": "MN2", "to": "MR1"}, {"at": "10s", "node": "MN2", "to": "MR2"}]
    events = timeline(scenario(links=links, movement=movement))
    assert [getattr(event, "node", "") for event in events] == ["MN1", "MN2", "MN1", "MN2", "MN1", "MN2", ""]
