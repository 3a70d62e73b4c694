"""The page ``results/README.md``: what a run leaves, column by column, as `rows` describes it.

``python -m dmmlab.experiments.records.readme FILE`` writes it anew, and a test compares the committed
one.
"""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from dmmlab.experiments.records.rows import TABLES

_HEAD = """\
# What a run leaves, column by column

Everything here but this page and `reference/` is yours to delete. A run directory looks like this; the figures, the
report and `dmmlab compare` are functions of these files alone.

| file | what it holds |
|---|---|
| `run.json` | the resolved scenario, seed, runtime, clock, versions, kernel, commit; written first |
| `outcome.json` | `outcome`: ok, failed or invalid; `reason`; `wall_s`. Written last, all at once: where it \
is, the run is finished |
| `events.jsonl` | one causal timeline: `time_s`, `source` (who saw it), `event`, and the event's own fields |
| `sessions.csv`, `probes.csv`, `handovers.csv`, `signalling.csv` | the records, below |
| `programs.csv`, `program_moves.csv` | the same of programs of one's own (`run`), where there are any |
| `capture/HOST.pcap` | what each host's interface sent and received, stamped by the kernel in ns; opens in Wireshark |
| `log/` | what each process printed, and its own events; `sN.flows`: a switch's rules at the end; \
`SESSION.ROLE.out`, `.err`: what a program printed |
| `figures/` | figures of this run, where some were drawn |

Times ending in `_s` are seconds since the scenario's start, delays ending in `_ms` are milliseconds. An empty cell is
something that did not happen (a probe without an answer has no `received_s`). Rows are never left out.
"""

_TAIL = """\
What stands in `message` and `cause`, and what an event's fields are: `docs/records.md`.

## In Python

```python
from dmmlab.experiments import load
frames = load("results/two-mr")  # or a folder of runs
frames.sessions.groupby("method").setup_ms.median()
```

`runs`, `sessions`, `probes`, `handovers`, `signalling`, `programs`, `program_moves` and `events` are pandas \
frames with these columns, and `run` in front. Invalid and failed runs stay out unless \
`invalid=True`; `frames.runs` lists them all, with their reasons.

## reference/

The committed outcome of the default campaign: of each figure its CSV, PNG, PDF and caption, and `manifest.json`
(scenarios by digest, seeds, versions, commit). `dmmlab reproduce` runs the campaign anew and compares with it, point by
point; `docs/figures.md` says what each figure's columns are and what must hold.

---
The tables are generated from `experiments/records/rows.py`: `python -m dmmlab.experiments.records.readme \
results/README.md`.
"""


def page() -> str:
    """The whole page, Markdown."""
    return "\n".join((_HEAD, *(_section(table) for table in TABLES), _TAIL))


def _section(table: type[Any]) -> str:
    lines = [f"## {table.FILE}: {table.EACH}", "", "| column | unit | meaning | from |", "|---|---|---|---|"]
    for column in fields(table):
        about = column.metadata
        lines.append(f"| `{column.name}` | {about['unit']} | {about['meaning']} | {about['source']} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
