"""Sobol's indices of the cost model, and the check of the figure that draws them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dmmlab.experiments.costmodel import sensitivity
from dmmlab.experiments.costmodel.sensitivity import QUESTIONS, RANGES
from dmmlab.experiments.figures import FIGURES
from dmmlab.experiments.figures.which_method_runs import Play, points, scenarios
from dmmlab.experiments.scenario.load import load

Row = dict[str, Any]
FEW = 128  # samples: wide intervals, but in a second


def test_indices_are_the_same_every_time_and_are_shares_of_a_variance() -> None:
    found = sensitivity.indices(FEW)
    sensitivity.indices.cache_clear()
    assert found == sensitivity.indices(FEW)
    for one in found:
        assert one.total >= one.first - one.first_conf - one.total_conf
        assert one.total - one.total_conf <= 1


def test_what_a_cost_does_not_depend_on_has_no_index() -> None:
    """No distance decides who says less, and neither registrations nor sizes who is set up first."""
    by = {(one.question, one.winner, one.parameter): one for one in sensitivity.indices(FEW)}
    for parameter in ("cn_s", "server_s", "ddns_s", "across_s", "exchanges", "loss"):
        assert by["bytes", "p2p", parameter].total == 0
    for parameter in ("lifetime_s", "correspondents", "exchanges"):
        assert by["set-up", "p2p", parameter].total == 0
    ranked = sorted(RANGES, key=lambda name: -by["set-up", "p2p", name].total)
    assert ranked[0] == "server_s"


def test_settings_lie_in_the_ranges() -> None:
    for share, end in ((0.0, "low"), (1.0, "high")):
        setting = sensitivity.setting_at([share] * len(RANGES))
        for name, found in RANGES.items():
            value = getattr(setting, name, None) if hasattr(setting, name) else getattr(setting.ways, name)
            assert value == pytest.approx(getattr(found, end)), name


def test_points_are_played_long_enough_and_every_method_calls_at_the_same_instants() -> None:
    for (_, setting), scenario in zip(points().items(), scenarios(load), strict=True):
        play = Play.of(setting)
        assert scenario.duration == play.duration_s <= 600
        assert all(len(session.method) == 5 for session in scenario.sessions)
        counted = [session for session in scenario.sessions if session.at >= play.counts_from_s]
        assert len(counted) >= 15, scenario.name
    assert [sensitivity.winner(setting, "bytes") for setting in points().values()].count("ddns") >= 2


def _rows(change: Callable[[Row], Row | None] = lambda row: row) -> list[Row]:
    """Rows of F19 as they would be if every mean were the computed one."""
    rows: list[Row] = []
    for name, setting in points().items():
        for key, question in QUESTIONS.items():
            for method in question.methods:
                cost = question.cost(setting, method)
                rows.append({"part": "point", "question": key, "name": name, "method": method, "n": 50,
                             "computed": cost, "measured": cost, "low": None, "high": None})  # fmt: skip
    for one in sensitivity.indices(FEW):
        rows.append({"part": "index", "question": one.question, "name": one.parameter, "method": one.winner,
                     "share": one.share, "first": one.first, "first_conf": one.first_conf, "total": one.total,
                     "total_conf": one.total_conf})  # fmt: skip
    return [changed for row in rows if (changed := change(row)) is not None]


def test_a_perfect_figure_holds() -> None:
    assert FIGURES["F19"].check(_rows()) == []


def test_where_so_few_calls_cannot_tell_no_winner_is_asked_for() -> None:
    """The model's winner is measured twice as late, but its interval reaches down to the other's."""

    def late(row: Row) -> Row:
        if (row["part"], row["question"], row["name"]) != ("point", "set-up", "f19-point-1"):
            return row
        factor = 2.0 if row["method"] == "ddns" else 1.0
        return {**row, "measured": factor * row["computed"], "low": 0.9 * row["computed"], "high": 3 * row["computed"]}

    assert FIGURES["F19"].check(_rows(late)) == []
    apart = [{**row, "low": 1.95 * row["computed"]} if row.get("method") == "ddns" and row["name"] == "f19-point-1"
             and row["question"] == "set-up" and row["part"] == "point" else row for row in _rows(late)]  # fmt: skip
    apart = [{**row, "high": row["computed"]} if row.get("low") and row["method"] != "ddns" else row for row in apart]
    assert any("won, ddns by the model" in sentence for sentence in FIGURES["F19"].check(apart))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda row: {**row, "measured": row["computed"] / 1.1} if row.get("method") == "combined" and
         row["part"] == "point" else {**row, "measured": 1.14 * row["computed"]} if row["part"] == "point" else row,
         "combined won, .* by the model"),
        (lambda row: {**row, "measured": 1.4 * row["computed"]} if row["name"] == "f19-point-3" else row,
         r"f19-point-3, .* computed"),
        (lambda row: None if row["name"] == "f19-point-3" else row, "11 points were played, 12 are due"),
        (lambda row: {**row, "first": row["total"] + 0.9} if row["name"] == "server_s" else row, "no shares"),
        (lambda row: {**row, "first": row["total"], "first_conf": 0.0} if row["part"] == "index" else row,
         "more than 1"),
    ],
)  # fmt: skip
def test_the_figure_s_check_goes_red(change: Callable[[Row], Row | None], found: str) -> None:
    import re

    assert any(re.search(found, sentence) for sentence in FIGURES["F19"].check(_rows(change)))
