"""From SUMO's floating car data to a trace, and the outlines of scenarios."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from dmmlab.experiments.cli.main import cli
from dmmlab.experiments.scenario.joinings import JOININGS
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.mobility.sumo import Router, Rule, TraceError, convert, routers

PLACES = [Router("MR1", 0.0, 0.0), Router("MR2", 100.0, 0.0)]


def fcd(folder: Path, *steps: tuple[float, dict[str, float]]) -> Path:
    """Floating car data of who is where on the line y = 0, step by step."""
    words = ['<?xml version="1.0"?><fcd-export>']
    for time_s, positions in steps:
        movers = (f'<vehicle id="{name}" x="{x}" y="0.00" speed="1"/>' for name, x in positions.items())
        words.append(f'<timestep time="{time_s:.2f}">{"".join(movers)}</timestep>')
    (folder / "fcd.xml").write_text("".join([*words, "</fcd-export>"]))
    return folder / "fcd.xml"


def moved(path: Path, rule: Rule) -> list[tuple[float, str, str]]:
    return [(leg.at_s, leg.node, leg.to) for leg in convert(path, PLACES, rule).legs]


def test_a_node_begins_at_the_nearest_router_and_leaves_when_another_is_nearer_by_more(tmp_path: Path) -> None:
    there = fcd(tmp_path, *((float(x), {"a": float(x)}) for x in range(0, 101, 5)))
    assert moved(there, Rule(hysteresis_m=0.0)) == [(0.0, "MN1", "MR1"), (55.0, "MN1", "MR2")]
    assert moved(there, Rule(hysteresis_m=20.0)) == [(0.0, "MN1", "MR1"), (65.0, "MN1", "MR2")]


def test_who_winds_his_way_between_two_is_not_handed_to_and_fro(tmp_path: Path) -> None:
    winding = fcd(tmp_path, *((float(turn), {"a": 50.0 + (9 if turn % 2 else -9)}) for turn in range(20)))
    assert len(moved(winding, Rule(hysteresis_m=20.0))) == 1
    assert len(moved(winding, Rule(hysteresis_m=5.0, least_stay_s=0.0))) == 20
    stays = [after[0] - before[0] for before, after in pairwise(moved(winding, Rule(5.0, least_stay_s=3.0)))]
    assert min(stays) >= 3.0


def test_a_window_has_its_own_zero_and_the_first_nodes_in_it(tmp_path: Path) -> None:
    found = fcd(tmp_path, (1.0, {"x": 0.0}), (2.0, {"b": 90.0}), (3.0, {"b": 0.0, "c": 0.0}), (9.0, {"b": 90.0}))
    converted = convert(found, PLACES, Rule(from_s=2.0, until_s=5.0, most=1))
    assert [tuple(leg)[:3] for leg in converted.legs] == [(0.0, "MN1", "MR2")]
    converted = convert(found, PLACES, Rule(from_s=2.0, until_s=5.0, least_stay_s=0.5))
    assert [tuple(leg)[:3] for leg in converted.legs] == [(0.0, "MN1", "MR2"), (1.0, "MN1", "MR1"), (1.0, "MN2", "MR1")]
    assert converted.names == {"MN1": "b", "MN2": "c"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("not xml", "no floating car data of SUMO: syntax error: line 1, column 0"),
        ("<routes/>", "no vehicle or person is anywhere in the time that was asked for"),
        (
            '<fcd-export><timestep time="0"><vehicle id="a"/></timestep></fcd-export>',
            "no floating car data of SUMO: somebody or a time step lacks 'x'",
        ),
    ],
)
def test_what_is_no_floating_car_data_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "fcd.xml").write_text(text)
    with pytest.raises(TraceError) as error:
        convert(tmp_path / "fcd.xml", PLACES, Rule())
    assert str(error.value) == f"{tmp_path}/fcd.xml: {sentence}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no positions of mobile routers; the columns are mr,x_m,y_m, under a head"),
        ("mr,x_m,y_m\n", "no positions of mobile routers below the head"),
        ("mr,x_m,y_m\nMR1,0,north\n", "router 1: 'MR1,0,north' is no name and two numbers"),
        ("mr,x_m,y_m\nMR1,0,0\nMR1,1,1\n", "router 2: MR1 is there twice"),
    ],
)
def test_what_are_no_positions_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(TraceError) as error:
        routers(tmp_path / "p.csv")
    assert str(error.value) == f"{tmp_path}/p.csv: {sentence}"


def said(*words: str) -> str:
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_trace_of_floating_car_data_becomes_a_scenario(tmp_path: Path) -> None:
    """As the documentation has it: convert, print a scenario around it, load that."""
    data = fcd(tmp_path, (0.0, {"a": 0.0}), (4.0, {"a": 90.0, "b": 95.0}), (8.0, {"b": 1.0}))
    (tmp_path / "positions.csv").write_text("mr,x_m,y_m\nMR1,0,0\nMR2,100,0\n")
    moves, names = tmp_path / "moves.csv", tmp_path / "names.csv"
    words = ("--routers", str(tmp_path / "positions.csv"), "--out", str(moves), "--names", str(names), "--gap", "0.1")
    said("trace", "sumo", str(data), *words)
    assert names.read_text() == "node,id\nMN1,a\nMN2,b\n"
    (tmp_path / "city.yaml").write_text(said("new", "city", "--trace", str(moves), "--join", "none"))
    scenario = load(tmp_path / "city.yaml")
    assert [(move.at, move.node, move.to, move.gap) for move in scenario.moves] == [
        (0.0, "MN1", "MR1", 0.1),
        (4.0, "MN1", "MR2", 0.1),
        (4.0, "MN2", "MR2", 0.1),
        (8.0, "MN2", "MR1", 0.1),
    ]
    assert [(session.to, session.at) for session in scenario.sessions] == [("MN1", 1.0), ("MN2", 5.0)]
    assert (scenario.transit, scenario.duration) == ("shortest", 10.0)


@pytest.mark.parametrize("join", JOININGS)
def test_an_outline_loads_with_as_many_links_as_its_joining_has(tmp_path: Path, join: str) -> None:
    text = said("new", "mine", "--join", join, "--routers", "5", "--nodes", "3", "--family", "ipv6")
    (tmp_path / "mine.yaml").write_text(text)
    scenario = load(tmp_path / "mine.yaml")
    joined = sum(map(len, scenario.inter_mr_links.values())) // 2
    assert joined == {"line": 4, "ring": 5, "star": 4, "mesh": 10, "none": 0}[join]
    assert (len(scenario.mobile_nodes), scenario.family) == (3, "ipv6")
    assert len(scenario.moves) > 3


def test_what_a_scenario_s_models_come_to_can_be_written_and_played(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(said("new", "mine", "--routers", "6", "--nodes", "4"))
    said("trace", "expand", str(tmp_path / "mine.yaml"), "--out", str(tmp_path / "moves.csv"))
    (tmp_path / "again.yaml").write_text("{extends: mine.yaml, name: again, mobility: [{trace: moves.csv}]}")
    assert load(tmp_path / "again.yaml").moves == load(tmp_path / "mine.yaml").moves


def test_sumo_itself_makes_a_trace(tmp_path: Path) -> None:
    """A grid of streets and thirty cars, by the simulator from PyPI (extra ``sumo``)."""
    if find_spec("sumo") is None:
        if os.environ.get("DMMLAB_REQUIRE_SUMO") == "1":
            pytest.fail("DMMLAB_REQUIRE_SUMO=1 and the package eclipse-sumo is not installed: pip install dmmlab[sumo]")
        pytest.skip("the package eclipse-sumo (149 MB) is not installed: pip install dmmlab[sumo]")
    before = set(Path.cwd().iterdir())
    made_by_sumo(tmp_path, cars=30, seconds=120)
    assert set(Path.cwd().iterdir()) == before, "SUMO's tools write to the test's own folder"
    (tmp_path / "positions.csv").write_text(
        "mr,x_m,y_m\n"
        + "".join(
            f"MR{2 * row + column + 1},{100 + 200 * column},{100 + 200 * row}\n" for row in (0, 1) for column in (0, 1)
        )
    )
    words = ("--routers", str(tmp_path / "positions.csv"), "--out", str(tmp_path / "moves.csv"), "--nodes", "20")
    said("trace", "sumo", str(tmp_path / "fcd.xml"), *words)
    (tmp_path / "city.yaml").write_text(said("new", "city", "--trace", str(tmp_path / "moves.csv"), "--join", "mesh"))
    scenario = load(tmp_path / "city.yaml")
    assert len(scenario.mobile_nodes) == 20
    assert len(scenario.moves) > 30
    assert {move.to for move in scenario.moves} == {"MR1", "MR2", "MR3", "MR4"}


def made_by_sumo(folder: Path, cars: int, seconds: int) -> None:
    """``fcd.xml``: cars on a grid of five streets by five, each 100 m long."""
    import sumo

    programs = Path(sumo.SUMO_HOME, "bin")
    net = ["--grid", "--grid.number=5", "--grid.length=100", f"--output-file={folder}/net.xml"]
    subprocess.run([programs / "netgenerate", *net], check=True, capture_output=True)
    trips = str(Path(sumo.SUMO_HOME, "tools", "randomTrips.py"))
    rate = ["-e", str(seconds // 2), "-p", str(seconds / 2 / cars), "--seed", "1"]
    argv = [sys.executable, trips, "-n", f"{folder}/net.xml", "-o", f"{folder}/trips.xml", *rate]
    argv += ["-r", f"{folder}/routes.rou.xml"]  # else beside whoever runs it
    subprocess.run(argv, check=True, capture_output=True, env={**os.environ, "SUMO_HOME": sumo.SUMO_HOME})
    run = ["-n", f"{folder}/net.xml", "-r", f"{folder}/trips.xml", "-e", str(seconds), "--seed", "1", "--fcd-output"]
    subprocess.run([programs / "sumo", *run, f"{folder}/fcd.xml"], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ('<timestep time="9"><vehicle id="a" x="1" y="1"/></timestep><timestep time="0"><vehicle id="a" x="1" y="1"/>'
         "</timestep>", "time goes back from 9 to 0 s"),
        ('<timestep time="0"><vehicle id="a" y="1"/></timestep>', "lacks 'x'"),
        ('<timestep time="nan"><vehicle id="a" x="1" y="1"/></timestep>', "'nan' is no time"),
        ('<timestep time="0"><vehicle id="a" x="inf" y="1"/></timestep>', "'inf' is no time, and no place"),
    ],
)  # fmt: skip
def test_positions_that_nobody_can_have_are_a_sentence(tmp_path: Path, steps: str, words: str) -> None:
    (tmp_path / "fcd.xml").write_text(f"<fcd-export>{steps}</fcd-export>")
    with pytest.raises(TraceError, match=r"fcd\.xml: no floating car data") as refused:
        convert(tmp_path / "fcd.xml", PLACES, Rule())
    assert words in str(refused.value)
    (tmp_path / "r.csv").write_text("mr,x_m,y_m\nMR1,nan,0\n")
    with pytest.raises(TraceError, match="router 1"):
        routers(tmp_path / "r.csv")


@pytest.mark.parametrize("option", ["--gap nan", "--gap inf", "--hysteresis nan", "--from nan", "--names none/n.csv"])
def test_a_number_that_is_none_converts_nothing(tmp_path: Path, option: str) -> None:
    (tmp_path / "r.csv").write_text("mr,x_m,y_m\nMR1,0,0\nMR2,100,0\n")
    floating = str(fcd(tmp_path, (0.0, {"a": 0.0}), (9.0, {"a": 99.0})))
    line = ["trace", "sumo", floating, "--routers", str(tmp_path / "r.csv"), "--out", str(tmp_path / "t.csv")]
    done = CliRunner().invoke(cli, [*line, *option.split()])
    assert done.exit_code == 2 and option.split()[0] in done.output
    assert not (tmp_path / "t.csv").exists()
