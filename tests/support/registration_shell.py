"""The registration server's own shell, with its database, on a simulated clock and network: killed wherever one likes.

What runs is ``Server`` with the flush, the batch and the timers of the process, ``Store`` on a file, and the clients'
cores; only the event loop, the socket and the relays' ports are made up.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from registration_world import EPOCH_NS, KEYS, SERVER, World

from dmmlab.machine import catalogue
from dmmlab.nodes.registration import inbox
from dmmlab.nodes.registration import server as shell
from dmmlab.nodes.registration.bindings import LegOpened, Peer, Record, RelayWanted
from dmmlab.nodes.registration.server_core import ServerCore
from dmmlab.nodes.registration.store import Store

RESTART_NS = 1_000_000  # at the least; the server's numbers follow the time
MEMORY = Path("/dev/shm")  # files there outlive a process, and cost no disk


class Killed(Exception):
    """The process is no more."""


class Clock:
    """The time, in nanoseconds since the epoch, and what is to be done at which; stands for the server's event loop."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns, self._order = now_ns, itertools.count()
        self._timers: list[tuple[int, int, Callable[[], object]]] = []

    def time_ns(self) -> int:
        """As `time.time_ns`."""
        return self.now_ns

    def monotonic(self) -> float:
        """As `time.monotonic`."""
        return self.now_ns / 1e9

    def call_later(self, delay_s: float, do: Callable[..., object], *arguments: object) -> SimpleNamespace:
        """As an event loop's."""
        number = next(self._order)
        heapq.heappush(self._timers, (self.now_ns + round(delay_s * 1e9), number, lambda: do(*arguments)))
        return SimpleNamespace(cancel=lambda: self._cancel(number))

    def call_soon(self, do: Callable[..., object], *arguments: object) -> SimpleNamespace:
        """As an event loop's."""
        return self.call_later(0.0, do, *arguments)

    def _cancel(self, number: int) -> None:
        self._timers = [each for each in self._timers if each[1] != number]
        heapq.heapify(self._timers)

    def forget(self) -> None:
        """Whose timers they were is no more."""
        self._timers.clear()

    def go(self, until_ns: int) -> None:
        """Do what is due by then, in order, each at its time."""
        while self._timers and self._timers[0][0] <= until_ns:
            due_ns, _, do = heapq.heappop(self._timers)
            self.now_ns = max(self.now_ns, due_ns)
            do()
        self.now_ns = max(self.now_ns, until_ns)


class Disk(Store):
    """A store that is full, or in which the process dies: ``within`` the transaction, or ``after`` it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path, self.full, self.dies = path, False, ""

    def save(self, records: Iterable[Record]) -> None:
        """As a store's."""
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        if self.dies == "within":
            self._database = _Dying(self._database)  # type: ignore[assignment]
        super().save(records)
        if self.dies == "after":
            raise Killed

    def left(self, path: Path) -> Path:
        """What the process that dies now leaves on disk, at another path."""
        for end in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(f"{self.path}{end}", f"{path}{end}")
        self.close()
        for end in ("", "-wal"):
            Path(f"{self.path}{end}").unlink(missing_ok=True)
        return path


class _Dying:
    """A connection to a database whose process does not live to commit."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def execute(self, statement: str) -> object:
        if statement == "COMMIT":
            raise Killed
        return self._database.execute(statement)


class Socket:
    """The server's UDP socket; with ``lives`` it dies when it has sent so many more."""

    def __init__(self, send: Callable[[Peer, bytes], None]) -> None:
        self._send, self.lives, self.inbox = send, -1, list[tuple[bytes, tuple[str, int]]]()

    def recvmsg(self, _size: int, _space: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, tuple[str, int]]:
        """As a socket's; it has come just now."""
        if not self.inbox:
            raise BlockingIOError
        data, source = self.inbox.pop(0)
        return data, [], 0, source

    def sendto(self, data: bytes, address: tuple[str, int]) -> None:
        """As a socket's."""
        if self.lives == 0:
            raise Killed
        self.lives -= 1
        self._send(("udp", *address), data)


class Ports:
    """A relay that has ports and legs, and carries nothing."""

    numbers = itertools.count(30_000)

    def __init__(self, _wanted: RelayWanted, _server: shell.Server) -> None:
        self.port, self.leg_port = next(self.numbers), next(self.numbers)
        self.legs: list[tuple[str, int]] = []

    def open_leg(self, leg: LegOpened) -> None:
        """As a relay's."""
        self.legs.append(leg.address)

    def retire_leg(self, address: tuple[str, int]) -> None:
        """As a relay's."""
        self.legs.remove(address)

    def carried(self) -> dict[str, int]:
        """As a relay's."""
        return {"down": 0, "up": 0, "dropped": 0, "bytes": 0}

    def count(self) -> int:
        """As a relay's."""
        return 0

    def close(self) -> None:
        """As a relay's."""


class Log:
    """An event log in memory; what is not in the catalogue is an error."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, dict[str, Any]]] = []

    def emit(self, event: str, **fields: object) -> None:
        """As an event log's."""
        self.write([(event, 0, fields)])

    def write(self, entries: Iterable[tuple[str, int, Any]]) -> None:
        """As an event log's."""
        for event, _, fields in entries:
            catalogue.check("server", event, fields)
            self.entries.append((event, fields))


class ShellWorld(World):
    """The server's shell and its nodes; ``post`` says what becomes of a packet."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.clock, self.events, self.lives = Clock(EPOCH_NS), Log(), 0
        self.patches = contextlib.ExitStack()
        self.patches.callback(shutil.rmtree, self.folder)
        stand_ins = ((shell, "time", self.clock), (inbox, "time", self.clock))
        for module, name, stand_in in (*stand_ins, (shell, "UdpRelay", Ports), (shell, "TcpRelay", Ports)):
            self.patches.enter_context(patch.object(module, name, stand_in))
        self._start(self.folder / "0")

    def _start(self, database: Path) -> None:
        """A process on what is on the disk."""
        self.disk = Disk(database)
        self.socket = Socket(lambda to, data: self.post(SERVER, to, data))
        self.server = ServerCore(
            KEYS, self.clock.now_ns, records=self.disk.load(), relay_address="10.0.0.5", leg_linger_s=5.0
        )
        with patch.object(asyncio, "get_running_loop", lambda: self.clock):
            self.process = shell.Server(self.server, self.disk, self.events, relay_idle_s=60.0)  # type: ignore[arg-type]
        self.process._udp = inbox.Inbox.__new__(inbox.Inbox)
        self.process._udp.socket, self.process._udp._behind_s = self.socket, None  # type: ignore[assignment]
        self.process._udp._now_ns = self.clock.time_ns
        self.process._clock = SimpleNamespace(now_ns=self.clock.time_ns)  # type: ignore[assignment]
        self.process.flush()

    def kill(self) -> None:
        """-9, and start it again: of what it had in memory nothing is left."""
        self.lives += 1
        self.clock.forget()
        self.clock.now_ns += RESTART_NS
        full = self.disk.full
        self._start(self.disk.left(self.folder / str(self.lives)))
        self.disk.full = full

    def _alive(self, do: Callable[[], object]) -> None:
        """Have the server do it; where it dies, it starts again."""
        try:
            do()
        except Killed:
            self.kill()

    def arrive(self, data: bytes, source: Peer) -> None:
        """A datagram at the server."""
        self.socket.inbox.append((data, source[1:]))
        self._alive(self.process._readable)

    def settle(self) -> None:
        """What the nodes have to send leaves."""
        for node in {id(one): one for one in self.nodes.values()}.values():
            self.settle_node(node)

    def elapse(self, seconds: float) -> None:
        """Time, for all."""
        until_ns = self.clock.now_ns + round(seconds * 1e9)
        while self.clock.now_ns < until_ns:
            self._alive(lambda: self.clock.go(until_ns))
        self.now_ns = self.clock.now_ns
        for node in {id(one): one for one in self.nodes.values()}.values():
            node.core.handle_timer(self.now_ns)
        self.settle()

    def end(self) -> None:
        """Nothing is left of it."""
        self.disk.close()
        self.patches.close()
