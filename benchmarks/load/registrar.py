"""The registration server with 10,000 nodes, and the messages for it."""

from __future__ import annotations

import resource
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.load.drive import Dialect, Load, Messages, closed_loop, processor_s
from benchmarks.registration_vs_bind import accepted, free_port, sequence, server_argv, stop, wait_ready
from dmmlab.nodes.registration.wire import Message, MessageType, Mode, Reason, Transport, decode, encode

NODES, SESSIONS, PACKETS, WINDOW = 10_000, 400, 20_000, 64
NAMES = [f"mn{number}" for number in range(NODES)]
KEYS = {name: name.encode().ljust(32, b"!") for name in NAMES}
LIFETIME_MS = 86_400_000


def _overloaded(answer: bytes) -> bool:
    return decode(answer).reason is Reason.OVERLOADED


DIALECT = Dialect(sequence, accepted, _overloaded)


class Server:
    """It runs at ``port``; a node's next message has a number above all earlier ones."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port, self.process, self.pid = port, process, process.pid
        self._last = time.time_ns()

    def registrations(self, count: int) -> Messages:
        """Of one node after the other."""
        return [self._register() for _ in range(count)]

    def lookups(self, count: int) -> Messages:
        """P2P: of one node after the other, for the next one."""
        return [self._look_up() for _ in range(count)]

    def closed_loop(self, messages: Messages) -> Load:
        """`WINDOW` of them under way."""
        return closed_loop(self.port, self.pid, messages, DIALECT, WINDOW)

    def memory_kb(self) -> int:
        """That it has."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    def number(self) -> int:
        """The next one."""
        self._last += 1
        return self._last

    def _register(self) -> tuple[int, bytes]:
        number = self.number()
        node = NAMES[number % NODES]
        message = Message(MessageType.REGISTER, number, node=node, addresses=("127.0.0.1",), port=7000)
        message.lifetime_ms = LIFETIME_MS
        return number, encode(message, KEYS[node])

    def _look_up(self) -> tuple[int, bytes]:
        number = self.number()
        node, target = NAMES[number % NODES], NAMES[(number + 1) % NODES]
        message = Message(MessageType.SERVICE_REQUEST, number, node=node, target=target, mode=Mode.P2P)
        message.transport = Transport.UDP
        return number, encode(message, KEYS[node])


@contextmanager
def running(folder: Path, synchronous: str) -> Iterator[Server]:
    """It, with its files in the folder; nobody has registered."""
    folder.mkdir()
    port, events = free_port(), folder / "events"
    argv = server_argv(folder, port, synchronous, events, KEYS, "--relay-address", "127.0.0.1")
    with subprocess.Popen(argv, preexec_fn=_many_files) as process:
        try:
            wait_ready(events, process)
            yield Server(port, process)
        finally:
            stop(process)


def _many_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536), most))


class Relayed:
    """`SESSIONS` relayed sessions of one pair of nodes, over UDP; ``each_kb`` is the memory of one."""

    def __init__(self, server: Server) -> None:
        self._server, self._cn, self._mn = server, NAMES[0], NAMES[1]
        before_kb = server.memory_kb()
        self._node = _socket()
        self._there = _socket()
        self._control = self._node.getsockname()[1]
        self._ask(self._message(MessageType.REGISTER, self._mn, port=self._control, control_port=self._control))
        for _ in range(SESSIONS):
            self._relay_port = self._open()
        self.each_kb = (server.memory_kb() - before_kb) / SESSIONS

    def _message(self, kind: MessageType, node: str, **fields: object) -> Message:
        if kind is MessageType.REGISTER:
            fields |= {"addresses": ("127.0.0.1",), "lifetime_ms": LIFETIME_MS}
        return Message(kind, self._server.number(), node=node, **fields)  # type: ignore[arg-type]

    def _ask(self, message: Message, answering: Callable[[], None] = lambda: None) -> Message:
        self._there.sendto(encode(message, KEYS[message.node]), ("127.0.0.1", self._server.port))
        answering()
        answer = decode(self._there.recv(2048))
        if answer.port is None and answer.lifetime_ms is None:
            raise RuntimeError(f"refused: {answer}")
        return answer

    def _open(self) -> int:
        """The port of one more."""
        own = {"peer_address": "127.0.0.1", "peer_port": self._there.getsockname()[1]}
        kind = {"target": self._mn, "mode": Mode.CENTRAL, "transport": Transport.UDP}
        return self._ask(self._message(MessageType.SERVICE_REQUEST, self._cn, **kind, **own), self._agree).port or 0

    def _agree(self) -> None:
        wanted = decode(self._node.recv(2048))
        answer = Message(MessageType.INCOMING_ANSWER, wanted.sequence, node=self._mn, addresses=("127.0.0.1",))
        answer.port = self._control
        self._node.sendto(encode(answer, KEYS[self._mn]), ("127.0.0.1", self._server.port))

    def through(self) -> Load:
        """Packets of 200 bytes through the last one, to the node and back, `WINDOW` under way."""
        load, sent = Load(sent=PACKETS), dict[int, float]()
        self._there.connect(("127.0.0.1", self._relay_port))
        began, server_s = time.perf_counter(), processor_s(self._server.pid)
        for turn in range(PACKETS + WINDOW):
            if turn < PACKETS:
                sent[turn] = time.perf_counter()
                self._there.send(turn.to_bytes(8, "big") + bytes(192))
            if turn >= WINDOW:
                data, leg = self._node.recvfrom(2048)
                self._node.sendto(data, leg)
                number = int.from_bytes(self._there.recv(2048)[:8], "big")
                load.served.append((sent[number] - began, time.perf_counter() - sent.pop(number)))
        load.seconds = time.perf_counter() - began
        load.shares = ((processor_s(self._server.pid) - server_s) / load.seconds, 0.0, 0.0)
        return load

    def close(self) -> None:
        """The nodes' sockets."""
        self._node.close()
        self._there.close()


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    made.settimeout(5.0)
    return made
