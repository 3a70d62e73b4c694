"""What documents name is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from fault_rows import table

from dmmlab.experiments.cli.main import cli

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*/README.md"))]
FOLDERS = "benchmarks|controllers|experiments|guest|machine|nodes|tests|topologies"
YOURS = {"NAME.py", "sticky.py"}  # which the reader is to write


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each `dmmlab` command in a block of the page."""
    for block in re.findall(r"^```[a-z]*\n(.*?)^```", page.read_text(), re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            if match := re.match(r"(?:\.venv/bin/)?dmmlab (.*)", line):
                yield re.split(r"\s{3,}| # | > ", match[1])[0].split()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_tests_and_pages_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text()
    paths = set(re.findall(rf"`((?:{FOLDERS})/[\w./-]*\w/?)`", text))
    assert not [path for path in paths if not (ROOT / path).exists() and Path(path).name not in YOURS]
    links = {link.partition("#")[0] for link in re.findall(r"\]\((?!https?:)([^)]+)\)", text)} - {""}
    assert not [link for link in links if not (page.parent / link).exists()]
    there = {name for file in HERE.rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())}
    assert set(re.findall(r"`(test_\w+)`", text)) <= there
    files = {file.name for file in HERE.rglob("*.py")}
    assert set(re.findall(r"`(test_\w+\.py)`", text)) <= files
    rules = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:`|^)make ([a-z][a-z-]+)", text, re.M)) <= rules


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_have_the_options_that_it_gives_them(page: Path) -> None:
    for words in commands(page):
        command: click.Command = cli
        while isinstance(command, click.Group):
            found = command.get_command(click.Context(command), words[0])
            assert found is not None, words
            command, words = found, words[1:]
        own = words[: words.index("--")] if "--" in words else words
        options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert {word.partition("=")[0] for word in own if word.startswith("--")} <= options, words


def test_the_tests_and_files_that_the_draft_s_page_names_are_there() -> None:
    page = (HERE.parent / "docs" / "draft.md").read_text()
    texts = (file.read_text() for file in HERE.rglob("test_*.py"))
    there = {name for text in texts for name in re.findall(r"^def (test_\w+)", text, re.M)}
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) >= 15
    assert named <= there
    files = set(re.findall(r"`((?:nodes|controllers|experiments|tests)/[\w/]+(?:\.py|/))`", page))
    assert len(files) > 10
    assert not [name for name in files if not (HERE.parent / name).exists()]


def test_the_table_of_faults_is_that_of_its_tests() -> None:
    assert table() in (HERE.parent / "docs" / "faults.md").read_text()


def test_each_threat_names_a_test_that_is_there() -> None:
    page = (HERE.parent / "docs" / "threats.md").read_text()
    texts = (file.read_text() for file in HERE.rglob("test_*.py"))
    there = {name for text in texts for name in re.findall(r"^def (test_\w+)", text, re.M)}
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| threat")]
    assert len(rows) >= 25
    for row in rows:
        tried = row.split("|")[3]
        named = set(re.findall(r"`(test_\w+)`", tried))
        assert named or "the live ones" in tried, row
        assert named <= there, named - there
