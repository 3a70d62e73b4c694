"""Programs that are run for a session: their status, what they print, and that nothing of them is left."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dmmlab.machine.events import EventLog
from dmmlab.nodes import clock
from dmmlab.nodes.programs.process import run
from dmmlab.nodes.programs.program import Program


def ran(folder: Path, *words: str, lacks: str = "", for_s: float = 30.0) -> list[dict[str, Any]]:
    """The events of a program that has this long."""
    output, events = folder / "T.client", folder / "events.jsonl"
    program = Program("T", "client", words, lacks, str(folder / "T"), str(output), clock.now_ns() + round(for_s * 1e9))
    asyncio.run(run(program, "10.1.1.100", 5, "mn1", EventLog(events, "CN1", "correspondent")))
    return [json.loads(line) for line in events.read_text().splitlines()]


def test_status_and_output_are_kept(tmp_path: Path) -> None:
    started, ended = ran(tmp_path, "sh", "-c", "echo {address}; echo {port} >&2; pwd >where; exit 3")
    assert (started["event"], ended["event"]) == ("program_started", "program_ended")
    assert (ended["status"], ended["stopped"]) == (3, False)
    assert (tmp_path / "T.client.out").read_text() == "10.1.1.100\n"
    assert (tmp_path / "T.client.err").read_text() == "5\n"
    assert (tmp_path / "T" / "where").read_text().strip() == str(tmp_path / "T")


def test_when_its_time_is_over_it_ends_with_all_that_it_started(tmp_path: Path) -> None:
    script = "trap '' TERM; (trap '' TERM; sleep 1000.125) & setsid sleep 1000.125 & sleep 1000.125"
    began = time.monotonic()
    _, ended = ran(tmp_path, "sh", "-c", script, for_s=0.3)
    assert ended["stopped"]
    assert 0.3 <= time.monotonic() - began < 5
    deadline = time.monotonic() + 5  # a loaded machine takes its time to let go of what was killed
    while "sleep 1000.125" in all_commands():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def all_commands() -> str:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_text().replace("\0", " "))
        except OSError:
            continue
    return "\n".join(found)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("no-such-program", "no-such-program is not installed (package no-such-program)"),
        ("echo 'bash: line 1: sshd: command not found' >&2; exit 127", "sshd is not installed"),
        ("echo 'connect: Address family not supported by protocol' >&2; exit 1", "Address family not supported"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, script: str, reason: str) -> None:
    *_, last = ran(tmp_path, "sh", "-c", script)
    assert last["event"] == "program_unsupported" and reason in last["reason"]


def test_a_failure_is_no_want_of_anything(tmp_path: Path) -> None:
    assert [event["event"] for event in ran(tmp_path, "false")] == ["program_started", "program_ended"]


def test_a_program_that_is_not_there_is_not_started(tmp_path: Path) -> None:
    (only,) = ran(tmp_path, "iperf3", lacks="iperf3 is not installed (package iperf3)")
    assert only["event"] == "program_unsupported"
    assert not (tmp_path / "T.client.out").exists()


def test_stalls_are_what_a_buffer_cannot_cover() -> None:
    from dmmlab.nodes.programs.playout import stalls_s

    on_time = [0.04 * number for number in range(10)]
    assert stalls_s(on_time, 0.04, 0.1) == []
    late = [*on_time[:5], *(0.3 + 0.04 * number for number in range(5, 10))]
    assert stalls_s(late, 0.04, 0.1) == pytest.approx([0.2])  # 0.3 s late, less what the buffer had
    assert stalls_s([], 0.04, 0.1) == []


def test_python_is_the_one_that_runs_this(tmp_path: Path) -> None:
    ran(tmp_path, "python3", "-c", "import dmmlab.nodes.programs.playout, sys; print(sys.prefix)")
    assert (tmp_path / "T.client.out").read_text().strip() == sys.prefix
