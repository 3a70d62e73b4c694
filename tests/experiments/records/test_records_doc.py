"""docs/records.md names every column of every table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dmmlab.experiments.ladders import ladder as ladders
from dmmlab.experiments.records.rundir import HANDOVERS, PROBES, SESSIONS, SIGNALLING

TEXT = (Path(__file__).parents[3] / "docs" / "records.md").read_text()
TABLES = {
    "sessions.csv": SESSIONS,
    "probes.csv": PROBES,
    "handovers.csv": HANDOVERS,
    "signalling.csv": SIGNALLING,
    "figures/ladder-METHOD.csv": ladders.COLUMNS,
}


@pytest.mark.parametrize("name", TABLES)
def test_every_column_has_its_row_and_no_other_has(name: str) -> None:
    section = TEXT.split(f"\n## {name}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = [column for row in rows for column in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(TABLES[name])
