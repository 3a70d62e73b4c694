"""The message ladders hold against the draft's Figures 2 to 5: who speaks to whom, in which order."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest
from recorded_story import CN, MN, Story

from dmmlab.experiments.ladders import drawing, files
from dmmlab.experiments.ladders.ladder import COLUMNS, CONTROL, FIGURES, USER, Ladder
from dmmlab.experiments.ladders.reading import ladders
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rundir import RunDirectory, read_csv, write_csv
from dmmlab.guest.cache import GuestKernel
from dmmlab.nodes.registration.wire import Message, MessageType, Mode, Transport

PAGE = Path(__file__).parents[3] / "docs" / "ladders.md"
METHODS = ("ddns", "p2p", "central", "combined")  # of the draft's Figures 2 to 5
Row = tuple[str, str, str, str]


def tabled(page: str) -> dict[str, list[Row]]:
    """By method, the rows of its figure's table: plane, from, to, what the ladder says."""
    found: dict[str, list[Row]] = {}
    for section in page.split("\n## ")[1:]:
        if (number := re.match(r"Figure (\d):", section)) is None:
            continue
        method = next(name for name, figure in FIGURES.items() if figure == int(number[1]))
        lines = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("|")][2:]
        found[method] = [row_of(ends.strip(), said.strip()) for _, ends, said, _ in lines]
    return found


def row_of(ends: str, said: str) -> Row:
    source, destination = ends.split(" → ")
    user = said.startswith(("first packet", "answer from", "answer to"))
    return USER if user else CONTROL, source, destination, said


DRAFT = tabled(PAGE.read_text())


def steps_of(ladder: Ladder) -> list[tuple[str, str, str, str]]:
    """The ladder's steps; two questions (or answers) that go side by side, for port and address, count as one."""

    def words(says: str) -> str:
        kind = says.split(":")[0]
        return kind if ladder.method == "ddns" and kind in ("query", "answer") else says

    steps = [step for section in ladder.sections for step in section.steps]
    return [key for key, _ in groupby((step.plane, step.source, step.destination, words(step.says)) for step in steps)]


def without_port(steps: list[tuple[str, str, str, str]]) -> list[tuple[str, str, str, str]]:
    """The relay's port is the kernel's choice."""
    return [(*step[:3], step[3].split(", port")[0] if "relay" in step[3] else step[3]) for step in steps]


def test_the_page_has_the_drafts_four_figures() -> None:
    assert list(DRAFT) == list(METHODS)
    assert [len(rows) for rows in DRAFT.values()] == [14, 10, 14, 12]


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return Story(tmp_path / "run").write()


@pytest.mark.parametrize("method", DRAFT)
def test_order_and_parties_are_those_of_the_drafts_figure(run: RunDirectory, method: str) -> None:
    ladder = next(ladder for ladder in ladders(Recording(run)) if ladder.method == method)
    assert without_port(steps_of(ladder)) == DRAFT[method]


def test_a_message_out_of_place_is_noticed(tmp_path: Path) -> None:
    story = Story(tmp_path / "run")
    late = Message(MessageType.INCOMING_REQUEST, 9, node=MN, target=CN, mode=Mode.P2P, transport=Transport.UDP,
                   peer_port=20_003)  # fmt: skip
    story.of.registration(15.03, 0.022, "SERVER", "MN1@MR2", late)  # the server must not ask MN1 in mode P2P
    ladder = next(ladder for ladder in ladders(Recording(story.write())) if ladder.method == "p2p")
    assert without_port(steps_of(ladder)) != DRAFT["p2p"]


def test_times_are_those_of_both_ends(run: RunDirectory) -> None:
    ladder = next(ladder for ladder in ladders(Recording(run)) if ladder.method == "combined")
    rows = [row for row in ladder.rows() if row["since"] == "Px.combined"]
    assert [(row["departed_ms"], row["arrived_ms"]) for row in rows[:2]] == [
        ("0.000000", "25.000000"), ("25.100000", "47.100000"),
    ]  # fmt: skip
    assert all(float(str(row["arrived_ms"])) > float(str(row["departed_ms"])) for row in ladder.rows())


def test_a_lost_message_has_no_arrival(tmp_path: Path) -> None:
    story = Story(tmp_path / "run")
    lost = Message(MessageType.SERVICE_REQUEST, 30, node=CN, target=MN, mode=Mode.P2P, transport=Transport.UDP,
                   peer_port=20_003)  # fmt: skip
    story.of.registration(14.9, None, "CN3", "SERVER", lost)
    ladder = next(ladder for ladder in ladders(Recording(story.write())) if ladder.method == "p2p")
    assert ladder.sections[-1].steps[0].arrived_ns is None


def test_files_and_caption(run: RunDirectory, tmp_path: Path) -> None:
    drawn = [job() for job in files.jobs(Recording(run), tmp_path / "figures", pdf=True)]
    assert [path.name for path in drawn] == [f"ladder-{method}.png" for method in DRAFT]
    for path in drawn:
        assert path.stat().st_size > 10_000 and path.with_suffix(".pdf").stat().st_size > 5_000
        assert f"Figure {FIGURES[path.stem.removeprefix('ladder-')]}" in path.with_suffix(".txt").read_text()
        assert set(read_csv(path.with_suffix(".csv"))[0]) == set(COLUMNS)


def test_a_caption_says_who_registers(run: RunDirectory) -> None:
    captions = {ladder.method: drawing.caption(ladder) for ladder in ladders(Recording(run))}
    assert "registration of MN1's addresses, then session Px.ddns" in captions["ddns"]
    assert "Black: the first packets of P1 and P2" in captions["ddns"]
    for method in ("p2p", "central", "combined"):
        assert "registration of MN1's and CN3's addresses" in captions[method]


def test_a_method_without_a_session_that_worked_has_no_ladder(run: RunDirectory) -> None:
    rows = [{**row, "outcome": "timeout" if "p2p" in row["session"] else "ok"} for row in read_csv(run.sessions)]
    write_csv(run.sessions, list(rows[0]), rows)
    assert [ladder.method for ladder in ladders(Recording(run))] == ["ddns", "central", "combined"]


@pytest.mark.live
@pytest.mark.parametrize("base", ["two-mr", "two-mr-ipv6"])
def test_a_run_in_the_guest_has_the_drafts_ladders(live_kernel: GuestKernel, base: str, tmp_path: Path) -> None:
    from dmmlab.experiments.runner.run import Progress, run_scenario
    from dmmlab.experiments.scenario.load import load

    short = {
        "name": "ladders",
        "sessions": [
            {"name": "P1", "at": "1s", "from": "MN1", "to": "CN1"},
            {"name": "P2", "at": "3s", "from": "MN1", "to": "CN2"},
            {"name": "Px", "at": "4s", "from": "CN3", "to": "MN1", "method": list(METHODS)},
        ],
        "movement": [{"at": "0s", "node": "MN1", "to": "MR1"}, {"at": "2s", "node": "MN1", "to": "MR2"}],
        "duration": "6s",
    }
    run = run_scenario(load(base, short), tmp_path / "run", "guest", "virtual", Progress())
    found = {ladder.method: steps_of(ladder) for ladder in ladders(Recording(run))}
    assert set(found) == set(DRAFT)
    for method, steps in found.items():
        assert without_port(steps) == DRAFT[method]
