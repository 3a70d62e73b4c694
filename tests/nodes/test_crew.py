"""Which mobile nodes share a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmmlab.nodes.daemons.agents import MobileNode
from dmmlab.nodes.daemons.crew import MOST, Crew, crews
from dmmlab.nodes.daemons.process import Host


def nowhere(name: str) -> Host:
    raise AssertionError(name)


def nodes(folder: Path, number: int) -> list[MobileNode]:
    return [
        MobileNode(
            f"{name}-eth0",
            folder,
            None,
            None,
            name=name,
            host=name,
            log=folder / f"{name}.log",
            events=folder / f"{name}.events",
        )
        for name in (f"MN{turn}" for turn in range(number))
    ]


@pytest.mark.parametrize("number", [2, MOST, MOST + 1, 201])
def test_each_node_is_in_one_process_of_a_few(tmp_path: Path, number: int) -> None:
    all_nodes = nodes(tmp_path, number)
    made = [each for each in crews(all_nodes, nowhere) if isinstance(each, Crew)]
    assert [node for crew in made for node in crew.nodes] == all_nodes
    assert len({crew.log for crew in made}) == len(made) == -(-number // MOST)
    assert max(len(crew.nodes) for crew in made) <= MOST


def test_a_node_that_is_alone_has_a_process_of_its_own(tmp_path: Path) -> None:
    (node,) = nodes(tmp_path, 1)
    assert crews([node], nowhere) == [node]
    assert crews([], nowhere) == []
