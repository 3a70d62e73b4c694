"""The lab: starts daemons in order, says whose death ended the run, and ends everything, agents first."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dmmlab.experiments.runner.lab import Lab, LabError
from dmmlab.nodes.daemons.agent import Agent
from dmmlab.nodes.daemons.daemon import Alive, Daemon, DaemonError, wait_for


class Here:
    """A host that is this machine."""

    def popen(self, argv: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(argv, **how)

    def enter(self) -> None:
        pass

    def inside(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()


@dataclass(frozen=True)
class Script(Daemon):
    """A shell script that is ready when it has said so."""

    script: str
    fault: str = ""

    @property
    def argv(self) -> list[str]:
        return ["sh", "-c", self.script]

    def check(self) -> None:
        if self.fault:
            raise DaemonError(self.fault)

    def ready(self, alive: Alive = lambda: None) -> bool:
        return wait_for(lambda: "listening" in self.log.read_text(), alive, 5.0)

    def tidy(self) -> None:
        self.log.write_text(self.log.read_text() + "tidied\n")


@dataclass(frozen=True)
class Sleeper(Agent):
    """Says that it is ready, and stays until SIGTERM, or ends at once."""

    ends: bool = False

    @property
    def argv(self) -> list[str]:
        return []

    @property
    def may_end(self) -> bool:
        return self.ends

    def run(self) -> None:
        self.events.write_text('{"event": "ready"}\n')
        if not self.ends:
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(3))
            time.sleep(60)


@dataclass(frozen=True)
class Mourner(Agent):
    """Says that it ends, a moment later."""

    left: Path

    @property
    def argv(self) -> list[str]:
        return []

    def run(self) -> None:
        def end(number: int, frame: object) -> None:
            time.sleep(0.2)
            with self.left.open("a") as file:
                file.write("agent\n")
            sys.exit(0)

        signal.signal(signal.SIGTERM, end)
        self.events.write_text('{"event": "ready"}\n')
        time.sleep(60)


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab(lambda name: Here())
    yield lab
    lab.stop()


def script(folder: Path, name: str, script: str, fault: str = "") -> Script:
    return Script(script, fault, name=name, host="H1", log=folder / f"{name}.log")


def sleeper(folder: Path, name: str, *, ends: bool = False) -> Sleeper:
    return Sleeper(ends, **_agent(folder, name))


def _agent(folder: Path, name: str) -> dict[str, Any]:
    return {"events": folder / f"{name}.events", "name": name, "host": "H1", "log": folder / f"{name}.log"}


def test_both_kinds_start_get_ready_and_are_ended_and_tidied(tmp_path: Path) -> None:
    lab = Lab(lambda name: Here())
    daemons: list[Daemon] = [script(tmp_path, "named", "echo listening; exec sleep 60"), sleeper(tmp_path, "MN1")]
    lab.start(daemons)
    lab.await_ready(daemons)
    lab.check_alive()
    began = time.monotonic()
    lab.stop()
    assert time.monotonic() - began < 5
    assert (tmp_path / "named.log").read_text() == "listening\ntidied\n"
    lab.check_alive()  # nothing is left that could have died


def test_a_daemon_that_dies_ends_the_wait_with_its_last_words(lab: Lab, tmp_path: Path) -> None:
    lab.start([script(tmp_path, "named", "echo one; echo 'no such zone'; exit 4")])
    waiting = [script(tmp_path, "unbound", "exec sleep 60")]
    lab.start(waiting)
    with pytest.raises(LabError, match="named ended with status 4; its last words: no such zone"):
        lab.await_ready(waiting)


def test_an_agent_that_raises_is_named_with_its_error(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)  # as in the runner; pytest's own is closed in a fork
    agent = Sleeper(events=tmp_path / "none" / "events", name="MN1", host="H1", log=tmp_path / "MN1.log")
    lab.start([agent])
    with pytest.raises(LabError, match=r"MN1 ended with status 1; its last words: FileNotFoundError: .*none/events"):
        lab.await_ready([agent])


def test_who_may_end_may_and_is_not_ended_again(lab: Lab, tmp_path: Path) -> None:
    agent = sleeper(tmp_path, "CN1", ends=True)
    lab.start([agent])
    lab.await_ready([agent])
    lab._running[0][1].wait()
    lab.check_alive()


def test_what_does_not_come_up_is_asked_for_the_fault_in_its_configuration(lab: Lab, tmp_path: Path) -> None:
    faulty = script(tmp_path, "named", "exit 1", "missing semicolon")
    lab.start([faulty])
    with pytest.raises(DaemonError, match="missing semicolon"):
        lab.await_ready([faulty])


def test_a_daemon_that_ends_last_outlives_the_agents(tmp_path: Path) -> None:
    lab, left = Lab(lambda name: Here()), tmp_path / "left"
    says = f"trap 'echo daemon >>{left}; exit' TERM; echo listening; while :; do sleep 0.01; done"
    daemons: list[Daemon] = [script(tmp_path, "named", says), Mourner(left, **_agent(tmp_path, "MN1"))]
    lab.start(daemons)
    lab.await_ready(daemons)
    lab.stop()
    assert left.read_text().split() == ["agent", "daemon"]


def test_what_crashes_is_not_missed_and_starts_again_with_what_it_left(lab: Lab, tmp_path: Path) -> None:
    left = tmp_path / "left"
    named = script(tmp_path, "named", f"echo started >>{left}; echo listening; exec sleep 60")
    lab.start([named])
    lab.await_ready([named])
    killed = lab.crash("H1")
    assert killed == [named]
    lab.check_alive()
    lab.restart(killed)
    deadline = time.monotonic() + 5
    while left.read_text().count("started") < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left.read_text().count("started") == 2
    lab._running[0][1].send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, lab._running[0][1].pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(LabError, match="named ended"):
        lab.check_alive()


def test_what_stands_still_is_ended_all_the_same(tmp_path: Path) -> None:
    lab = Lab(lambda name: Here())
    lab.start([sleeper(tmp_path, "MN1")])
    lab.pause("H1")
    began = time.monotonic()
    lab.stop()
    assert time.monotonic() - began < 5
