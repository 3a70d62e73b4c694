"""A report of a run directory that somebody else has made."""

from __future__ import annotations

import html
import json
import re
import shlex
from pathlib import Path

from event_lines import logged
from recorded_story import Story

from dmmlab.experiments.records import rows
from dmmlab.experiments.records.rows import ProgramRow
from dmmlab.experiments.report import page

SCRIPT = '"></script></style><script>alert(1)</script><img src=x onerror=alert(1)>'


def hostile(value: object) -> object:
    """Every text in it with a script at its end, where none of our own code reads it."""
    if isinstance(value, dict):
        return {key: hostile(each) for key, each in value.items()}
    return f"{value}{SCRIPT}" if isinstance(value, str) else value


def test_a_report_of_a_strangers_run_is_text(tmp_path: Path) -> None:
    run = Story(tmp_path / "run").write()
    (tmp_path / "secret.out").write_text("the secret")
    manifest = json.loads(run.run_json.read_text())
    environment = hostile(manifest["environment"])
    manifest |= {"environment": environment, "name": SCRIPT, "runtime": SCRIPT}
    run.run_json.write_text(json.dumps(manifest))
    run.finish("failed", SCRIPT)
    lines = logged(run.events)
    for event in lines:
        event |= {"reason": SCRIPT, "detail": SCRIPT}
    run.events.write_text("".join(json.dumps(event) + "\n" for event in lines))
    outputs = ["../secret.out", str(tmp_path / "secret.out"), "log/x.out", "run.json"]
    (run.log / "x.out").write_text(f"its words {SCRIPT}")
    made = [ProgramRow(session=SCRIPT, role="client", node=SCRIPT, status=SCRIPT, output=each) for each in outputs]
    rows.write(run.programs, ProgramRow, made)
    (run.root / "figures").mkdir(exist_ok=True)
    (run.root / "figures" / "F1-x.txt").write_text(SCRIPT)
    text = page.write(run.root).read_text()
    assert "the secret" not in text
    assert "its words" in text
    assert "<img src=x" not in text and "<script>alert" not in text
    assert len(re.findall(r"<script", text)) <= 2  # its own: the data, as JSON, and the code
    policy = re.search(r'Content-Security-Policy" content="([^"]*)', text)
    assert policy is not None and "default-src 'none'" in policy[1]


def test_a_command_in_a_report_that_one_may_copy_is_that_command(tmp_path: Path) -> None:
    run = Story(tmp_path / "run").write()
    manifest, evil = json.loads(run.run_json.read_text()), "x; touch /tmp/y #"
    manifest |= {"name": evil, "runtime": evil, "clock": evil, "environment": {"commit": evil}}
    run.run_json.write_text(json.dumps(manifest))
    run.finish("failed", "nothing ran")
    text = html.unescape(page.write(run.root).read_text())
    (command,) = re.findall(r"<code>(dmmlab run [^<]*)</code>", text)
    words = ["dmmlab", "run", f"{evil}.yaml", "--runtime", evil, "--clock", evil, "--seed", "1", "--out", "again"]
    assert shlex.split(command) == words
    assert "git checkout" not in text
