"""What a run directory that is damaged, cut or partial does to whoever reads it: one sentence that names the file and
what is wrong in it, exit status 2, and nothing is written; or the command does what it does of a whole one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click
import pytest
from recorded_story import Story

import dmmlab.experiments
from dmmlab.experiments.cli.main import cli
from dmmlab.experiments.figures import parallel, style
from dmmlab.experiments.ladders import files as ladders
from dmmlab.experiments.records import rows
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.machine.errors import Refusal

JSON = ("run.json", "outcome.json")
TABLES = ("sessions.csv", "probes.csv", "handovers.csv", "signalling.csv")
EVENTS = ("events.jsonl", "log/runner.events.jsonl", "log/MN1.events.jsonl", "log/CN3.events.jsonl")
NOT_NEEDED = {"run.json": ("datapath", "identities"), "handovers.csv": rows.columns(rows.HandoverRow)[-3:]}
Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return Story(tmp_path_factory.mktemp("story") / "whole").write()


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is read, measured and written but pictures, which take long."""
    monkeypatch.setattr(parallel, "made", lambda jobs: [job() for job in jobs])
    monkeypatch.setattr(ladders, "draw", lambda *_: "")
    monkeypatch.setattr(style, "save", lambda *_: None)


def without_key(key: str) -> Damage:
    def damage(file: Path) -> None:
        file.write_text(json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != key}))

    return damage


def without_column(column: str) -> Damage:
    def damage(file: Path) -> None:
        head, *lines = [line.split(",") for line in file.read_text().splitlines()]
        place = head.index(column)
        file.write_text("".join(",".join([*one[:place], *one[place + 1 :]]) + "\n" for one in (head, *lines)))

    return damage


def events_with(field: str, value: object = None) -> Damage:
    """All that have ``field`` lack it, or have ``value`` there."""

    def damage(file: Path) -> None:
        events = [json.loads(line) for line in file.read_text().splitlines()]
        for event in (event for event in events if field in event):
            del event[field]
            event |= {} if value is None else {field: value}
        file.write_text("".join(json.dumps(event) + "\n" for event in events))

    return damage


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2 - 1])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def not_text(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\0" * 40)


def cases(run: RunDirectory) -> Iterator[tuple[str, str, Damage]]:
    """A file of ``run``, what is done to it in words, and what does it."""
    for name in JSON:
        for key in json.loads((run.root / name).read_text()):
            yield name, f"{key} is missing", without_key(key)
    for name in TABLES:
        for column in (run.root / name).read_text().splitlines()[0].split(","):
            yield name, f"{column} is missing", without_column(column)
    for name in EVENTS:
        for field in {key for line in (run.root / name).read_text().splitlines() for key in json.loads(line)}:
            yield name, f"{field} is missing", events_with(field)
            yield name, f"{field} is another kind of value", events_with(field, [{}])
    for file in sorted(path for path in run.root.rglob("*") if path.is_file() and path.parent.name != "figures"):
        for damage in (Path.unlink, cut, emptied, not_text):
            yield str(file.relative_to(run.root)), damage.__name__, damage


def commands(damaged: Path, whole: Path, out: Path) -> dict[str, Callable[[], object]]:
    """Every way to read a run directory."""
    lines = {
        "report": ["report", str(damaged)],
        "figure": ["figures", "F2", "--from", str(damaged), "--out", str(out)],
        "ladders": ["figures", "ladders", "--from", str(damaged), "--out", str(out)],
        "compare with": ["compare", str(damaged), str(whole)],
        "compare to": ["compare", str(whole), str(damaged)],
    }
    found: dict[str, Callable[[], object]] = {
        name: partial(cli, line, standalone_mode=False) for name, line in lines.items()
    }
    return found | {"frames": lambda: dmmlab.experiments.load(damaged)}


def said(command: Callable[[], object]) -> tuple[int, str]:
    """Its exit status and sentence. Anything but a refusal is raised."""
    try:
        command()
    except SystemExit as end:
        return int(end.code or 0), ""
    except click.ClickException as error:
        return 2, error.format_message()
    except (Refusal, OSError) as error:
        return 2, str(error)
    return 0, ""


def test_a_run_of_which_anything_is_damaged_is_read_well_or_is_a_sentence_that_says_what(
    whole: RunDirectory, tmp_path: Path
) -> None:
    damaged, out, wrong, refusals = tmp_path / "damaged", tmp_path / "out", [], 0
    for name, how, damage in cases(whole):
        shutil.copytree(whole.root, damaged)
        damage(damaged / name)
        before = {path for path in damaged.rglob("*")}
        for command, run in commands(damaged, whole.root, out).items():
            status, sentence = said(run)
            refusals += status == 2
            written = [*out.rglob("*"), *({*damaged.rglob("*")} - before)]
            gone = (name, how) in {("run.json", "unlink"), ("outcome.json", "unlink")}
            names_it = Path(name).name in sentence or str(damaged) in sentence if gone else Path(name).name in sentence
            if status == 2 and (not names_it or "\n" in sentence or written):
                wrong.append(f"{name}, {how}: {command}: {sentence!r}, written {written}")
            if status == 1 and not command.startswith("compare"):
                wrong.append(f"{name}, {how}: {command}: exit status 1")
            shutil.rmtree(out, ignore_errors=True)
            for path in {*damaged.rglob("*")} - before:
                path.unlink(missing_ok=True) if path.is_file() else None
        shutil.rmtree(damaged)
    assert wrong == [], "\n".join(wrong)
    assert refusals > 200, "the damage does not reach what is read"


def test_what_every_reader_needs_is_missed_by_the_report(whole: RunDirectory, tmp_path: Path) -> None:
    """Not one key of a run's head, not one column of the first version's tables, and no file that it shows."""
    heads = [("run.json", key) for key in ("format", "name", "seed", "runtime", "clock", "environment", "scenario")]
    heads += [("outcome.json", "outcome"), ("outcome.json", "reason")]
    for turn, (name, key) in enumerate(heads):
        damaged = Path(shutil.copytree(whole.root, tmp_path / str(turn)))
        without_key(key)(damaged / name)
        status, sentence = said(partial(cli, ["report", str(damaged)], standalone_mode=False))
        assert (status, sentence.startswith(f"{damaged / name}: ")) == (2, True), (name, key, sentence)
        assert not (damaged / "report.html").exists()
