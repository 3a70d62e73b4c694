"""The registration server as a process, in a directory of a test."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ports import free_port

from dmmlab.nodes.registration.bindings import Backoff
from dmmlab.nodes.registration.client import RegistrationClient

KEYS = {name: name.encode() * 8 for name in ("mn1", "mn2", "cn3")}
QUICK = Backoff(first_s=0.1, deadline_s=2.0)


class Process:
    """The server in a directory; ``start`` returns once its log says that it is ready."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options = folder, options
        (folder / "keys.json").write_text(json.dumps({name: key.hex() for name, key in KEYS.items()}))
        self.address = ("127.0.0.1", free_port())
        self.start()

    def start(self) -> None:
        ready = len(self.events("ready")) + 1
        files = ("--keys", "keys.json", "--database", "bindings.db", "--events", "events.jsonl")
        argv = [sys.executable, "-m", "dmmlab.nodes.registration.server", "--listen", "%s:%d" % self.address]  # noqa: UP031
        self.process = subprocess.Popen(
            [*argv, "--relay-address", "127.0.0.1", *files, *self.options], cwd=self.folder, stderr=subprocess.PIPE
        )
        deadline = time.monotonic() + 10
        while len(self.events("ready")) < ready:
            assert time.monotonic() < deadline and self.process.poll() is None
            time.sleep(0.02)

    def events(self, name: str = "") -> list[dict[str, Any]]:
        file = self.folder / "events.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [line for line in lines if name in ("", line["event"])]

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        _, complaints = self.process.communicate(timeout=10)
        assert complaints == b""
        return self.process.returncode

    def client(self, name: str, **options: Any) -> RegistrationClient:
        options = {"backoff": QUICK} | options
        return RegistrationClient(name, options.pop("key", KEYS.get(name, b"?" * 32)), self.address, **options)
