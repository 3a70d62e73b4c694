"""What documents name is there."""

from __future__ import annotations

import re
from pathlib import Path

from fault_rows import table

HERE = Path(__file__).resolve().parent


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
