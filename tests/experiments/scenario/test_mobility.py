"""Itineraries: what a scenario's ``mobility`` comes to, from its seed; and what is refused, with one sentence."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dmmlab.experiments.figures.base import digest
from dmmlab.experiments.runner.run import prepare
from dmmlab.experiments.scenario.load import ScenarioError, load, parse
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sections.movement import Movement

RING = [f"MR{number}" for number in range(1, 7)]
HOME = [{"at": "0s", "node": "MN1", "to": "MR1"}]


def walk(**keys: Any) -> dict[str, Any]:
    return {"nodes": ["MN1"], "model": "random-walk", "residence": {"exponential": "10s"}, **keys}


def data(*mobility: dict[str, Any], nodes: int = 3, links: str = "ring", **keys: Any) -> dict[str, Any]:
    """A scenario with six mobile routers in a ring, or with none joined."""
    joined = [] if links == "none" else list(zip(RING, [*RING[1:], RING[0]], strict=True))
    return {
        "name": "here",
        "mobile_routers": RING,
        "links": [
            *({"between": ["radio", f"MN{number + 1}"], "delay": "2ms"} for number in range(nodes)),
            *({"between": [router, "CORE"], "delay": "5ms"} for router in RING),
            *({"between": list(pair), "delay": "4ms"} for pair in joined),
            {"between": ["CN1", "CORE"], "delay": "10ms"},
            {"between": ["CONTROLLER", "switches"], "delay": "1ms"},
        ],
        "mobility": list(mobility),
        "movement": [{"at": "0s", "node": f"MN{number + 1}", "to": "MR1"} for number in range(nodes)],
        "duration": "10000s",
        "seed": 7,
        **keys,
    }


def scenario(*mobility: dict[str, Any], **keys: Any) -> Scenario:
    return parse(data(*mobility, **keys), "here")


def refused(*mobility: dict[str, Any], source: str = "here", **keys: Any) -> str:
    with pytest.raises(ScenarioError) as error:
        parse(data(*mobility, **keys), source)
    sentence = str(error.value)
    assert "\n" not in sentence
    return sentence.removeprefix(f"{source}: ")


def stays_s(moves: tuple[Movement, ...]) -> list[float]:
    """How long the node is attached, at each router but the last."""
    return [
        after.at - before.at - (before.gap if turn else 0.0) for turn, (before, after) in enumerate(pairwise(moves))
    ]


def test_a_walk_goes_to_neighbours_alone_and_to_each_as_often() -> None:
    moves = scenario(walk()).moves_of("MN1")
    steps = Counter((RING.index(after.to) - RING.index(before.to)) % 6 for before, after in pairwise(moves))
    assert set(steps) == {1, 5}
    assert abs(steps[1] - steps[5]) < 3 * math.sqrt(len(moves)), steps


def test_a_waypoint_is_any_other_router_and_each_as_often() -> None:
    moves = scenario(walk(model="random-waypoint")).moves_of("MN1")
    assert all(before.to != after.to for before, after in pairwise(moves))
    visits = Counter(move.to for move in moves)
    expected = len(moves) / 6
    assert set(visits) == set(RING)
    assert sum((number - expected) ** 2 / expected for number in visits.values()) < 15.1  # chi-squared, 5, 99 %


def test_ping_pong_knows_two_neighbours() -> None:
    places = [move.to for move in scenario(walk(model="ping-pong")).moves_of("MN1")]
    assert set(places[::2]) == {"MR1"}
    assert set(places[1::2]) in ({"MR2"}, {"MR6"})


def test_a_commuter_passes_all_between_home_and_work_and_stays_at_these() -> None:
    moves = scenario(walk(model="commute", residence={"constant": "60s"}, passing="3s"), seed=3).moves_of("MN1")
    places = [move.to for move in moves]
    work = max(places, key=lambda place: min(abs(RING.index(place)), 6 - RING.index(place)))
    for (before, after), stay_s in zip(pairwise(moves), stays_s(moves), strict=True):
        assert (RING.index(after.to) - RING.index(before.to)) % 6 in (1, 5)
        assert stay_s == pytest.approx(60.0 if before.to in ("MR1", work) else 3.0)
    assert places[: 2 * places.index(work) + 1] == [*places[: places.index(work)], *places[places.index(work) :: -1]]


def test_a_commuter_without_links_on_his_way_goes_straight_there() -> None:
    places = [move.to for move in scenario(walk(model="commute"), links="none").moves_of("MN1")]
    assert len(set(places)) == 2


def test_exponential_residence_has_its_mean_and_its_shape() -> None:
    """Kolmogorov and Smirnov: the largest distance from the distribution, at 1 %."""
    stays = sorted(stays_s(scenario(walk()).moves_of("MN1")))
    number = len(stays)
    assert number > 900
    assert sum(stays) / number == pytest.approx(10.0, rel=3 / math.sqrt(number))
    distance = max(abs((turn + 0.5) / number - (1 - math.exp(-stay / 10.0))) for turn, stay in enumerate(stays))
    assert distance < 1.63 / math.sqrt(number)


def test_constant_residence_is_the_time_with_a_link() -> None:
    moves = scenario(walk(residence={"constant": "10s"}, gap="100ms")).moves_of("MN1")
    assert [move.at for move in moves[:4]] == pytest.approx([0.0, 10.0, 20.1, 30.2])


def test_residence_of_a_file_is_each_of_its_durations_as_often(tmp_path: Path) -> None:
    (tmp_path / "stays.csv").write_text("# measured\nresidence_s,share\n2.5,0.5\n20,1\n")
    (tmp_path / "here.yaml").write_text("{}")
    found = parse(data(walk(residence={"file": "stays.csv"})), str(tmp_path / "here.yaml"))
    stays = Counter(round(stay, 6) for stay in stays_s(found.moves_of("MN1")))
    assert set(stays) == {2.5, 20.0}
    assert abs(stays[2.5] - stays[20.0]) < 3 * math.sqrt(sum(stays.values()))


def test_a_node_goes_where_it_goes_whoever_else_there_is() -> None:
    alone = scenario(walk(nodes=["MN2"], **{"from": "5s"})).moves_of("MN2")
    beside = scenario(walk(nodes=["MN1", "MN2", "MN3"], **{"from": "5s"})).moves_of("MN2")
    other_order = scenario(walk(nodes=["MN3"], model="commute"), walk(nodes=["MN2"], **{"from": "5s"})).moves_of("MN2")
    assert alone == beside == other_order


def test_another_seed_is_another_way_and_the_same_seed_the_same() -> None:
    one = scenario(walk())
    assert scenario(walk()).moves == one.moves
    assert scenario(walk(), seed=8).moves != one.moves
    assert one.model_copy(update={"seed": 8}).moves == scenario(walk(), seed=8).moves


def test_what_this_seed_comes_to_is_the_same_for_ever() -> None:
    """Other people's results follow from it."""
    moves = scenario(walk()).moves_of("MN1")[:4]
    assert [(move.at, move.to) for move in moves] == [
        (0.0, "MR1"),
        (0.631825, "MR2"),
        (1.896182, "MR1"),
        (8.249023, "MR6"),
    ]


def test_a_node_that_is_nowhere_yet_begins_somewhere() -> None:
    found = scenario(walk(nodes=["MN1", "MN2", "MN3"], **{"from": "5s"}), movement=[])
    firsts = [found.moves_of(node)[0] for node in ("MN1", "MN2", "MN3")]
    assert [move.at for move in firsts] == [5.0, 5.0, 5.0]


def test_one_model_goes_on_where_another_has_ended() -> None:
    found = scenario(walk(until="100s"), walk(model="ping-pong", **{"from": "100s"}))
    moves = found.moves_of("MN1")
    walked = [move for move in moves if move.at <= 100.0]
    later = {move.to for move in moves if move.at > 100.0}
    assert walked[-1].at + walked[-1].gap <= 100.0
    assert walked[-1].to in later
    assert len(later) == 2


def test_routers_may_be_fewer() -> None:
    assert {move.to for move in scenario(walk(routers=["MR1", "MR2", "MR3"])).moves} == {"MR1", "MR2", "MR3"}


def test_a_trace_is_played_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time_s,node,mr,gap_s\n0,MN1,MR1,\n1.5,MN2,MR2,\n3.25,MN1,MR4,0.2\n7,MN1,MR1,\n")
    source = str(tmp_path / "here.yaml")
    found = parse(data({"trace": "t.csv"}, nodes=2, movement=[]), source)
    assert [(move.at, move.node, move.to, move.gap) for move in found.moves] == [
        (0.0, "MN1", "MR1", 0.05),
        (1.5, "MN2", "MR2", 0.05),
        (3.25, "MN1", "MR4", 0.2),
        (7.0, "MN1", "MR1", 0.05),
    ]


def test_models_and_traces_make_before_they_break_if_they_say_so(tmp_path: Path) -> None:
    moves = scenario(walk(residence={"constant": "10s"}, overlap="200ms")).moves_of("MN1")[:3]
    assert [(move.at, move.overlap) for move in moves] == [(0.0, None), (10.0, 0.2), (20.2, 0.2)]
    rows = "0,MN1,MR1,,\n3,MN1,MR2,,0.3\n7,MN1,MR1,0.1,\n"
    (tmp_path / "t.csv").write_text(f"time_s,node,mr,gap_s,overlap_s\n{rows}")
    found = parse(data({"trace": "t.csv"}, nodes=1, movement=[]), str(tmp_path / "here.yaml"))
    assert [(move.gap, move.overlap) for move in found.moves] == [(0.05, None), (0.0, 0.3), (0.1, None)]
    assert parse(found.resolved().model_dump(mode="json", by_alias=True), "run.json").moves == found.moves
    assert refused(walk(gap="1s", overlap="1s")) == (
        "mobility: entry 1: gap and overlap exclude each other: give one of them"
    )


def test_files_are_looked_for_beside_the_scenario_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "stays.csv").write_text("3\n")
    base = "{extends: two-mr, name: base, mobility: [{nodes: [MN1], model: ping-pong, residence: {file: stays.csv}}]}"
    (tmp_path / "below" / "base.yaml").write_text(base)
    (tmp_path / "mine.yaml").write_text("{extends: below/base.yaml, name: mine, movement: []}")
    assert len(load(tmp_path / "mine.yaml").moves) == 1 + 9


def test_the_record_has_the_movement_and_means_the_same_run() -> None:
    drawn = scenario(walk())
    record = parse(drawn.resolved().model_dump(mode="json", by_alias=True), "run.json")
    assert record.movement == record.moves == drawn.moves
    assert record.mobility == ()
    assert digest(record) == digest(drawn)
    assert digest(drawn) != digest(drawn.model_copy(update={"seed": 8}))


def test_a_scenario_without_mobility_is_what_it_was() -> None:
    found = load("two-mr")
    assert found.moves is found.movement
    assert found.resolved() is found


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (walk(nodes=["MN9"]), "mobility: entry 1 (random-walk): unknown mobile node MN9; known are MN1, MN2, MN3"),
        (
            walk(model="levy"),
            "mobility: entry 1: model: unknown model 'levy'; "
            "known are random-walk, random-waypoint, ping-pong, commute",
        ),
        (
            walk(routers=["MR1", "MR3"]),
            "mobility: entry 1 (random-walk): no inter-MR link leads away from MR1; "
            "add one, or leave it out of routers",
        ),
        (
            walk(routers=["MR2", "MR3"]),
            "mobility: entry 1 (random-walk): MN1 is at MR1 when it begins, which is none of its routers",
        ),
        (
            walk(residence={"constant": "1s", "exponential": "1s"}),
            "mobility: entry 1: residence: give one of constant, exponential, file, such as {exponential: 10s}",
        ),
        (walk(residence={"constant": "0s"}), "mobility: entry 1: residence: must be longer than 0"),
        (walk(residence=None), "mobility: entry 1: give nodes, model and residence, or a trace"),
        (walk(until="0s"), "mobility: entry 1: until 0s is not after from 0s"),
        (
            walk(residence={"uniform": "1s"}),
            "mobility: entry 1: residence: uniform: unknown key; allowed are constant, exponential, file",
        ),
    ],
)
def test_what_cannot_be_walked_is_refused(entry: dict[str, Any], sentence: str) -> None:
    assert refused(entry) == sentence


def test_nobody_is_in_two_places() -> None:
    assert refused(walk(), walk(model="commute", **{"from": "50s"})) == (
        "mobility: entry 2 (commute): MN1 is moved by entry 1 until 10000s; let this one begin then, with from"
    )
    late = [*HOME, {"at": "30s", "node": "MN1", "to": "MR2"}]
    assert refused(walk(), nodes=1, movement=late) == (
        "mobility: entry 1 (random-walk): the movement of MN1 at 30s is written as well; "
        "written are movements before from alone"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no residence times; give one a line, in seconds"),
        ("residence_s\n", "has no residence times; give one a line, in seconds"),
        ("3\n-1\n", "line 2: '-1' is no residence time; give seconds, more than 0"),
        ("3\nnan\n", "line 2: 'nan' is no residence time; give seconds, more than 0"),
        (None, "cannot be read: [Errno 2] No such file or directory: "),
    ],
)
def test_a_residence_file_that_is_none_is_refused(tmp_path: Path, text: str | None, sentence: str) -> None:
    if text is not None:
        (tmp_path / "r.csv").write_text(text)
    said = refused(walk(residence={"file": "r.csv"}), source=str(tmp_path / "here.yaml"))
    assert said.startswith(f"mobility: entry 1: residence: file r.csv: {sentence}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "time_s,node,mr\n0,MN1,MR1\n3,MN1,MR2\n2,MN1,MR1\n",
            ": trace t.csv: line 4: goes back in time, from 3 s to 2 s; order the lines by time_s, from 0 on",
        ),
        ("time_s,node,mr\n0,MN7,MR1\n", ": unknown mobile node MN7; known are MN1"),
        ("time_s,node,mr\n0,MN1,MR9\n", f": unknown mobile router MR9; known are {', '.join(RING)}"),
        (
            "time_s,node\n0,MN1\n",
            ": trace t.csv: its head is 'time_s,node'; the columns of a trace are time_s,node,mr[,gap_s][,overlap_s]",
        ),
        ("time_s,node,mr\n0,MN1\n", ": trace t.csv: line 2: has 2 columns of 3"),
        ("time_s,node,mr\nsoon,MN1,MR1\n", ": trace t.csv: line 2: time_s 'soon' is no number of seconds"),
        ("time_s,node,mr,gap_s\n0,MN1,MR1,-1\n", ": trace t.csv: line 2: gap_s '-1' is no number of seconds"),
        ("time_s,node,mr\n", ": trace t.csv: has no rows below its head"),
    ],
)
def test_a_trace_that_is_none_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    said = refused({"trace": "t.csv"}, nodes=1, movement=[], source=str(tmp_path / "here.yaml"))
    assert said == f"mobility: entry 1{sentence}"


def test_a_run_s_record_has_the_movement_and_says_what_it_came_from(tmp_path: Path) -> None:
    entry = walk(until="60s")
    drawn = scenario(entry)
    manifest = prepare(drawn, tmp_path / "run", "native", "real").manifest()
    assert parse(manifest["scenario"], "run.json").movement == drawn.moves
    assert manifest["mobility"] == [entry]
    assert "mobility" not in prepare(load("two-mr"), tmp_path / "plain", "native", "real").manifest()
