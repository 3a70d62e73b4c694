"""Comparison and reproduction: what holds is said to hold, and a changed delay is named. No network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import figures_fake
import pytest
import yaml

from dmmlab.experiments.campaigns import campaign, compare, reproduce
from dmmlab.experiments.campaigns.places import MADE_BY
from dmmlab.experiments.campaigns.program import program
from dmmlab.experiments.figures import FIGURES
from dmmlab.experiments.figures.base import read
from dmmlab.experiments.scenario.load import load

KEY, COLUMNS = ("x",), ("delay_ms", "path")


def row(x: int, delay_ms: float | None, path: str = "direct") -> dict[str, object]:
    return {"x": x, "delay_ms": delay_ms, "path": path}


def differences(mine: Sequence[dict[str, object]], reference: Sequence[dict[str, object]]) -> list[str]:
    return [str(one) for one in compare.points(mine, reference, KEY, COLUMNS)]


def test_a_nanosecond_is_a_difference() -> None:
    assert differences([row(1, 34.0), row(2, None)], [row(1, 34.0), row(2, None)]) == []
    assert differences([row(1, 34.000001)], [row(1, 34.0)]) == ["by +1e-06 in delay_ms at x=1"]


def test_points_that_differ_are_named_the_largest_first() -> None:
    found = differences([row(1, 34.3), row(2, 40.0)], [row(1, 34.0), row(2, 42.0)])
    assert found == ["by -2 in delay_ms at x=2", "by +0.3 in delay_ms at x=1"]


def test_words_missing_values_and_missing_points_are_differences() -> None:
    assert differences([row(1, 1, "relay")], [row(1, 1)]) == ["path is relay instead of direct at x=1"]
    assert differences([row(1, None)], [row(1, 1.0)]) == ["delay_ms is empty instead of 1.0 at x=1"]
    assert differences([], [row(1, 1.0)]) == ["x=1: missing"]
    assert differences([row(1, 1.0)], []) == ["x=1: not in the reference"]


def test_in_real_time_only_intervals_that_are_further_apart_than_a_machine_may_be_off_differ() -> None:
    kind = FIGURES["F2"]
    point = {"phase": "before", "case": "fixed", "transport": "udp", "low_ms": 30.0, "high_ms": 36.0}
    assert compare.by_intervals(kind, [point], [{**point, "low_ms": 35.0, "high_ms": 40.0}]) == []
    assert compare.by_intervals(kind, [point], [{**point, "low_ms": 38.9, "high_ms": 40.0}]) == []
    apart = compare.by_intervals(kind, [point], [{**point, "low_ms": 39.1, "high_ms": 40.0}])
    assert [str(one) for one in apart] == ["by -9.1 in low_ms at phase=before, case=fixed, transport=udp"]


def test_in_real_time_a_share_or_a_count_may_not_be_off_at_all() -> None:
    kind = FIGURES["F6"]
    point = {"method": "ddns", "redirect": True, "residence_s": 5, "low": 0.1, "high": 0.2}
    assert compare.by_intervals(kind, [point], [{**point, "low": 0.2, "high": 0.3}]) == []
    assert compare.by_intervals(kind, [point], [{**point, "low": 0.21, "high": 0.3}])


def test_two_runs_are_compared_by_their_records(tmp_path: Path) -> None:
    scenario = load("two-mr")
    one, two = (figures_fake.make(scenario, tmp_path / name, off).root for name, off in (("a", 0.0), ("b", 1.0)))
    assert not any(found for _, found in compare.folders(one, one))
    found = dict(compare.folders(one, two))
    assert any(difference.column == "rtt_ms" for difference in found["probes.csv"])
    assert any(difference.column == "setup_ms" for difference in found["sessions.csv"])


def test_two_runs_are_compared_by_the_bytes_of_all_their_records(tmp_path: Path) -> None:
    scenario = load("two-mr")
    one, two = (figures_fake.make(scenario, tmp_path / name) for name in "ab")
    for run in (one, two):
        run.log.mkdir(exist_ok=True)
        (run.log / "named.log").write_text("listening\n")
    assert one.imprint() == two.imprint()
    (two.log / "named.log").write_text("Listening\n")
    assert one.imprint() != two.imprint()
    assert compare.differing(one, two) == ["log/named.log"]
    assert [str(difference) for difference in dict(compare.folders(one.root, two.root))["log/named.log"]] == [
        "bytes is other ones instead of the reference's at the whole file"
    ]
    (two.log / "named.log").rename(two.log / "unbound.log")
    assert compare.differing(one, two) == ["log/named.log", "log/unbound.log"]


def test_folders_that_are_neither_runs_nor_figures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(compare.CompareError, match="neither a run directory"):
        compare.folders(tmp_path, tmp_path)


# -- reproduce -------------------------------------------------------------------------------------------------------
def changed_scenario(folder: Path) -> Path:
    """A copy of two-mr with one link delay changed by 1 ms."""
    data = load("two-mr").model_dump(mode="json", by_alias=True)
    for link in data["links"]:
        if set(link["between"]) == {"MR1", "MR2"}:
            link["delay"] = "5ms"
    file = folder / "two-mr.yaml"
    file.write_text(yaml.safe_dump(data))
    return file


def perfect_campaign(ids: Sequence[str], out: Path, file: Path | None = None) -> None:
    """Complete runs of the figures, so that `reproduce` has nothing to run."""
    loader = reproduce.loader({"two-mr": file} if file else None)
    for one in campaign.plan([FIGURES[name] for name in ids], loader):
        figures_fake.make(one.scenario, out / "runs" / one.folder)
        (out / "runs" / one.folder / MADE_BY).write_text(json.dumps({"program": program()}))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference of F1 and F5, from perfect runs."""
    out = tmp_path_factory.mktemp("campaign")
    perfect_campaign(["F1", "F5"], out)
    kinds = reproduce.choose(["F1", "F5"])
    planned = campaign.plan(kinds)
    result = campaign.carry_out(planned, out / "runs", "guest", "virtual")
    verdicts = reproduce.write_reference(kinds, planned, result, out / "reference")
    assert all(verdict.holds for verdict in verdicts)
    return out / "reference"


def test_the_reference_says_what_it_was_made_of(reference: Path) -> None:
    manifest = reproduce.reference_manifest(reference)
    assert set(manifest["figures"]) == {"F1", "F5"}
    assert {run["name"] for run in manifest["runs"]} >= {"two-mr", "f5-distance"}
    assert manifest["program"] == program()
    assert {path.suffix for path in reference.glob("F5-stretch.*")} == {".csv", ".pdf", ".png", ".txt"}
    with pytest.raises(reproduce.ReproduceError, match="not a reference"):
        reproduce.reference_manifest(reference.parent)


def test_what_is_the_same_holds(reference: Path, tmp_path: Path) -> None:
    perfect_campaign(["F1", "F5"], tmp_path)
    verdicts, result = reproduce.reproduce(["F1", "F5"], tmp_path, "guest", "virtual", reference=reference)
    assert [str(verdict) for verdict in verdicts][1].startswith("F5 stretch: holds (")
    assert all(verdict.holds for verdict in verdicts)
    assert str(verdicts[0]) == "F1 continuity: holds (2000 points; 2 runs the same to the byte)"
    assert result.kept == len(result.runs)


def test_runs_with_other_bytes_are_named_and_so_is_what_the_machines_do_not_share(
    reference: Path, tmp_path: Path
) -> None:
    perfect_campaign(["F1"], tmp_path)
    (run, _) = sorted((tmp_path / "runs").iterdir())
    (run / "log").mkdir(exist_ok=True)
    (run / "log" / "named.log").write_text("another version\n")
    verdicts, result = reproduce.reproduce(["F1"], tmp_path, "guest", "virtual", reference=reference)
    assert verdicts[0].holds
    assert str(verdicts[0]).endswith(f"; other bytes in 1 of 2 runs: {run.name})")
    assert reproduce.why_not(result, reference) == []
    shutil.copytree(reference, tmp_path / "reference")
    manifest = reproduce.reference_manifest(reference)
    manifest["environment"] = {"kernel": "another", "machine": {"cores": 96}}
    (tmp_path / "reference" / reproduce.MANIFEST).write_text(json.dumps(manifest))
    result.runs[0].amend(environment={"kernel": "mine", "machine": {"cores": 2}, "python": "3.99"})
    assert reproduce.why_not(result, tmp_path / "reference") == ["kernel: mine here, another there"]


def test_a_link_delay_changed_by_a_millisecond_is_named(reference: Path, tmp_path: Path) -> None:
    file = changed_scenario(tmp_path)
    perfect_campaign(["F1", "F5"], tmp_path, file)
    verdicts, _ = reproduce.reproduce(
        ["F1", "F5"], tmp_path, "guest", "virtual", instead={"two-mr": file}, reference=reference
    )
    continuity, stretch = map(str, verdicts)
    assert continuity.startswith("F1 continuity: differs by +2 in rtt_ms at redirect=True, session=P1, seq=")
    assert stretch.startswith("F5 stretch: differs by +")
    assert "panel=moves, series=chain, x=2" in stretch
    assert not any(verdict.failed for verdict in verdicts), "a figure follows its scenario: its own check still holds"


def test_a_figure_without_a_reference_or_without_runs_does_not_hold(reference: Path, tmp_path: Path) -> None:
    shutil.copytree(reference, tmp_path / "reference")
    (tmp_path / "reference" / "F5-stretch.csv").unlink()
    perfect_campaign(["F5"], tmp_path)
    result = campaign.carry_out(campaign.plan([FIGURES["F5"]]), tmp_path / "runs", "guest", "virtual")
    lacking = reproduce.judge(FIGURES["F5"], result, tmp_path / "figures", "virtual", reference=tmp_path / "reference")
    assert not lacking.holds
    assert "the reference has no such figure" in str(lacking)
    nothing = reproduce.judge(FIGURES["F2"], result, tmp_path / "figures", "virtual", reference=reference)
    assert not nothing.holds
    assert "F2 setup: does not hold: F2: none of" in str(nothing)


def test_an_invalid_run_is_named_by_the_figure_that_it_was_made_for(reference: Path, tmp_path: Path) -> None:
    perfect_campaign(["F1"], tmp_path)
    planned = campaign.plan([FIGURES["F1"]])
    bad = next(one for one in planned if not one.scenario.redirect)
    figures_fake.make(bad.scenario, tmp_path / "runs" / bad.folder, outcome="invalid")
    verdicts, _ = reproduce.reproduce(["F1"], tmp_path, "guest", "virtual", reference=reference)
    assert verdicts[0].failed[0] == "there is no run without the redirect"
    assert f"run {bad.folder} is not valid" in verdicts[0].failed[1]


def test_a_campaign_in_real_time_may_be_as_far_off_as_its_machine(reference: Path, tmp_path: Path) -> None:
    """Judged as real time 2 ms late holds and 6 ms late does not, in a ratio of two ways; the comparison says by how
    much either is off.
    """
    for off_ms, holds in ((2.0, True), (6.0, False)):
        out, kind = tmp_path / f"{off_ms:g}", FIGURES["F5"]
        for one in campaign.plan([kind]):
            figures_fake.make(one.scenario, out / "runs" / one.folder, off_ms)
            (out / "runs" / one.folder / MADE_BY).write_text(json.dumps({"program": program()}))
        result = campaign.carry_out(campaign.plan([kind]), out / "runs", "guest", "virtual")
        assert not reproduce.judge(kind, result, out / "figures", "virtual", reference=reference).holds
        verdict = reproduce.judge(kind, result, out / "figures", "real", reference=reference)
        assert verdict.holds == holds, str(verdict)
        rows, theirs = (read(folder / "F5-stretch.csv") for folder in (out / "figures", reference))
        (shift,) = compare.shifts(out / "figures", reference)
        assert (shift.figure, shift.subject, shift.points) == ("F5-stretch", "stretch", len(rows))
        off = [mine["stretch"] - its["stretch"] for mine, its in zip(rows, theirs, strict=True)]
        assert (shift.lowest, shift.highest) == (min(off), max(off))


def test_an_unknown_figure_is_refused() -> None:
    with pytest.raises(reproduce.ReproduceError, match="unknown figure F99; known are F1, F2"):
        reproduce.choose(["F99"])


# -- the committed reference -----------------------------------------------------------------------------------------
@pytest.mark.skipif(not (reproduce.REFERENCE / reproduce.MANIFEST).is_file(), reason="no committed reference")
@pytest.mark.parametrize("kind", FIGURES.values(), ids=lambda kind: kind.id)
def test_every_figure_of_the_committed_reference_passes_its_own_check(kind: object) -> None:
    assert kind in FIGURES.values()
    figure = next(one for one in FIGURES.values() if one is kind)
    rows = read(reproduce.REFERENCE / f"{figure.stem}.csv")
    assert rows
    assert figure.check(rows) == []


@pytest.mark.skipif(not (reproduce.REFERENCE / reproduce.MANIFEST).is_file(), reason="no committed reference")
def test_the_committed_reference_is_of_the_scenarios_as_they_are_now() -> None:
    manifest = reproduce.reference_manifest()
    assert {run["digest"] for run in manifest["runs"]} == {one.digest for one in campaign.plan()}
    assert sum(path.stat().st_size for path in reproduce.REFERENCE.rglob("*")) < 5_000_000


def test_a_campaign_in_one_family_has_each_scenario_in_it_unless_that_says_another() -> None:
    six = reproduce.loader(None, "ipv6")
    assert (six("two-mr", {}).family, six("two-mr", {"family": "ipv4"}).family) == ("ipv6", "ipv4")
    assert reproduce.loader(None, "ipv4")("two-mr-ipv6", {}).family == "ipv4"
