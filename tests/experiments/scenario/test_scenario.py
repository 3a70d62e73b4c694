"""A scenario file is read exactly, or refused with one sentence that names file, key and remedy."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dmmlab.experiments.oracle.expectation import Oracle
from dmmlab.experiments.scenario.catalogue import shipped
from dmmlab.experiments.scenario.load import ScenarioError, load, parse
from dmmlab.experiments.scenario.sessions import sessions_of
from dmmlab.experiments.scenario.units import format_duration, parse_duration, parse_rate, parse_share, parse_size


def refused(**overrides: Any) -> str:
    with pytest.raises(ScenarioError) as error:
        load("two-mr", overrides)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence.startswith("two-mr: ")
    return sentence.removeprefix("two-mr: ")


def session(**keys: Any) -> dict[str, Any]:
    return {"name": "X", "at": "1s", "from": "CN1", "to": "MN1", **keys}


def star(middle: str, ends: int) -> list[dict[str, Any]]:
    return [{"between": [middle, f"N{k}"], "delay": "2ms"} for k in range(ends)]


def test_every_shipped_scenario_loads_and_survives_being_written_and_read_again() -> None:
    for entry in shipped():
        scenario = load(entry.name)
        assert scenario.name == entry.name
        assert entry.summary
        assert parse(scenario.model_dump(mode="json", by_alias=True), "again") == scenario


def test_a_variant_differs_from_what_it_extends_only_where_it_says_so() -> None:
    base, variant = load("two-mr"), load("two-mr-no-redirect")
    assert not variant.redirect
    assert variant.model_copy(update={"name": base.name, "redirect": True}) == base


def test_sessions_multiply_by_method_transport_and_repetition() -> None:
    scenario = load(
        "two-mr",
        {"sessions": [session(method=["fixed", "p2p"], transport=["udp", "tcp"], repeat=3, every="200ms")]},
    )
    sessions = sessions_of(scenario)
    assert [one.number for one in sessions] == list(range(12))
    assert sessions[0].name == "X.fixed.udp.1"
    assert sessions[-1].name == "X.p2p.tcp.3"
    assert sessions[2].at_s == pytest.approx(1.4)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"foo": 1}, ["foo: unknown key", "allowed are name, family"]),
        ({"sessions": [session(methd="fixed")]}, ["sessions: entry 1 (X): methd: unknown key", "method"]),
        ({"sessions": [session(method="carrier-pigeon")]}, ["sessions: entry 1 (X)", "carrier-pigeon", "central"]),
        ({"links": [{"between": ["radio", "MN1"], "delay": "-2ms"}]}, ["links: entry 1", "must not be negative"]),
        ({"links": [{"between": ["radio", "MN1"], "delay": "2 parsec"}]}, ["parsec", "ms", "such as 20ms"]),
        ({"links": [{"between": ["MR1", "CN1"], "delay": "2ms"}]}, ["[MR1, CN1] joins nothing", "[node, CORE]"]),
        ({"movement": [{"at": "0s", "node": "MN1", "to": "MR9"}]}, ["unknown mobile router MR9", "MR1, MR2"]),
        ({"movement": [{"at": "0s", "node": "MN7", "to": "MR1"}]}, ["MN7: unknown mobile node", "MN1"]),
        ({"movement": []}, ["MN1 never attaches"]),
        ({"sessions": [session(**{"from": "CN9"})]}, ["X: from CN9: unknown correspondent", "CN1, CN2, CN3"]),
        ({"sessions": [session(to="CN9")]}, ["X: to CN9: unknown correspondent or mobile node", "CN3, MN1"]),
        ({"sessions": [session(to="CN2", method="p2p")]}, ["X: to CN2: the address of a fixed host is known", "fixed"]),
        ({"sessions": [session(to="CN2", anchor="MR1")]}, ["X: anchor MR1: CN2 is no mobile node"]),
        ({"sessions": [session(**{"from": "MN1"})]}, ["X: from MN1 to MN1: a node has no session with itself"]),
        ({"sessions": [session(at="29s", interval="1s", duration="5s")]}, ["X: lasts until 34s", "duration of 30s"]),
        ({"sessions": [session(interval="1s")]}, ["interval and duration go together"]),
        ({"sessions": [session(spacing="random")]}, ["spacing: random is that of probes over UDP"]),
        ({"sessions": [session(size="1MB")]}, ["transport: tcp"]),
        ({"sessions": [session(repeat=2)]}, ["repeat needs every"]),
        ({"registration": {"update": "later"}}, ["registration: update", "at-once", "lazy"]),
        ({"registration": {"update": "lazy", "after": "200s"}}, ["after: 200s is more than half the lifetime of 300s"]),
        ({"sessions": [session(service="chess")]}, ["X: unknown service 'chess'; known are echo"]),
        ({"sessions": [session(service="bulk")]}, ["X: service bulk takes in what has a size"]),
        ({"sessions": [session(service="echo", size="1MB", transport="tcp")]}, ["X: service echo echoes"]),
        ({"services": [{"name": "chat", "port": 5002}]}, ["services: chat: port 5002 is that of bulk"]),
        (
            {"services": [{"name": "chat", "port": 20001}]},
            ["services: chat: ports 20000 to 29999 are those of sessions"],
        ),
        ({"services": [{"name": "echo", "port": 7000}]}, ["services: echo: there is one already"]),
        (
            {"discovery": "dns-sd", "sessions": [session(method="p2p")]},
            ["dns-sd asks RESOLVER", "ddns, too"],
        ),
        ({"identities": [{"node": "MN7", "label": "x"}]}, ["identities: MN7: unknown node", "MN1"]),
        ({"identities": [{"node": "MN1", "label": "A.b"}]}, ["identities: MN1: label 'A.b' is no DNS label"]),
        ({"identities": [{"node": "MN1", "label": "cn1"}]}, ["label cn1 is that of two nodes"]),
        ({"sessions": [session(anchor="MR2", method="p2p")]}, ["anchor goes with method: fixed only"]),
        ({"sessions": [session(), session()]}, ["two sessions have the name X"]),
        ({"family": "ipx"}, ["family", "'ipx'"]),
        ({"addresses": {"dad": True}}, ["addresses: dad: on goes with family: ipv6", "DHCP"]),
        ({"family": "ipv6", "addresses": {"dad": "perhaps"}}, ["addresses: dad", "'off', 'on' or 'optimistic'"]),
        ({"redirect": "perhaps"}, ["redirect", "perhaps"]),
        ({"duration": 30}, ["duration", "such as 20ms"]),
        ({"mobile_routers": ["MR1", "MR2", "MR3"]}, ["MR3 needs a link"]),
        ({"mobile_routers": [f"MR{i}" for i in range(251)]}, ["mobile_routers: ", "at most 250", "this has 251"]),
        ({"links": star("CORE", 2001)}, ["links: ", "at most 2,000 hosts", "this has 2,001"]),
        ({"links": star("radio", 2001)}, ["links: ", "at most 2,000 mobile nodes", "this has 2,001"]),
    ],
)
def test_what_is_wrong_is_named_with_what_would_do(overrides: dict[str, Any], words: list[str]) -> None:
    sentence = refused(**overrides)
    for word in words:
        assert word in sentence


def test_movements_that_overlap_are_named_with_their_times() -> None:
    moves = [("0s", "MR1"), ("10s", "MR2"), ("10.05s", "MR1")]
    overlapping = [{"at": at, "node": "MN1", "to": to} for at, to in moves]
    assert "movements of MN1 at 10s (gap 50ms) and 10.05s overlap" in refused(movement=overlapping)


def test_a_method_without_its_server_is_named() -> None:
    links = [
        link
        for link in load("two-mr").model_dump(mode="json", by_alias=True)["links"]
        if "SERVER" not in link["between"]
    ]
    assert "method p2p needs a node SERVER" in refused(links=links)


def test_a_file_that_is_missing_or_no_yaml_or_no_mapping(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    for text, word in (("a: [", "not YAML"), ("- 1", "not a scenario"), ("extends: bad.yaml", "extends itself")):
        bad.write_text(text)
        with pytest.raises(ScenarioError, match=word):
            load(bad)
    with pytest.raises(ScenarioError, match="no such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ScenarioError, match=r"neither a file nor a shipped scenario; shipped are .*two-mr"):
        load("nowhere")


@pytest.mark.parametrize(
    ("text", "seconds"), [("20ms", 0.02), ("1.5s", 1.5), ("2min", 120.0), ("7us", 7e-6), ("30ns", 3e-8), (0, 0.0)]
)
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-12)
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-12)


def test_other_quantities() -> None:
    assert parse_share("30%") == pytest.approx(0.3)
    assert parse_rate("10mbit") == 1e7
    assert parse_size("5MB") == 5_000_000
    for bad in ("130%", 1.2, -0.1):
        with pytest.raises(ValueError, match=r"0% and 100%|negative"):
            parse_share(bad)


def _row_of_routers(size: int) -> dict[str, Any]:
    """A scenario of ``size`` routers in a row, eight times as many mobile nodes and hosts, and a session each."""
    routers = [f"MR{i}" for i in range(size)]
    nodes, hosts = ([f"{kind}{i}" for i in range(8 * size)] for kind in ("MN", "CN"))
    ends = [*(("radio", node) for node in nodes), *((name, "CORE") for name in (*routers, *hosts)), *pairwise(routers)]
    return {
        "name": "row",
        "mobile_routers": routers,
        "links": [{"between": list(pair), "delay": "2ms"} for pair in ends],
        "movement": [{"at": f"{at}s", "node": f"MN{i}", "to": f"MR{(i + at // 5) % size}"} for i in range(8 * size)
                     for at in (0, 5)],
        "sessions": [{"name": f"S{i}", "at": "8s", "from": f"CN{i}", "to": f"MN{i}"} for i in range(8 * size)],
        "duration": "20s",
    }  # fmt: skip


def _steps(size: int) -> int:
    """How many functions are called to check a scenario, to look its links up and to predict its sessions."""
    data, calls = _row_of_routers(size), 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        loaded = parse(data, "row.yaml")
        for link in loaded.links:
            loaded.link(*link.between)
        Oracle(loaded)
    finally:
        sys.setprofile(None)
    return calls


def test_the_work_grows_with_the_scenario_and_not_with_its_square() -> None:
    _steps(3)  # what is worked out once a process
    assert _steps(24) < 12 * _steps(3), "eight times the size"


def test_a_changed_copy_remembers_nothing_of_its_original() -> None:
    base = load("two-mr")
    assert base.mobile_nodes == ("MN1",) and base.link("MN1", "radio") is not None and len(base.moves_of("MN1")) == 2
    copy = base.model_copy(update={"links": base.links[1:], "movement": base.movement[:1]})
    assert copy.mobile_nodes == () and copy.link("MN1", "radio") is None and len(copy.moves_of("MN1")) == 1
    assert base.mobile_nodes == ("MN1",)


@pytest.mark.parametrize(("written", "dad"), [("off", "off"), ("on", "on"), ("optimistic", "optimistic")])
def test_detection_of_duplicates_is_written_without_quotes(tmp_path: Path, written: str, dad: str) -> None:
    """YAML takes on and off for truth values."""
    file = tmp_path / "mine.yaml"
    file.write_text(f"extends: two-mr\nfamily: ipv6\naddresses: {{dad: {written}}}\n")
    assert load(file).addresses.dad == dad


def moves(*after: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"at": "0s", "node": "MN1", "to": "MR1"}, *({"node": "MN1", **move} for move in after)]


@pytest.mark.parametrize(
    ("movement", "sentence"),
    [
        (moves({"at": "5s", "to": "MR2", "gap": "50ms", "overlap": "1s"}), "gap and overlap exclude each other"),
        (moves({"at": "5s", "to": "MR2", "overlap": "0s"}), "overlap: 0s has no two links at once"),
        (
            moves({"at": "5s", "to": "MR2", "overlap": "3s"}, {"at": "7s", "to": "MR1"}),
            "overlap 3000ms is longer than its stay, which ends at 7s",
        ),
        ([{"at": "0s", "node": "MN1", "to": "MR1", "overlap": "1s"}], "a first attachment has no link to overlap with"),
        (moves({"at": "29s", "to": "MR2", "overlap": "2s"}), "ends after the scenario's duration of 30s"),
    ],
)
def test_an_overlap_that_cannot_be_is_refused(movement: list[dict[str, Any]], sentence: str) -> None:
    assert sentence in refused(movement=movement)


def test_a_radio_link_may_be_another_one_at_a_router() -> None:
    links = load("two-mr").model_dump(by_alias=True)["links"]
    other = {"between": ["radio", "MN1"], "at": "MR2", "delay": "20ms"}
    scenario = load("two-mr", {"links": [*links, other]})
    assert scenario.mobile_nodes == ("MN1",)
    found = [scenario.radio("MN1", router) for router in ("MR1", "MR2")]
    assert [link and link.delay for link in found] == [0.002, 0.02]
    assert "given twice" in refused(links=[*links, other, other])
    assert "unknown mobile router" in refused(links=[*links, {**other, "at": "MR9"}])
    assert "at goes with a radio link" in refused(links=[*links, {**other, "between": ["MR1", "CORE"]}])
    assert "MN9 needs a radio link for elsewhere" in refused(links=[*links, {**other, "between": ["radio", "MN9"]}])
