"""What the user of the prompt does becomes part of the scenario that is played; what cannot be is refused."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from manifests import manifest

from dmmlab.experiments.cli.shell.play import Play, Refused
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.runner.daemons import Daemons
from dmmlab.experiments.scenario.load import load, parse
from dmmlab.experiments.scenario.network import network_plan
from dmmlab.experiments.scenario.playground import Playground
from dmmlab.experiments.scenario.sessions import sessions_of


class FakeExecutor:
    """Attaches at once, and says so in the log that the run has."""

    def __init__(self, run: RunDirectory) -> None:
        self.log = run.events_of("runner")

    def attached(self, node: str, to: str) -> None:
        line = {"time_ns": time.time_ns(), "source": "runner", "event": "attached", "mn": node, "to": to}
        with self.log.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def move(self, node: str, to: str, at_s: float, gap_s: float, start_ns: int) -> None:
        assert gap_s >= 0 and start_ns + at_s * 1e9 > time.time_ns()
        self.attached(node, to)


class Prompted:
    """A prompt ``at_s`` seconds into scenario two-mr, MN1 at MR1."""

    def __init__(self, folder: Path, at_s: float, **keys: Any) -> None:
        scenario = Playground.of(load("two-mr", keys))
        run = RunDirectory(folder / "run")
        run.create(manifest(scenario=scenario.model_dump(mode="json", by_alias=True)))
        self.daemons = Daemons(scenario, network_plan(scenario), run, folder)
        executor: Any = FakeExecutor(run)
        self.executor = executor
        executor.attached("MN1", "MR1")
        self.play = Play(scenario, self.daemons, self.executor, time.time_ns() - round(at_s * 1e9))

    def open(self, *how: str, **options: str) -> list[str]:
        opener, to, *methods = how
        return [spec.name for spec in self.play.open(opener, to, methods, options, lambda _names: None)]


@pytest.fixture
def prompted(tmp_path: Path) -> Prompted:
    return Prompted(tmp_path, 5.0)


@pytest.fixture
def counter(prompted: Prompted) -> Iterator[socket.socket]:
    """Where the agent of CN3 takes its orders."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as there:
        there.bind(str(prompted.daemons.counter("CN3")))
        there.listen()
        yield there


def ordered(counter: socket.socket) -> list[dict[str, Any]]:
    with contextlib.closing(counter.accept()[0]) as came:
        return [json.loads(line) for line in came.makefile()]


def test_a_movement_takes_the_place_of_those_that_the_scenario_has_for_the_node_later(prompted: Prompted) -> None:
    prompted.play.move("MN1", "MR2", 0.1)
    first, mine = prompted.play.played.moves_of("MN1")
    assert (first.at, first.to) == (0.0, "MR1")
    assert (mine.to, mine.gap) == ("MR2", 0.1) and 5.0 <= mine.at < 6.0


def test_a_node_is_not_moved_to_where_it_is_nor_while_it_is_nowhere(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="MN1 is at MR1 already; others are MR2"):
        Prompted(tmp_path / "a", 5.0).play.move("MN1", "MR1")
    later = [{"at": "9s", "node": "MN1", "to": "MR1"}]
    early = Prompted(tmp_path / "b", 5.0, movement=later, sessions=[])
    early.executor.log.unlink()
    with pytest.raises(Refused, match="attached to no mobile router just now: the scenario attaches it at 9 s"):
        early.play.move("MN1", "MR2")


def test_a_session_goes_to_its_openers_agent_as_an_order(prompted: Prompted, counter: socket.socket) -> None:
    known = len(sessions_of(prompted.play.scenario))
    assert prompted.open("CN3", "MN1", "p2p", duration="2s") == ["S1"]
    (order,) = ordered(counter)
    assert (order["session"], order["method"], order["count"], order["number"]) == ("S1", "p2p", 100, known)
    assert order["start_ns"] > time.time_ns() - 10**9


def test_several_methods_and_repetitions_are_several_sessions(prompted: Prompted, counter: socket.socket) -> None:
    names = prompted.open("CN3", "MN1", "p2p", "combined", name="X", repeat="2", every="1s")
    assert names == ["X.p2p.1", "X.p2p.2", "X.combined.1", "X.combined.2"]
    assert [order["session"] for order in ordered(counter)] == names
    assert prompted.play.played.duration >= 7.0


def test_what_cannot_be_is_one_sentence_and_leaves_the_scenario_as_it_was(prompted: Prompted) -> None:
    before = prompted.play.played
    with pytest.raises(Refused, match=r"^session: from CN1 to CN1: a node has no session with itself; name two nodes$"):
        prompted.open("CN1", "CN1", "fixed")
    with pytest.raises(Refused, match=r"^session: unknown service 'chess'; known are echo"):
        prompted.open("CN1", "MN1", "p2p", service="chess")
    with pytest.raises(Refused, match="repeat many: a whole number"):
        prompted.open("CN1", "MN1", "p2p", repeat="many")
    with pytest.raises(Refused, match="two sessions have the name P1"):
        prompted.open("CN1", "MN1", "p2p", name="P1")
    with pytest.raises(Refused, match="the agent of CN2 has ended"):
        prompted.open("CN2", "MN1", "p2p")
    assert prompted.play.played == before


def test_what_was_played_can_be_played_again(prompted: Prompted, counter: socket.socket) -> None:
    prompted.play.move("MN1", "MR2")
    prompted.open("CN3", "MN1", "ddns")
    ordered(counter)
    prompted.play.keep()
    kept = yaml.safe_load((prompted.play.run.root / "played.yaml").read_text())
    assert parse(kept, "played.yaml") == prompted.play.played
    assert [move.to for move in parse(kept, "played.yaml").movement] == ["MR1", "MR2"]


def test_at_the_prompt_everything_that_has_a_node_is_there(tmp_path: Path) -> None:
    bare = {"sessions": [], "duration": "30s"}
    scenario = load("two-mr", bare)
    assert not scenario.needs("SERVER") and not scenario.openers
    made = Prompted(tmp_path, 0.0, **bare).daemons
    assert made.scenario.needs("SERVER") and made.scenario.needs("DDNS")
    assert [each.host for each in made.correspondents(0)].count("CN2") == 2  # its sessions, and what others open to it
    assert all("--packet-buffered" in each.argv for each in made.captures())


def test_a_method_without_its_server_is_not_offered() -> None:
    links = [one for one in load("two-mr").model_dump(mode="json")["links"] if "SERVER" not in one["between"]]
    without = Playground.of(load("two-mr", {"links": links, "sessions": []}))
    assert without.methods == ("fixed", "ddns")
