"""What the documents say of the records is what the records are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dmmlab.experiments.ladders import ladder
from dmmlab.experiments.records import readme, rows

ROOT = Path(__file__).parents[3]
_UNITS = {"s": "s", "ms": "ms", "mbps": "Mbit/s", "bytes": "B"}
RECORDS = (ROOT / "docs" / "records.md").read_text()


def section(name: str) -> str:
    return RECORDS.split(f"\n## {name}\n")[1].split("\n## ")[0]


def test_the_page_beside_the_results_is_the_generated_one() -> None:
    assert (ROOT / "results" / "README.md").read_text() == readme.page(), (
        "python -m dmmlab.experiments.records.readme results/README.md"
    )


@pytest.mark.parametrize("table", rows.TABLES, ids=lambda table: str(table.FILE))
def test_every_column_is_explained(table: Any) -> None:
    for name, line in zip(rows.columns(table), readme._section(table).splitlines()[4:], strict=True):
        column, unit, meaning = (cell.strip() for cell in line.split("|")[1:4])
        assert column == f"`{name}`" and meaning
        assert unit == _UNITS.get(name.rpartition("_")[2], "")


@pytest.mark.parametrize("table", rows.TABLES, ids=lambda table: str(table.FILE))
def test_columns_are_explained_in_one_place(table: Any) -> None:
    """A second table of columns would contradict the first one sooner or later."""
    assert "(../results/README.md" in section(table.FILE)
    assert "| column |" not in section(table.FILE)


def test_every_column_of_a_ladder_has_its_row_and_no_other_has() -> None:
    cells = [line.split("|")[1] for line in section("figures/ladder-METHOD.csv").splitlines() if line.startswith("| `")]
    named = [column for cell in cells for column in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(ladder.COLUMNS)
