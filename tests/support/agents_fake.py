"""Agents without a kernel: an event loop on a clock of its own, and a network whose datagrams take as long as it says.

    with world() as of:
        of.network.serve("10.1.1.100", 5001, lambda data, source: data)
        of.run(session.run())

Time passes only while everybody waits, and then to the next timer at once: an hour takes a millisecond, and a delay is
what it should be to the nanosecond. ``of.run`` fails if its coroutine waits for what can never come.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from dmmlab.machine import timekeeping
from dmmlab.machine.events import EventLog

EPOCH_NS = 1_700_000_000 * 10**9
ANY = "0.0.0.0"
Address = tuple[str, int]
Handler = Callable[[bytes, Address], bytes | None]  # what a server answers to a datagram of whom
T = TypeVar("T")


class Clock:
    """The time, in ns since the world began; it began at `EPOCH_NS`."""

    def __init__(self) -> None:
        self.ns = 0

    @property
    def s(self) -> float:
        return self.ns / 1e9

    @contextlib.contextmanager
    def everywhere(self) -> Iterator[None]:
        """What `time` says, for as long as the block runs."""
        with (
            mock.patch.object(time, "time_ns", lambda: EPOCH_NS + self.ns),
            mock.patch.object(time, "monotonic_ns", lambda: self.ns),
            mock.patch.object(time, "monotonic", lambda: self.s),
            mock.patch.object(timekeeping, "INSTRUMENTS", timekeeping.Steady()),  # by the three above
        ):
            yield


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting, it moves the clock on."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError(f"at {self._clock.s:g} s everybody waits, and nothing will ever happen")
        if not ready and timeout is not None and timeout > 0:
            self._clock.ns += max(1, round(timeout * 1e9))
        return ready


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that knows fake sockets beside real ones."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(_JumpingSelector(clock))
        self._fake_clock = clock

    def time(self) -> float:
        return self._fake_clock.s

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:  # type: ignore[override]
        if not isinstance(fd, FakeSocket):
            return super().add_reader(fd, callback, *args)
        fd.reader = lambda: callback(*args)
        return None

    def remove_reader(self, fd: Any) -> bool:
        if not isinstance(fd, FakeSocket):
            return super().remove_reader(fd)
        fd.reader = None
        return True

    async def sock_recv(self, sock: Any, n: int) -> bytes:
        return (await self.sock_recvfrom(sock, n))[0]

    async def sock_recvfrom(self, sock: Any, bufsize: int) -> tuple[bytes, Any]:
        while not sock.waiting:
            arrival = self.create_future()
            sock.arrivals.append(arrival)
            await arrival
        return sock.recvfrom(bufsize)  # type: ignore[no-any-return]


class FakeSocket:
    """A datagram socket on the fake network."""

    def __init__(self, network: FakeNetwork) -> None:
        self._network = network
        network.sockets.append(self)
        self.local: Address = (ANY, 0)
        self.peer: Address | None = None
        self.waiting: deque[tuple[bytes, Address] | OSError] = deque()
        self.reader: Callable[[], Any] | None = None
        self.arrivals: list[asyncio.Future[None]] = []
        self.closed = False

    def fileno(self) -> FakeSocket:
        """What the loop knows it by."""
        return self

    def setblocking(self, flag: bool) -> None:
        assert not flag, "an agent's sockets must not block"

    def setsockopt(self, *option: int) -> None:
        pass

    def bind(self, address: Address) -> None:
        host = address[0] or ANY
        if host != ANY and host not in self._network.own:
            raise OSError(99, "Cannot assign requested address")
        self.local = (host, address[1] or self._network.free_port())

    def connect(self, address: Address) -> None:
        self.peer = address

    def getsockname(self) -> Address:
        return self.local

    def send(self, data: bytes) -> int:
        assert self.peer is not None
        return self.sendto(data, self.peer)

    def sendto(self, data: bytes, address: Address) -> int:
        if self.local[1] == 0:
            self.bind(("", 0))
        host = self._network.own[-1] if self.local[0] == ANY else self.local[0]
        self._network.carry(self, data, (host, self.local[1]), address)
        return len(data)

    def recv(self, size: int) -> bytes:
        return self.recvfrom(size)[0]

    def recvfrom(self, _size: int) -> tuple[bytes, Address]:
        if not self.waiting:
            raise BlockingIOError
        arrived = self.waiting.popleft()
        if isinstance(arrived, OSError):
            raise arrived
        return arrived

    def arrive(self, what: tuple[bytes, Address] | OSError) -> None:
        """A datagram with its sender, or an ICMP error, is there."""
        if self.closed:
            return
        self.waiting.append(what)
        for future in self.arrivals:
            if not future.done():
                future.set_result(None)
        self.arrivals.clear()
        if self.reader is not None:
            self.reader()

    def close(self) -> None:
        self.closed = True
        if self in self._network.sockets:
            self._network.sockets.remove(self)

    def __enter__(self) -> FakeSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FakeNetwork:
    """Everybody else, as an agent sees them: servers at addresses, ways that take time, ways that are no more.

    ``own`` are the agent's addresses, the last one the kernel's choice; ``delay_s`` is one-way, per address.
    ``sent`` has (when in s, source, destination, data) of every datagram that left.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.own: list[str] = ["10.2.1.2"]
        self.delay_s: dict[str, float] = {}
        self.silent: set[str] = set()  # nothing comes back from there
        self.refusing: set[str] = set()  # there is nobody at the port, and an ICMP error says so
        self.unroutable: set[str] = set()  # the kernel has no route
        self.sent: list[tuple[float, Address, Address, bytes]] = []
        self.sockets: list[FakeSocket] = []
        self._servers: dict[Address, Handler] = {}
        self.on_post: Callable[[bytes, Address], Any] = lambda data, to: None  # whoever else hears what servers send
        self._ports = iter(range(40_000, 60_000))

    def free_port(self) -> int:
        return next(self._ports)

    def serve(self, host: str, port: int, handler: Handler) -> None:
        self._servers[host, port] = handler

    def way_s(self, host: str) -> float:
        return self.delay_s.get(host, 0.01)

    def carry(self, of: FakeSocket, data: bytes, source: Address, to: Address) -> None:
        if to[0] in self.unroutable:
            raise OSError(101, "Network is unreachable")
        self.sent.append((self._clock.s, source, to, data))
        if to[0] in self.silent:
            return
        loop = asyncio.get_running_loop()
        if to[0] in self.refusing:
            loop.call_later(2 * self.way_s(to[0]), of.arrive, ConnectionRefusedError(111, "Connection refused"))
        else:
            loop.call_later(self.way_s(to[0]), self._serve, of, data, source, to)

    def _serve(self, of: FakeSocket, data: bytes, source: Address, to: Address) -> None:
        handler = self._servers.get(to)
        answer = None if handler is None else handler(data, source)
        if answer is not None:
            asyncio.get_running_loop().call_later(self.way_s(to[0]), of.arrive, (answer, to))

    def post(self, data: bytes, source: Address, to: Address) -> None:
        """A server at ``source`` sends of its own accord; whoever of us is bound to ``to`` gets it."""
        asyncio.get_running_loop().call_later(self.way_s(source[0]), self._deliver, data, source, to)

    def _deliver(self, data: bytes, source: Address, to: Address) -> None:
        if to[0] not in self.own:
            self.on_post(data, to)
        for each in list(self.sockets):
            if each.local[1] == to[1] and each.local[0] in (ANY, to[0]):
                each.arrive((data, source))

    def sent_to(self, host: str) -> list[bytes]:
        return [data for _, _, to, data in self.sent if to[0] == host]


class World:
    """A clock, a network, and a loop to run an agent on."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.network = FakeNetwork(self.clock)
        self._loop = _Loop(self.clock)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """What ``main`` returns; tasks that it leaves behind are cancelled, and what broke in one unseen is raised."""
        with self.clock.everywhere(), mock.patch.object(socket, "socket", lambda *_: FakeSocket(self.network)):
            asyncio.set_event_loop(self._loop)
            try:
                return self._loop.run_until_complete(self._to_the_end(main))
            finally:
                asyncio.set_event_loop(None)

    async def _to_the_end(self, main: Coroutine[Any, Any, T]) -> T:
        begun: list[asyncio.Task[Any]] = []

        def begin(loop: asyncio.AbstractEventLoop, work: Any, **how: Any) -> asyncio.Task[Any]:
            begun.append(asyncio.Task(work, loop=loop, **how))
            return begun[-1]

        self._loop.set_task_factory(begin)
        try:
            return await main
        finally:
            self._loop.set_task_factory(None)
            for task in begun:
                task.cancel()
            await asyncio.sleep(0)
            await asyncio.gather(*(task for task in begun if not task.done()), return_exceptions=True)
            for task in begun:
                if task._log_traceback:  # nobody has looked at how it ended
                    task.result()

    def close(self) -> None:
        self._loop.close()


@contextlib.contextmanager
def world() -> Iterator[World]:
    """A world that begins at 0 s."""
    made = World()
    try:
        yield made
    finally:
        made.close()


class Log:
    """An event log that a test can read: (seconds, event, fields). The catalogue is asked as in the real one."""

    def __init__(self, path: Path, role: str) -> None:
        self._path = path
        self.log = EventLog(path, role, role)

    @property
    def rows(self) -> list[tuple[float, str, dict[str, Any]]]:
        rows = [json.loads(line) for line in self._path.read_text().splitlines()]
        return [
            ((row.pop("time_ns") - EPOCH_NS) / 1e9, row.pop("event"), {k: v for k, v in row.items() if k != "source"})
            for row in rows
        ]

    @property
    def names(self) -> list[str]:
        return [name for _, name, _ in self.rows]

    def of(self, name: str) -> list[dict[str, Any]]:
        return [fields for _, event, fields in self.rows if event == name]

    def times(self, name: str) -> list[float]:
        return [at_s for at_s, event, _ in self.rows if event == name]


# -- streams ---------------------------------------------------------------------------------------------------------
class FakeStream:
    """The agent's side of a TCP connection, reader and writer in one, to a service that answers after ``rtt_s``.

    The service echoes, or says at the end what ``at_end`` makes of it all; it hangs up after ``breaks_after`` chunks.
    """

    def __init__(
        self, rtt_s: float, at_end: Callable[[bytes], bytes] | None = None, breaks_after: int | None = None
    ) -> None:
        self.taken, self.closed = b"", False
        self._rtt_s, self._at_end, self._breaks_after = rtt_s, at_end, breaks_after
        self._chunks = 0

    @functools.cached_property
    def reader(self) -> asyncio.StreamReader:
        return asyncio.StreamReader()

    def write(self, data: bytes) -> None:
        self.taken += data
        self._chunks += 1
        if self._at_end is None:
            self._answer(data)
        if self._chunks == self._breaks_after:
            asyncio.get_running_loop().call_later(self._rtt_s, self.reader.feed_eof)

    def _answer(self, data: bytes) -> None:
        def feed() -> None:
            if not self.reader._eof:  # type: ignore[attr-defined]
                self.reader.feed_data(data)

        asyncio.get_running_loop().call_later(self._rtt_s, feed)

    async def drain(self) -> None:
        pass

    def write_eof(self) -> None:
        if self._at_end is not None:
            self._answer(self._at_end(self.taken))

    def get_extra_info(self, _name: str) -> FakeSocket:
        return mock.Mock(spec=FakeSocket)

    def close(self) -> None:
        self.closed = True
