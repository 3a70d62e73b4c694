"""The controller as a process: it configures a switch, notices one that is lost, and how it ends."""

import itertools
import os
import signal
import socket
import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from controllers_fake import make_plan
from event_lines import logged

from dmmlab.controllers.framework import NAMES

INSTALLED = [name for name in NAMES if find_spec(name)]
START_S = 30
PORTS = itertools.count()


def own_address() -> tuple[str, int]:
    """A loopback address that no other test has, now or at the same time in another process."""
    pid = os.getpid()
    return f"127.{pid >> 16 & 0x3F | 0x40}.{pid >> 8 & 0xFF}.{pid & 0xFF}", 10000 + next(PORTS)


def launch(tmp_path: Path, *options: str) -> tuple[subprocess.Popen[bytes], tuple[str, int]]:
    (tmp_path / "plan.json").write_text(make_plan([], 1).to_json())
    address = own_address()
    command = [sys.executable, "-m", "dmmlab.controllers", "--plan", str(tmp_path / "plan.json")]
    command += ["--events", str(tmp_path / "events"), "--listen", f"{address[0]}:{address[1]}", *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE), address


def connect(address: tuple[str, int], process: subprocess.Popen[bytes]) -> socket.socket:
    """A switch's side of the connection, up to HELLO; retried until the controller listens."""
    for _ in range(START_S * 20):
        assert process.poll() is None, process.stderr and process.stderr.read()
        try:
            return socket.create_connection(address, timeout=START_S)
        except ConnectionRefusedError:
            signal.sigtimedwait([], 0.05)
    raise AssertionError("the controller never listened")


def exchange(switch: socket.socket) -> dict[int, int]:
    """Play a switch without ports or rules through the handshake; flow-mods by table, up to the first barrier."""
    switch.sendall(struct.pack("!BBHI", 4, 0, 8, 1))
    tables: dict[int, int] = {}
    stream = switch.makefile("rb")
    while True:
        _, kind, length, xid = struct.unpack("!BBHI", stream.read(8))
        body = stream.read(length - 8)
        if kind == 5:  # features
            switch.sendall(struct.pack("!BBHIQIBBxxII", 4, 6, 32, xid, 1, 0, 254, 0, 0, 0))
        elif kind == 18:  # multipart: ports, rules
            switch.sendall(struct.pack("!BBHIHHxxxx", 4, 19, 16, xid, struct.unpack("!H", body[:2])[0], 0))
        elif kind == 14:  # flow-mod
            tables[body[16]] = tables.get(body[16], 0) + 1
        elif kind == 20:  # barrier
            switch.sendall(struct.pack("!BBHI", 4, 21, 8, xid))
            return tables


def wait_for(path: Path, event: str) -> dict[str, Any]:
    for _ in range(START_S * 20):
        found = [each for each in logged(path) if each["event"] == event]
        if found:
            return found[0]
        signal.sigtimedwait([], 0.05)
    raise AssertionError(f"no {event}: {path.read_text()}")


@pytest.mark.parametrize("framework", INSTALLED)
def test_the_launcher_configures_a_switch_and_ends_on_sigterm(tmp_path: Path, framework: str) -> None:
    process, address = launch(tmp_path, "--framework", framework)
    try:
        with connect(address, process) as switch:
            assert exchange(switch) == {0: 3, 1: 1}
            wait_for(tmp_path / "events", "ready")
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(START_S) == 0
        stopped = logged(tmp_path / "events")[-1]
        assert stopped["event"] == "stopped" and stopped["counters"]["s1"]["flow_mods"] == 4
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("framework", INSTALLED)
def test_a_lost_switch_is_noticed_at_once_and_may_come_back(tmp_path: Path, framework: str) -> None:
    process, address = launch(tmp_path, "--framework", framework)
    try:
        with connect(address, process) as switch:
            exchange(switch)
            wait_for(tmp_path / "events", "ready")
        wait_for(tmp_path / "events", "switch_lost")
        with connect(address, process) as switch:
            assert exchange(switch) == {0: 3, 1: 1}, "it came back empty"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("framework", INSTALLED)
def test_a_switch_that_refuses_ends_the_controller(tmp_path: Path, framework: str) -> None:
    process, address = launch(tmp_path, "--framework", framework)
    try:
        with connect(address, process) as switch:
            exchange(switch)
            wait_for(tmp_path / "events", "ready")
            switch.sendall(struct.pack("!BBHIHH", 4, 1, 20, 7, 5, 1) + bytes(8))
            assert process.wait(START_S) == 1
        assert "OpenFlow error 5/1" in logged(tmp_path / "events")[-1]["message"]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("framework", INSTALLED)
def test_a_port_that_is_taken_ends_the_controller(tmp_path: Path, framework: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        here = f"127.0.0.1:{taken.getsockname()[1]}"
        process, _ = launch(tmp_path, "--framework", framework, "--listen", here)
        _, errors = process.communicate(timeout=START_S)
    assert process.returncode == 1 and b"dmmlab.controllers:" in errors
    assert logged(tmp_path / "events")[-1]["event"] == "error"


def test_a_wrong_plan_is_a_sentence_and_exit_2(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"switches": []}')
    process, _ = launch(tmp_path, "--plan", str(tmp_path / "bad.json"))
    _, errors = process.communicate(timeout=START_S)
    assert process.returncode == 2
    assert errors.decode().strip() == "dmmlab.controllers: switches: none"
