"""A caption says what the runs that are drawn show, whoever made them, and nothing of what they do not have."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import figures_fake
import pytest

from dmmlab.experiments.figures import FIGURES
from dmmlab.experiments.figures.base import write
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.load import load


@pytest.fixture(scope="module")
def captions(make: Callable[..., list[RunDirectory]], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """A figure's caption, drawn once from its own runs."""

    @cache
    def caption_of(figure: str) -> str:
        kind = FIGURES[figure]
        png = write(kind, make(kind), tmp_path_factory.mktemp(figure), pdf=False)
        return png.with_suffix(".txt").read_text()

    return caption_of


def caption(figure: str, folder: Path, base: str = "two-mr", **keys: Any) -> str:
    """Of ``figure`` drawn from one run of scenario ``base`` with ``keys`` in place of its own."""
    run = figures_fake.make(load(base, {"name": "mine", **keys}), folder / "mine")
    png = write(FIGURES[figure], [run], folder, pdf=False)
    return png.with_suffix(".txt").read_text()


def sessions(methods: list[str], **keys: Any) -> list[dict[str, Any]]:
    common = {"from": "CN3", "to": "MN1", "method": methods, "interval": "100ms"}
    early = {"name": "A", "at": "4s", "duration": "20s"}
    return [common | early | keys, common | {"name": "B", "at": "14s", "duration": "10s"} | keys]


def test_the_movement_is_that_of_the_run(tmp_path: Path) -> None:
    said = caption("F3", tmp_path)
    assert "MN1 moves to MR2 at 10 s." in said and "Probes every 100 ms." in said
    assert "20 s" not in said and "40 s" not in said


def test_the_figures_own_run_says_where_its_node_goes(captions: Callable[[str], str]) -> None:
    said = captions("F3")
    assert "MN1 moves to MR2 at 20 s and to MR1 at 40 s." in said and "Probes every 400 ms." in said
    assert "All but server central keep" in said


def test_methods_that_a_run_lacks_are_not_spoken_of(tmp_path: Path) -> None:
    said = caption("F3", tmp_path / "rtt", sessions=sessions(["p2p", "combined"]))
    assert "of P2P and combined" in said
    assert "fixed" not in said and "server" not in said and "DDNS" not in said
    said = caption("F2", tmp_path / "setup", sessions=sessions(["p2p", "combined"]))
    assert "over UDP" in said and "TCP" not in said
    assert "DDNS" not in said and "fixed" not in said


def test_ipv6_is_named(tmp_path: Path) -> None:
    for figure in ("F1", "F2", "F3", "F8"):
        assert "IPv6." in caption(figure, tmp_path / figure, "two-mr-ipv6")
        assert "IPv" not in caption(figure, tmp_path / f"{figure}-4", "two-mr")


def test_a_correspondent_that_moves_is_where_the_stamps_are_from(tmp_path: Path) -> None:
    """P1 of two-mr is opened by MN1."""
    said = caption("F1", tmp_path)
    assert "session P1" in said and "where the session was opened" in said


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        ("F7", "When sessions begin is random"),
        ("F8", "to and fro between two routers"),
        ("F8", "probes every 6 ms, with jitter every 5 ms"),
        ("F14", "Wilson"),
    ],
)
def test_how_a_campaign_was_laid_out_is_said_of_its_own_runs_only(
    figure: str, words: str, tmp_path: Path, captions: Callable[[str], str]
) -> None:
    assert words not in caption(figure, tmp_path / "mine")
    assert words in captions(figure)


def test_n_runs_are_those_that_are_drawn(tmp_path: Path) -> None:
    """F3 takes the first that shows it."""
    runs = [
        figures_fake.make(load("two-mr", {"name": f"r{seed}", "seed": seed}), tmp_path / str(seed)) for seed in (4, 5)
    ]
    said = write(FIGURES["F3"], runs, tmp_path, pdf=False).with_suffix(".txt").read_text()
    assert "1 run; seed 4;" in said
