"""Memory: what a guest is given follows from its network, and what a machine cannot hold is refused."""

from __future__ import annotations

import pytest

from dmmlab.experiments.cli import main
from dmmlab.experiments.runner import memory
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.network import network_plan
from dmmlab.machine import checks
from dmmlab.machine.errors import Refusal


def with_nodes(number: int) -> Scenario:
    base = load("two-mr").model_dump(mode="json", by_alias=True)
    names = [f"X{turn}" for turn in range(number)]
    base["links"] += [{"between": ["radio", name], "delay": "2ms"} for name in names]
    base["movement"] += [{"at": "0s", "node": name, "to": "MR1"} for name in names]
    return Scenario.model_validate(base)


def test_a_small_network_gets_what_a_guest_always_had_and_a_large_one_more() -> None:
    small, large = network_plan(load("two-mr")), network_plan(with_nodes(500))
    assert memory.given_mb(small) == 1024 > memory.needed_mb(small)
    assert memory.given_mb(large) == memory.needed_mb(large) > 500 * memory.MOBILE_NODE_MB
    alone_mb = memory.needed_mb(large, clock="real")
    assert alone_mb == memory.needed_mb(small, clock="real") + 500 * memory.ALONE_MB


def test_the_estimate_is_above_what_was_measured_and_a_guest_of_200_nodes_is_below_4_gb() -> None:
    """benchmarks/many.txt: 306, 619 and 1,565 MB with 20, 60 and 200 nodes."""
    for nodes, measured_mb in ((20, 306), (60, 619), (200, 1565)):
        assert measured_mb < memory.needed_mb(network_plan(with_nodes(nodes))) < 4000


@pytest.mark.parametrize(
    ("needs_mb", "jobs", "processors", "available_mb", "expected"),
    [
        ([300, 300], None, 2, 5000, 2),
        ([300], None, 8, 5000, 1),  # no more than there are
        ([300] * 9, None, 4, 5000, 4),
        ([300] * 9, None, 4, 700, 2),  # fewer where they would not fit
        ([600, 300, 300], None, 3, 700, 1),  # whichever comes together
        ([300] * 9, 6, 2, 5000, 6),  # as asked for
        ([300] * 9, 6, 2, None, 6),  # nobody knows what there is
    ],
)
def test_as_many_runs_as_there_are_processors_and_room(
    needs_mb: list[int], jobs: int | None, processors: int, available_mb: int | None, expected: int
) -> None:
    assert memory.at_a_time(needs_mb, jobs, processors, available_mb) == expected


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(Refusal, match=r"a run needs 6,000 MB of memory, and this machine has 5,000 MB"):
        memory.at_a_time([300, 6000], None, 2, 5000)
    with pytest.raises(Refusal, match=r"--jobs: 3 runs at the same time need 900 MB"):
        memory.at_a_time([300, 300, 300], 3, 2, 800)


def test_the_command_asks_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "available_memory_mb", lambda: 2000)
    assert main._side_by_side([load("two-mr")], "guest", "virtual", None, None) == 1
    with pytest.raises(Refusal, match="a run needs"):
        main._side_by_side([with_nodes(500)], "guest", "virtual", None, None)
    assert main._side_by_side([with_nodes(500)], "guest", "virtual", None, 1500) == 1, "--memory is the user's own word"
    with pytest.raises(Refusal, match="a run needs 2,500 MB"):
        main._side_by_side([load("two-mr")], "guest", "virtual", None, 2500)
    assert main._side_by_side([with_nodes(500)], "native", "real", None, None) == 1


def test_this_machine_says_what_it_has_available() -> None:
    available_mb = checks.available_memory_mb()
    assert available_mb is not None and 16 < available_mb < 1 << 26
