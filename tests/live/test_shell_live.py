"""`dmmlab shell` as its user has it: at a terminal, line by line, in both families, with a mobile correspondent."""

from __future__ import annotations

import os
import pty
import re
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.runner.run import Progress, run_scenario
from dmmlab.experiments.scenario.load import load

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("live_kernel")]

PROMPT = "dmmlab> "
WIDE = {"COLUMNS": "240", "LINES": "50"}  # a terminal on which rows fit
PATIENCE_S = 90.0
KEYS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """A program at a terminal, and all that it has written since the last question."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self.said = descriptor, ""

    def until(self, words: str) -> str:
        """What was written up to ``words``, without the terminal's own codes. Fails if they do not come."""
        deadline = time.monotonic() + PATIENCE_S
        while words not in self.said:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self._descriptor], [], [], left)[0], f"{words!r} not in {self.said!r}"
            try:
                came = os.read(self._descriptor, 1 << 16)
            except OSError:
                came = b""
            assert came, f"ended before {words!r}: {self.said!r}"
            self.said = KEYS.sub("", self.said + came.decode(errors="replace"))
        before, _, self.said = self.said.partition(words)
        return before

    def type(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def ask(self, line: str) -> str:
        """What ``line`` has the prompt write before it asks for the next one."""
        self.type(f"{line}\r")
        self.until(line)  # its echo, and before it whatever else was told meanwhile
        self.until("\n")
        return self.until(PROMPT)

    def ask_until(self, line: str, holds: Callable[[str], bool]) -> str:
        """As `ask`, again and again until the answer ``holds``."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds(said := self.ask(line)):
            assert time.monotonic() < deadline, said
        return said


@contextmanager
def prompt_of(scenario: Path, folder: Path) -> Iterator[Terminal]:
    """The prompt of ``scenario``, which is left in the end."""
    child, descriptor = pty.fork()
    if child == 0:
        os.chdir(folder)
        command = [sys.executable, "-m", "dmmlab.experiments.cli.main", "shell", str(scenario)]
        os.execve(sys.executable, command, {**os.environ, **WIDE})
    terminal = Terminal(descriptor)
    try:
        terminal.until(PROMPT)
        yield terminal
        terminal.type("exit\r")
        terminal.until("plays the same again")
        assert os.waitpid(child, 0)[1] == 0
    except BaseException:
        os.kill(child, 15)
        os.waitpid(child, 0)
        raise
    finally:
        os.close(descriptor)


def lines_with(said: str, *words: str) -> list[str]:
    """The lines that have all of ``words``, spaces between cells as one."""
    found = (" ".join(line.split()) for line in said.splitlines())
    return [line for line in found if all(word in line for word in words)]


@pytest.mark.parametrize("base", ["two-mr", "two-mr-ipv6"])
def test_a_user_moves_nodes_opens_sessions_and_looks_at_who_knows_what(base: str, tmp_path: Path) -> None:
    links = load(base).model_dump(mode="json", by_alias=True)["links"]
    own = {
        "extends": base,
        "name": "play",
        "links": [*links, {"between": ["radio", "MN2"], "delay": "2ms"}],
        "movement": [{"at": "0s", "node": "MN1", "to": "MR1"}, {"at": "0s", "node": "MN2", "to": "MR2"}],
        "sessions": [],
    }
    (tmp_path / "play.yaml").write_text(yaml.safe_dump(own))
    with prompt_of(tmp_path / "play.yaml", tmp_path) as at:
        assert "session FROM TO METHOD" in at.ask("help")
        at.type("session CN3 MN1 comb\t")
        at.until("combined")  # the rest of the word came by itself
        at.type("\r")
        at.until("\n")
        said = at.until(PROMPT)
        assert lines_with(said, "S1: lookup:", "port 5001")
        assert lines_with(said, "S1 combined udp CN3 MN1", "MR1 MR1 direct ok", "1/1")
        assert at.ask("move MN9 MR2").strip() == "no mobile node has the name MN9; there are MN1, MN2"
        assert "MN1 is at MR1 already; others are MR2" in at.ask("move MN1 MR1")
        assert "mvoe: no command and no node; did you mean move?" in at.ask("mvoe MN1 MR2")
        said = at.ask("session CN2 MN1 all")
        for method, path in dict(
            fixed="direct", ddns="direct", p2p="direct", central="relay", combined="direct"
        ).items():
            assert lines_with(said, f" {method} udp CN2 MN1", f" {path} ok"), method

        at.ask("session MN2 MN1 p2p 12s name=Through")
        at.until("Through: goes on with")
        assert "MN1 has left MR1 and is attached to MR2" in at.ask("move MN1 MR2")
        said = at.ask_until(
            "bindings", lambda said: bool(lines_with(said, "MN1 ", " MR2 MR2 direct", "newest, port 5001"))
        )
        old, new = lines_with(said, "MN1 ", " MR1 MR2 redirect MR1 → MR2"), lines_with(said, "MN1 ", " MR2 MR2 direct")
        assert old and new and "newest, port 5001" in new[0] and "TTL 5 s" in new[0]
        assert lines_with(said, "CN3 ", "over the core newest, port 5001")
        said = at.ask("flows")
        assert lines_with(said, "s1 (MR1) anchor MN1", "redirects packets to it to MR2")
        assert lines_with(said, "s2 (MR2) serving MN1", "back to its anchor MR1, by MR1")
        assert lines_with(said, "s2 (MR2) serving MN2 - sees it at port MN2-radio")
        before = answered(at.ask("sessions"))
        at.ask_until("sessions", lambda said: answered(said) > before + 20)  # it goes on through the move
        at.until("Through: has ended")
        at.until("sessions.csv")
        assert lines_with(at.until(PROMPT), "Through p2p udp MN2 MN1", " ok MR2 MR2")

    run = RunDirectory(tmp_path / "results" / "play-shell")
    recording = Recording(run)
    assert [row.outcome for row in recording.session_rows] == ["ok"] * 7
    again = load(run.root / "played.yaml")
    assert [(move.node, move.to) for move in again.movement] == [("MN1", "MR1"), ("MN2", "MR2"), ("MN1", "MR2")]
    virtual = Recording(run_scenario(again, tmp_path / "again", "guest", "virtual", Progress()))
    assert (virtual.run.outcome() or {})["outcome"] == "ok"
    for row in virtual.session_rows:
        assert row.setup_ms is not None and row.setup_ms == row.expected_setup_ms


def answered(said: str) -> int:
    """How many probes of the session that goes on were answered."""
    found = re.search(r"(\d+)/\d+", lines_with(said, "Through p2p")[0])
    assert found is not None
    return int(found[1])
