"""Load on a UDP server from one socket: so many messages under way, or so many a second whatever becomes of them.

Every message is written and signed beforehand, and Python's collector stands still meanwhile, so that what is measured
is the server, and how late the load itself was is known.
"""

from __future__ import annotations

import gc
import itertools
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
AFTERWARDS_S = 1.0  # for so long answers are read when everything was sent
AT_ONCE = 16  # messages that are sent before answers are looked for, and the other way round

Messages = Sequence[tuple[int, bytes]]  # the number by which its answer is known, and what is sent


@dataclass(frozen=True)
class Dialect:
    """How a protocol's answers are read: their number; whether one is good, and whether one says "too much"."""

    number: Callable[[bytes], int]
    good: Callable[[bytes], bool]
    overloaded: Callable[[bytes], bool] = lambda _answer: False


@dataclass
class Load:
    """What came of a number of messages: of each that was served when it was sent (s from the start) and how long it
    took (s), how late each was sent (s), how many were refused as too many, and what share of all processors the
    server, the load and all others took.
    """

    served: list[tuple[float, float]] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    sent: int = 0
    refused: int = 0
    seconds: float = 0.0
    shares: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def rate(self) -> float:
        """Served a second."""
        return len(self.served) / self.seconds

    @property
    def unanswered(self) -> int:
        """Neither served nor refused."""
        return self.sent - self.refused - len(self.served)

    def percentile_ms(self, share: float, since_s: float = 0.0, until_s: float = float("inf")) -> float:
        """Of all that were served, or of those that were sent in that time."""
        return percentile_ms([took for sent, took in self.served if since_s <= sent < until_s], share)


def percentile_ms(durations_s: Sequence[float], share: float) -> float:
    """The smallest that is not exceeded by this share of them, in ms; NaN of none."""
    ordered = sorted(durations_s)
    return 1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def processor_s(pid: int) -> float:
    """Of a process and its children that live: its processor time."""
    parents = [pid, *children(pid)]
    total = 0.0
    for each in parents:
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) * _TICK_S
    return total


def children(pid: int) -> list[int]:
    """Of a process, those that live."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _busy_s() -> float:
    """Of all processors together."""
    user, nice, system, _, _, interrupts, soft, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + interrupts + soft + steal) * _TICK_S


@contextmanager
def _watched(load: Load, server: int) -> Iterator[None]:
    """Notes how long it took and who took the processors, while the collector stands still."""
    gc.collect()
    gc.disable()
    began, served_s, own_s, busy_s = time.perf_counter(), processor_s(server), time.process_time(), _busy_s()
    try:
        yield
    finally:
        wall_s = time.perf_counter() - began
        served_s, own_s = processor_s(server) - served_s, time.process_time() - own_s
        others_s = max(0.0, _busy_s() - busy_s - served_s - own_s)
        load.shares = (served_s / wall_s, own_s / wall_s, others_s / wall_s)
        gc.enable()


@contextmanager
def _client(port: int) -> Iterator[socket.socket]:
    """A socket to it that can hold many answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        there.connect(("127.0.0.1", port))
        there.settimeout(5.0)
        yield there


def closed_loop(port: int, server: int, messages: Messages, dialect: Dialect, window: int) -> Load:
    """All of them, ``window`` under way at once; raises RuntimeError for a bad answer, TimeoutError for none."""
    load, waiting, left = Load(sent=len(messages)), dict[int, float](), iter(messages)
    with _client(port) as there, _watched(load, server):
        began = time.perf_counter()
        for number, message in itertools.islice(left, window):
            waiting[number] = time.perf_counter()
            there.send(message)
        while waiting:
            answer = there.recv(2048)
            now = time.perf_counter()
            if (sent := waiting.pop(dialect.number(answer), None)) is None:
                continue
            if not dialect.good(answer):
                raise RuntimeError(f"refused: {answer!r}")
            load.served.append((sent - began, now - sent))
            if (following := next(left, None)) is not None:
                waiting[following[0]] = now
                there.send(following[1])
        load.seconds = time.perf_counter() - began
    return load


def schedule(*parts: tuple[float, float]) -> list[float]:
    """When to send (s from the start), for a number of rates (a second), each for so many seconds."""
    due, start = list[float](), 0.0
    for rate, seconds in parts:
        due += [start + number / rate for number in range(int(rate * seconds))]
        start += seconds
    return due


def open_loop(port: int, server: int, messages: Messages, due_s: Sequence[float], dialect: Dialect) -> Load:
    """Each when it is due, or as soon after it as can be, whatever becomes of the others."""
    load, waiting, done = Load(), dict[int, float](), 0
    with _client(port) as there, _watched(load, server):
        there.setblocking(False)
        began = time.perf_counter()
        load.seconds = due_s[-1]
        while (now := time.perf_counter() - began) < load.seconds + AFTERWARDS_S and (waiting or done < len(due_s)):
            turn = done
            while done < len(due_s) and due_s[done] <= now and done < turn + AT_ONCE:
                number, message = messages[done]
                sent = time.perf_counter() - began
                load.late_s.append(sent - due_s[done])
                waiting[number] = sent
                there.send(message)
                done += 1
            if not _read(there, began, waiting, dialect, load) and done == turn:
                time.sleep(0.0001)
        load.sent = done
    return load


def _read(there: socket.socket, began: float, waiting: dict[int, float], dialect: Dialect, load: Load) -> bool:
    """Takes answers, if there are any; whether there were."""
    for turn in range(AT_ONCE):
        try:
            answer = there.recv(2048)
        except BlockingIOError:
            return turn > 0
        sent = waiting.pop(dialect.number(answer), None)
        if sent is not None and dialect.good(answer):
            load.served.append((sent, time.perf_counter() - began - sent))
        elif sent is not None and dialect.overloaded(answer):
            load.refused += 1
    return True
