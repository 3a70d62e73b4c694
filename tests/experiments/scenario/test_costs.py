"""Processing times of a scenario: what is read, refused, said, and what the closed forms make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dmmlab.experiments.cli.settings_view import settings
from dmmlab.experiments.oracle.expectation import Oracle
from dmmlab.experiments.oracle.moves import address_s, known_at_s, redirected_s
from dmmlab.experiments.oracle.silence import longest_silence_s
from dmmlab.experiments.scenario.load import ScenarioError, load, parse
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import sessions_of

ALL: dict[str, Any] = {
    "controller": {"packet_in": "1.2ms"},
    "server": {"register": "80us"},
    "node": {"dhcp": "3ms"},
}


def scenario(costs: dict[str, Any] | None = None, *sessions: dict[str, Any], **keys: Any) -> Scenario:
    """Two-mr, in which MN1 moves at 10 s, and these sessions from CN3."""
    given = {"sessions": [{"name": f"S{n}", "from": "CN3", "to": "MN1", **one} for n, one in enumerate(sessions)]}
    return load("two-mr", {**({} if costs is None else {"costs": costs}), **(given if sessions else {}), **keys})


def refused(costs: Any, **keys: Any) -> str:
    with pytest.raises(ScenarioError) as error:
        load("two-mr", {"costs": costs, **keys})
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("costs", "words"),
    [
        ({"controler": {}}, ["costs: controler: unknown key", "controller, server, node"]),
        ({"server": {"registr": "1ms"}}, ["costs: server: registr: unknown key", "register"]),
        ({"server": {"register": "1 parsec"}}, ["costs: server: register", "parsec", "such as 20ms"]),
        ({"server": {"register": "2s"}}, ["costs: server: register: a message may take 0.1s at most"]),
        ({"node": {"dhcp": {}}}, ["costs: node: dhcp", "give a duration", "{file: FILE}"]),
        ({"node": {"dhcp": {"file": "none.csv"}}}, ["costs: node: dhcp: file none.csv: cannot be read"]),
    ],
)
def test_what_is_wrong_is_named_with_what_would_do(costs: Any, words: list[str]) -> None:
    sentence = refused(costs)
    for word in words:
        assert word in sentence


def test_dhcp_goes_with_its_family_and_a_server_with_who_speaks_to_it() -> None:
    assert "costs: node: dhcp goes with family: ipv4" in refused({"node": {"dhcp": "3ms"}}, family="ipv6")
    alone = [{"name": "S", "at": "3s", "from": "CN1", "to": "MN1"}]
    assert "nobody speaks to SERVER; open a session by method" in refused({"server": ALL["server"]}, sessions=alone)


def test_a_file_of_durations_is_read_with_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "times.csv").write_text("seconds\n0.001\n0.003\n")
    (tmp_path / "here.yaml").write_text("extends: two-mr\ncosts: {controller: {packet_in: {file: times.csv}}}\n")
    made = load(tmp_path / "here.yaml")
    time = made.costs.controller.packet_in
    assert time is not None and time.file == (0.001, 0.003)
    assert parse(made.model_dump(mode="json", by_alias=True), "again") == made
    cost = time.cost(7, "controller/packet_in")
    assert (cost.durations_s, cost.seed) == ((0.001, 0.003), "7/costs/controller/packet_in")
    (tmp_path / "times.csv").write_text("0.001\n-1\n")
    with pytest.raises(ScenarioError, match=r"costs: .*times\.csv: line 2: '-1' is no processing time"):
        load(tmp_path / "here.yaml")


def test_check_says_what_takes_how_long() -> None:
    said = dict(settings(scenario(ALL)))["costs"]
    assert said == "controller: packet_in 1.2ms, server: register 0.08ms, node: dhcp 3ms"
    assert dict(settings(scenario()))["costs"] == "not given: what programs compute takes no time"


def test_the_redirect_waits_for_the_node_and_the_controller() -> None:
    """Two-mr: attached at 10.05, a radio of 2 ms, 1 ms to the controller and back."""
    assert redirected_s(scenario(), "MN1", 11) == pytest.approx(10.054)
    assert redirected_s(scenario(ALL), "MN1", 11) == pytest.approx(10.0582)
    assert address_s(scenario(ALL), "MN1", 1) == pytest.approx(0.011), "four messages of DHCP, and 3 ms"


def test_the_server_knows_when_it_is_done() -> None:
    before, after = (known_at_s(scenario(costs), "MN1", "SERVER") for costs in (None, {"server": ALL["server"]}))
    assert [late[0] - early[0] for early, late in zip(before, after, strict=True)] == pytest.approx([80e-6, 80e-6])


@pytest.mark.parametrize(("method", "lookup_s"), [("p2p", 0.05008), ("combined", 0.09416), ("central", 0.09416)])
def test_a_lookup_takes_a_message_or_two(method: str, lookup_s: float) -> None:
    made = scenario({"server": ALL["server"]}, {"at": "5s", "method": method})
    expected = Oracle(made).of(next(iter(sessions_of(made))))
    assert expected is not None and expected.lookup_s == pytest.approx(lookup_s)


def test_messages_that_meet_at_the_server_have_no_closed_form() -> None:
    apart, together = ({"at": at, "method": "p2p", "name": name} for at, name in (("5.001s", "A"), ("5.00004s", "B")))
    for second, known in ((apart, True), (together, False)):
        made = scenario({"server": ALL["server"]}, {"at": "5s", "method": "p2p", "name": "F"}, second)
        assert (Oracle(made).of(list(sessions_of(made))[1]) is not None) is known


def test_silence_grows_with_the_redirect() -> None:
    """Probes pass MR1 at 10.055, 10.075, 10.095; the redirect is in force at 10.054, and so much later."""
    probes = {"interval": "20ms", "duration": "10s", "at": "4s", "from": "CN1"}
    found = {}
    for cost in ("0s", "3ms", "25ms"):
        made = scenario({"controller": {"packet_in": cost}}, probes)
        found[cost] = longest_silence_s(made, next(iter(sessions_of(made))), 1)
    assert found.pop("0s") is None, "it passes at 10.055, when a switch may go by its cache"
    assert found == pytest.approx({"3ms": 0.088, "25ms": 0.108})


def test_what_is_drawn_has_no_closed_form(tmp_path: Path) -> None:
    drawn = {"controller": {"packet_in": {"file": [0.001, 0.002]}}}
    made = scenario(drawn, {"at": "5s", "method": "p2p", "interval": "20ms", "duration": "10s"})
    session = next(iter(sessions_of(made)))
    assert Oracle(made).of(session) is None
    assert longest_silence_s(made, session, 1) is None
