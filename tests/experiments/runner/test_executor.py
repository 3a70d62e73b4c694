"""The executor: what it does to the network, when, and that it stops when something has died or the user leaves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from event_lines import logged

from dmmlab.experiments.runner.executor import Executor
from dmmlab.experiments.scenario.timeline import AnyEvent, Attach, Detach, ScenarioEnd
from dmmlab.machine.events import EventLog
from dmmlab.nodes import clock

EVENTS = (
    Attach(0.0, "MN1", "MR1", None),
    Detach(2.0, "MN1", "MR2"),
    Attach(2.5, "MN1", "MR2", 0.5),
    ScenarioEnd(3.5),
)
START_NS = 10**18


class FakeNetwork:
    """Remembers what was done to it, and when."""

    def __init__(self) -> None:
        self.now_s, self.done = -1.0, list[tuple[float, str]]()
        self.plan = SimpleNamespace(
            mobile_node=lambda name: SimpleNamespace(radios=(name, f"{name}'s other")),
            mobile_router=lambda name: SimpleNamespace(switch=name),
        )

    def detach(self, radio: str) -> None:
        self.done.append((self.now_s, f"{radio} off"))

    def attach(self, radio: str) -> None:
        self.done.append((self.now_s, f"{radio} on"))

    def rewire(self, _node: object, radio: str, to: SimpleNamespace | None) -> None:
        self.done.append((self.now_s, f"{radio} at {to and to.switch}"))

    def forget_flows(self, switch: str) -> None:
        self.done.append((self.now_s, f"{switch} looks again"))


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    fake = FakeNetwork()
    monkeypatch.setattr(clock, "wait_until", lambda due_ns: setattr(fake, "now_s", (due_ns - START_NS) / 1e9))
    return fake


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with contextlib.closing(EventLog(tmp_path / "events", "runner")) as log:
        yield log


def executor(
    network: Any, log: EventLog, check: Callable[[], None] = lambda: None, events: tuple[AnyEvent, ...] = EVENTS
) -> Executor:
    return Executor(events, network, log, check)


def test_the_port_changes_switches_while_it_has_no_link(network: FakeNetwork, log: EventLog, tmp_path: Path) -> None:
    shares: list[float] = []
    executor(network, log).play(START_NS, shares.append)
    assert network.done == [
        (0.0, "MN1 at MR1"),
        (0.0, "MR1 looks again"),
        (0.0, "MN1 on"),
        (2.0, "MN1 off"),
        (2.0, "MN1 at MR2"),
        (2.5, "MN1 on"),
    ]
    rows = logged(tmp_path / "events")
    assert [row["event"] for row in rows] == ["attached", "detached", "attached", "scenario_ended"]
    assert rows[1]["mn"] == "MN1" and rows[1]["to"] == "MR2"
    assert network.now_s == 3.5
    assert shares == [at_s / 3.5 for at_s in (0.0, 1.0, 2.0, 2.0, 2.5, 3.0)]


def test_with_an_overlap_the_other_radio_is_there_before_the_first_one_goes(
    network: FakeNetwork, log: EventLog, tmp_path: Path
) -> None:
    events = (
        Attach(0.0, "MN1", "MR1", None),
        Attach(2.0, "MN1", "MR2", None, radio=1, overlap_s=0.5),
        Detach(2.5, "MN1", "MR2", radio=0, from_="MR1"),
        ScenarioEnd(3.5),
    )
    executor(network, log, events=events).play(START_NS, lambda share: None)
    assert network.done[3:] == [
        (2.0, "MN1's other at MR2"),
        (2.0, "MR2 looks again"),
        (2.0, "MN1's other on"),
        (2.5, "MN1 off"),
        (2.5, "MN1 at None"),
    ]
    rows = logged(tmp_path / "events")
    assert [row["event"] for row in rows] == ["attached", "attached", "left", "scenario_ended"]
    assert rows[2]["router"] == "MR1"


@pytest.mark.parametrize(
    ("gap_s", "looks"), [(0.0, ["MR2 looks again"]), (0.009, ["MR2 looks again"]), (0.01, []), (0.5, [])]
)
def test_a_port_that_has_only_just_come_meets_no_switch_that_goes_on_as_before(
    network: FakeNetwork, log: EventLog, gap_s: float, looks: list[str]
) -> None:
    events = (Detach(2.0, "MN1", "MR2"), Attach(2.0 + gap_s, "MN1", "MR2", gap_s), ScenarioEnd(3.0))
    executor(network, log, events=events).play(START_NS, lambda share: None)
    assert [done for _, done in network.done] == ["MN1 off", "MN1 at MR2", *looks, "MN1 on"]


def test_a_daemon_that_dies_ends_the_scenario_within_a_second(network: FakeNetwork, log: EventLog) -> None:
    def check() -> None:
        if network.now_s >= 0.5:
            raise RuntimeError("named ended")

    with pytest.raises(RuntimeError, match="named ended"):
        executor(network, log, check).play(START_NS, lambda share: None)
    assert network.now_s == 1.0


def test_a_user_who_leaves_the_prompt_ends_it(network: FakeNetwork, log: EventLog, tmp_path: Path) -> None:
    leaving = executor(network, log)
    leaving.play(START_NS, lambda share: leaving.leave() if share > 0.5 else None)
    assert network.done[-1] == (2.0, "MN1 at MR2")
    assert "scenario_ended" not in (tmp_path / "events").read_text()


def test_a_node_that_is_moved_from_outside_is_left_alone_from_then_on(network: FakeNetwork, log: EventLog) -> None:
    played = executor(network, log)
    played.move("MN1", "MR3", 1.0, 0.2, START_NS)
    played.play(START_NS, lambda _share: None)
    assert network.done == [(1.0, "MN1 off"), (1.0, "MN1 at MR3"), (1.2, "MN1 on")]
