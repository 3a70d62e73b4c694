"""Sessions that run programs: what is refused, in one sentence, and what a program's port is."""

from __future__ import annotations

from typing import Any

import pytest

from dmmlab.experiments.runner.orders import services_of
from dmmlab.experiments.scenario import program_ports
from dmmlab.experiments.scenario.load import ScenarioError, load
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import sessions_of


def scenario(*sessions: dict[str, Any], **keys: Any) -> Scenario:
    entries = [
        {"name": f"T{turn}", "at": "5s", "from": "CN1", "to": "MN1", "duration": "5s", **session}
        for turn, session in enumerate(sessions)
    ]
    return load("two-mr", {"sessions": entries, **keys})


def run(**keys: Any) -> dict[str, Any]:
    return {"run": {"client": "true", **keys}}


def test_a_command_is_cut_as_a_shell_does_it() -> None:
    (entry,) = scenario(run(client="""sh -c 'a "b" && c' {port}""", server=["x", "y z"])).sessions
    assert entry.run is not None
    assert entry.run.client == ("sh", "-c", 'a "b" && c', "{port}")
    assert entry.run.server == ("x", "y z")


def test_each_session_has_a_port_of_its_own_which_its_node_has_as_a_service() -> None:
    made = scenario({**run(), "method": ["p2p", "ddns"]}, run(port=22))
    specs = sessions_of(made)
    assert [program_ports.port(spec) for spec in specs] == [30000, 30001, 22]
    services = services_of(made, "MN1")
    assert [services[spec.service] for spec in specs] == [30000, 30001, 22]
    assert set(services_of(made, "CN1")) == {"echo", "bulk"}


def test_a_scenario_with_programs_is_read_again_as_it_was_written() -> None:
    made = load("own-program")
    assert load("own-program", made.model_dump(mode="json", by_alias=True)) == made


@pytest.mark.parametrize(
    ("sessions", "sentence"),
    [
        ([{**run(), "interval": "1s"}], "there is no interval"),
        ([{**run(), "service": "echo"}], "there is no service"),
        ([{**run(), "duration": None}], "T0: run: give the session a duration"),
        ([run(server="x {adress}")], r"server: unknown placeholder \{adress\}; known are \{address\}"),
        ([run(client="'x")], "client: No closing quotation"),
        ([run(client="")], "run: client: .*at least 1 item"),
        ([run(clint="x")], "clint: unknown key; allowed are client, server, port, ahead"),
        ([run(port=5001)], "port 5001: is that of the service echo; use another"),
        ([run(port=20001)], "ports 20000 to 29999 are those of sessions"),
        ([run(port=99999)], "port: must be less than or equal to 65535"),
        ([run(port=5201), {**run(port=5201), "at": "9s"}], "T1: port 5201 at MN1 is taken by T0, .* until 10.5s"),
        ([{**run(port=5201), "repeat": 2, "every": "1s"}], "port 5201 at MN1 is taken"),
        ([{**run(), "to": "MN1", "method": "p2p", "select": "race"}], "leave select out"),
    ],
)
def test_what_cannot_be_is_one_sentence(sessions: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(ScenarioError, match=sentence) as caught:
        scenario(*sessions)
    assert "\n" not in str(caught.value)


def test_a_port_is_free_again_after_its_session_and_at_another_node() -> None:
    scenario(run(port=5201), {**run(port=5201), "at": "12s"}, {**run(port=5201), "from": "MN1", "to": "CN2"})
