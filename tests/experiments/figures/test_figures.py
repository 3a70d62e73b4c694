"""Figures on perfect runs: measured, checked, drawn; and each check made to go red once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import figures_fake
import pytest

from dmmlab.experiments.figures import FIGURES, style
from dmmlab.experiments.figures.base import FigureError, FigureKind, Row, finished, read, write
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.model import Scenario

# F10, F13 and F17 read captures, F18 what the controller has sent; F9 and F11 want every message and every loss, and
# F19's means have loss and chance in them.
NOT_FROM_TABLES = ("F9", "F10", "F11", "F13", "F17", "F18", "F19")
FROM_TABLES = [kind for kind in FIGURES.values() if kind.id not in NOT_FROM_TABLES]
FROM_BASE = [kind for kind in FIGURES.values() if kind.id != "F19"]  # whose distances are all drawn
CLOSED_FORM = ["F2", "F3", "F4", "F5", "F8", "F14", "F15"]
Make = Callable[..., list[RunDirectory]]
Measured = Callable[[FigureKind], list[Row]]


@pytest.fixture(scope="module")
def measured(make: Make) -> Callable[[FigureKind], list[Row]]:
    """The rows of a figure's perfect runs, measured once: nobody may change them."""
    return cache(lambda kind: kind.rows(make(kind)))


def test_the_registry_has_the_figures_of_the_contract() -> None:
    names = "continuity setup rtt server-distance stretch staleness survival handover signalling relay loss scale"
    assert [kind.name for kind in FIGURES.values()] == [
        *names.split(),
        *("choice", "fidelity", "blind-window", "handover-kinds", "program", "lifetime", "which-method"),
    ]
    assert list(FIGURES) == [f"F{number}" for number in range(1, 20)]


@pytest.mark.parametrize("kind", FIGURES.values(), ids=lambda kind: kind.id)
def test_scenarios_of_a_figure_are_the_same_every_time_and_have_names_of_their_own(kind: FigureKind) -> None:
    once, again = kind.scenarios(load), kind.scenarios(load)
    assert list(once) == list(again)
    assert len({scenario.name for scenario in once}) == len(once)


@pytest.mark.parametrize("kind", FROM_BASE, ids=lambda kind: kind.id)
def test_a_figure_follows_its_base_scenario(kind: FigureKind) -> None:
    """A delay changed in a copy of the shipped scenario reaches the figure's runs."""

    def changed(name: str, overrides: dict[str, object]) -> Scenario:
        base = load(name, {}).model_dump(mode="json", by_alias=True)
        for link in base["links"]:
            if set(link["between"]) in ({"MR1", "CORE"}, {"MR1", "MR2"}):
                link["delay"] = "6ms"
        return Scenario.model_validate({**base, **overrides})

    assert list(kind.scenarios(changed)) != list(kind.scenarios(load))


@pytest.mark.parametrize("kind", FROM_TABLES, ids=lambda kind: kind.id)
def test_perfect_runs_pass_and_are_drawn_the_same_to_the_byte(kind: FigureKind, make: Make, tmp_path: Path) -> None:
    runs = make(kind)
    png = write(kind, runs, tmp_path / "one")
    rows = read(png.with_suffix(".csv"))
    assert kind.check(rows) == []
    write(kind, list(reversed(runs)), tmp_path / "two")
    for suffix in (".png", ".pdf", ".csv", ".txt"):
        one, two = (tmp_path / folder / f"{kind.stem}{suffix}" for folder in ("one", "two"))
        assert one.read_bytes() == two.read_bytes(), suffix


@pytest.mark.parametrize("kind", FROM_TABLES, ids=lambda kind: kind.id)
def test_a_point_has_one_row_with_the_columns_that_were_declared(kind: FigureKind, measured: Measured) -> None:
    rows = measured(kind)
    keys = [tuple(row[name] for name in kind.key) for row in rows]
    assert len(set(keys)) == len(keys)
    assert all(set(row) <= set(kind.columns) for row in rows)
    assert set(kind.key) <= set(kind.columns)


@pytest.mark.parametrize("kind", FROM_TABLES, ids=lambda kind: kind.id)
def test_a_part_of_its_runs_is_drawn_and_judged_or_said_to_be_too_little(
    kind: FigureKind, make: Make, tmp_path: Path
) -> None:
    """The others may have been invalid."""
    runs = make(kind)
    for run in runs[:: max(1, len(runs) // 4)]:
        try:
            png = write(kind, [run], tmp_path, pdf=False)
        except FigureError as error:
            assert "none of the 1 valid runs shows" in str(error)
        else:
            kind.check(read(png.with_suffix(".csv")))


@pytest.mark.parametrize("name", CLOSED_FORM)
def test_a_millisecond_off_the_closed_form_is_found(name: str, make: Make, tmp_path: Path) -> None:
    kind = FIGURES[name]
    png = write(kind, make(kind, 1.0), tmp_path, pdf=False)
    rows = read(png.with_suffix(".csv"))
    assert kind.check(rows)
    assert kind.check(rows, 1.1) == [], "a machine in real time may be so far off"


def test_f8_in_real_time_may_be_late_and_may_not_be_early(make: Make) -> None:
    kind = FIGURES["F8"]
    assert kind.check(kind.rows(make(kind, 20.0)), 3.0) == [], "what a controller computes has no closed form"
    assert kind.check(kind.rows(make(kind, -1.0)), 3.0)


def test_f1_sees_a_probe_that_should_not_have_been_lost_and_one_that_should(measured: Measured) -> None:
    kind = FIGURES["F1"]
    rows = measured(kind)
    lost = [dict(row, rtt_ms=None) if row["redirect"] and row["seq"] == 7 else row for row in rows]
    found = [dict(row, rtt_ms=40.0) if not row["redirect"] and row["seq"] == 900 else row for row in rows]
    assert kind.check(lost) == ["probe 7 was lost with redirect"]
    assert kind.check(found) == ["probe 900 was answered without redirect"]
    assert kind.check([row for row in rows if row["redirect"]]) == ["there is no run without the redirect"]


def test_f7_sees_a_session_that_dies_though_there_is_a_redirect(measured: Measured) -> None:
    kind = FIGURES["F7"]
    rows = [dict(row, share=0.9) if row["redirect"] else row for row in measured(kind)]
    assert any("not all survive" in found for found in kind.check(rows))


def test_a_figure_takes_the_runs_that_were_made_for_it(make: Make) -> None:
    own, others = make(FIGURES["F1"]), make(FIGURES["F5"])
    assert FIGURES["F1"].choose([*others, *own]) == own
    assert FIGURES["F1"].choose(others) == others, "there are none: all that there is may do"


def test_a_figure_without_runs_says_what_is_missing() -> None:
    with pytest.raises(FigureError, match="F2: none of the 0 valid runs shows set-up delay"):
        FIGURES["F2"].rows([])


def test_invalid_failed_and_unfinished_runs_stay_out(tmp_path: Path) -> None:
    scenario = load("two-mr")
    for outcome in ("ok", "invalid", "failed"):
        figures_fake.make(scenario, tmp_path / outcome, outcome=outcome)
    figures_fake.make(scenario, tmp_path / "unfinished").outcome_json.unlink()
    assert [run.root.name for run in finished([tmp_path])] == ["ok"]


def test_what_is_in_the_file_is_what_was_measured(make: Make, measured: Measured, tmp_path: Path) -> None:
    kind = FIGURES["F5"]
    png = write(kind, make(kind), tmp_path, pdf=False)
    for written, row in zip(read(png.with_suffix(".csv")), measured(kind), strict=True):
        for column in kind.columns:
            assert written[column] == (pytest.approx(row[column]) if column != "series" else row[column])


# -- looks -----------------------------------------------------------------------------------------------------------
def test_methods_are_told_apart_without_colour() -> None:
    looks = list(style.METHODS.values())
    assert len({look.marker for look in looks}) == len(looks)
    assert len({look.dash for look in looks}) == len(looks)
    for stacked in (style.PATHS, style.PROTOCOLS):
        hatches = [hatch for _, hatch in stacked.values()]
        assert len(set(hatches)) >= len(hatches) - 1


def test_grey() -> None:
    assert style.grey("#000000") == 0
    assert style.grey("#ffffff") == pytest.approx(1)


def test_settings_do_not_leak(tmp_path: Path) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with style.in_force():
        figure, axis = style.figure()
        axis.plot([1, 2], label="a")
        legend = axis.legend()
        assert mpl.rcParams["font.family"] == ["serif"]
        assert legend.get_texts()[0].get_fontfamily() == ["serif"]
        style.save(figure, str(tmp_path / "a"), pdf=True)
    assert dict(mpl.rcParams) == before
