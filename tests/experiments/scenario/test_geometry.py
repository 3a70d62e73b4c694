"""Delays of pairs at the core: from links, and from a matrix of round trips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dmmlab.experiments.oracle.delays import Place, hosts_s, path_s
from dmmlab.experiments.scenario.load import ScenarioError, load
from dmmlab.experiments.scenario.network import network_plan

MATRIX = "0\t10.5\t31\t7\n10.5\t0\t20\tnan\n31\t20\t0\t44\n7\t-1\t44\t0\n"
SCENARIO = """
name: geo
mobile_routers: [MR1, MR2]
links:
  - {between: [MR1, CORE], delay: 5ms}
  - {between: [MR2, CORE], delay: 6ms}
  - {between: [MR1, MR2], delay: 4ms}
  - {between: [CN1, CORE], delay: 10ms}
  - {between: [radio, MN1], delay: 2ms}
movement: [{at: 0s, node: MN1, to: MR1}]
duration: 5s
"""


@pytest.fixture
def written(tmp_path: Path) -> Any:
    (tmp_path / "m.tsv").write_text(MATRIX)

    def write(geometry: str) -> Path:
        file = tmp_path / "geo.yaml"
        file.write_text(f"{SCENARIO}geometry: {geometry}\n")
        return file

    return write


def test_half_a_round_trip_each_way_is_between_every_two_that_have_a_place(written: Any) -> None:
    scenario = load(written("{matrix: m.tsv, place: {CN1: 0, MR1: 1, MR2: 2}}"))
    found = {tuple(sorted(pair)): delay for pair, delay in scenario.pairs.items()}
    assert found == {("CN1", "MR1"): 0.00525, ("CN1", "MR2"): 0.0155, ("MR1", "MR2"): 0.010}
    assert path_s(scenario, Place("CN1"), Place("MN1", "MR1", "MR1")) == pytest.approx(0.00525 + 0.002)
    assert path_s(scenario, Place("CN1"), Place("MN1", "MR1", "MR2")) == pytest.approx(0.00525 + 0.004 + 0.002)


def test_who_has_no_place_is_as_far_as_the_ways_to_the_core(written: Any) -> None:
    scenario = load(written("{matrix: m.tsv, place: {CN1: 0, MR1: 1}}"))
    assert hosts_s(scenario, "CN1", "MR2") == pytest.approx(0.016)


def test_places_are_drawn_from_the_seed_and_only_where_there_is_a_round_trip(written: Any) -> None:
    """Rows 1 and 3 have none between them, so 0 and 2 are always taken; which is whose, the seed says."""
    places = []
    for seed in range(12):
        scenario = load(written("{matrix: m.tsv, place: random}"), {"seed": seed})
        assert scenario == load(written("{matrix: m.tsv, place: random}"), {"seed": seed})
        assert scenario.geometry is not None and isinstance(scenario.geometry.place, dict)
        rows = set(scenario.geometry.place.values())
        assert len(rows) == 3 and not {1, 3} <= rows
        places.append(tuple(scenario.geometry.place.items()))
    assert len(set(places)) > 3


def test_routers_that_are_to_be_near_are_drawn_two_by_two_of_the_pairs_that_are(written: Any) -> None:
    """Rows 0 and 3 are 7 ms apart, 0 and 1 are 10.5; whoever has no round trip to one of them stays out."""
    routers = set()
    for seed in range(12):
        scenario = load(written("{matrix: m.tsv, place: random, near: 11ms}"), {"seed": seed})
        assert scenario.geometry is not None and isinstance(scenario.geometry.place, dict)
        assert hosts_s(scenario, "MR1", "MR2") <= 0.0055
        assert scenario.geometry.place["CN1"] == 2
        routers.add((scenario.geometry.place["MR1"], scenario.geometry.place["MR2"]))
    assert routers == {(0, 3), (3, 0), (0, 1), (1, 0)}


def test_where_nobody_is_near_it_is_said(written: Any) -> None:
    with pytest.raises(ScenarioError, match=r"near: m.tsv has no 1 pairs of rows within 6 ms .* longer round trip"):
        load(written("{matrix: m.tsv, near: 6ms}"))
    with pytest.raises(ScenarioError, match="near: goes with place: random"):
        load(written("{matrix: m.tsv, near: 6ms, place: {CN1: 0}}"))


def test_a_run_keeps_the_delays_and_needs_no_matrix(written: Any, tmp_path: Path) -> None:
    scenario = load(written("{matrix: m.tsv, place: {CN1: 0, MR1: 1, MR2: 2}}"))
    kept = scenario.model_dump(mode="json", by_alias=True)
    (tmp_path / "m.tsv").unlink()
    again = tmp_path / "again.yaml"
    again.write_text(__import__("json").dumps(kept))
    assert load(again).pairs == scenario.pairs


def test_a_link_of_a_pair_goes_before_the_matrix_and_is_no_inter_mr_link(written: Any) -> None:
    links = [*load(written("{matrix: m.tsv}")).model_dump(mode="json", by_alias=True)["links"]]
    links.append({"between": ["CN1", "MR2"], "delay": "1ms"})
    scenario = load(written("{matrix: m.tsv, place: {CN1: 0, MR1: 1, MR2: 2}}"), {"links": links})
    assert hosts_s(scenario, "MR2", "CN1") == 0.001
    assert [len(found) for found in scenario.inter_mr_links.values()] == [1, 1]
    assert scenario.hosts == ("CN1",)


def test_the_plan_delays_at_the_egress_what_a_paired_node_sends(written: Any) -> None:
    plan = network_plan(load(written("{matrix: m.tsv, place: {CN1: 0, MR1: 1}}")))
    assert plan.paired == {"CN1", "MR1"}
    assert [plan.way("CN1", to).delay_s for to in ("MR1", "MR2")] == pytest.approx([0.00525, 0.016])
    assert [wire.delay_s for wire in plan.across("CN1", "MR1")] == [0.0, 0.00525]
    assert [wire.delay_s for wire in plan.across("MR2", "CN1")] == pytest.approx([0.0, 0.016])


@pytest.mark.parametrize(
    ("geometry", "sentence"),
    [
        ("{matrix: none.tsv}", "geometry: matrix: none.tsv cannot be read: No such file or directory"),
        ("{matrix: m.tsv, place: {CN1: 4}}", "geometry: place: CN1: m.tsv has rows 0 to 3; found 4"),
        ("{matrix: m.tsv, place: {CN7: 1}}", "geometry: place: CN7: no such node at the core; there are CN1, MR1, MR2"),
        (
            "{matrix: m.tsv, place: {CN1: 1, MR1: 3}}",
            "geometry: place: m.tsv has no round trip between rows 1 (CN1) and 3 (MR1); give one of them another row",
        ),
        ("{matrix: odd.csv}", "geometry: matrix: odd.csv: not square: 2 lines, and line 2 has 1 numbers"),
        ("{matrix: small.csv}", "geometry: place: small.csv has no 3 rows that all have a round trip to each other"),
    ],
)
def test_what_a_matrix_does_not_say_is_one_sentence(written: Any, geometry: str, sentence: str) -> None:
    file = written(geometry)
    (file.parent / "odd.csv").write_text("0,1\n1\n")
    (file.parent / "small.csv").write_text("0,1\n1,0\n")
    with pytest.raises(ScenarioError) as found:
        load(file)
    assert str(found.value) == f"{file}: {sentence}"


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ({"between": ["CN1", "MR1"], "delay": "1ms", "loss": "1%"}, "it has no jitter, loss or rate"),
        ({"between": ["CN1", "MN1"], "delay": "1ms"}, "joins nothing that can be joined"),
    ],
)
def test_bad_pairs(written: Any, link: dict[str, Any], sentence: str) -> None:
    links = [*load(written("{matrix: m.tsv}")).model_dump(mode="json", by_alias=True)["links"], link]
    with pytest.raises(ScenarioError, match=sentence):
        load(written("{matrix: m.tsv}"), {"links": links})


def test_jitter_and_rate_do_not_go_with_a_pair(written: Any) -> None:
    links = load(written("{matrix: m.tsv}")).model_dump(mode="json", by_alias=True)["links"]
    links[0]["rate"] = "1000000bit"
    with pytest.raises(ScenarioError, match="has no jitter and no rate; leave them out, or that delay"):
        load(written("{matrix: m.tsv, place: {CN1: 0, MR1: 1}}"), {"links": links})
