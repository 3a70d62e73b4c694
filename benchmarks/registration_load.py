"""``python -m benchmarks.registration_load``: the registration server with 10,000 nodes, on loopback.

Registrations, lookups and relayed packets per second with 64 under way, and how long each took; memory per node and per
relayed session; latency at shares of what it can do (a message is sent when its time has come, whatever becomes of the
others); then three times as much as it can do, and how it is afterwards. Beside it BIND's updates and queries with as
many names and, where kamailio and sipp are installed, Kamailio's registrar.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import registration_vs_bind as bind
from benchmarks.registration_vs_bind import accepted, free_port, sequence, server_argv, stop, wait_ready
from dmmlab.nodes.registration.wire import Message, MessageType, Mode, Reason, Transport, decode, encode

RESULT = Path(__file__).with_suffix(".txt")
NODES, COUNT, WINDOW, SESSIONS, PACKETS = 10_000, 10_000, 64, 400, 20_000
SHARES, EACH_S, OVERLOAD, OVERLOAD_S = (0.2, 0.5, 0.8), 2.0, 3.0, 3.0
NAMES = [f"mn{number}" for number in range(NODES)]
KEYS = {name: name.encode().ljust(32, b"!") for name in NAMES}


@dataclass
class Load:
    """What came of a number of messages: how long each took (s), and how many were refused as too many."""

    took_s: list[float] = field(default_factory=list)
    sent: int = 0
    refused: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.took_s) / self.seconds

    def percentile_ms(self, share: float) -> float:
        """Of all that were answered."""
        ordered = sorted(self.took_s)
        return 1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")

    def line(self, what: str) -> str:
        """For the table."""
        p50, p99 = self.percentile_ms(0.5), self.percentile_ms(0.99)
        return f"{what:44}{self.rate:10,.0f} /s   p50 {p50:7.2f} ms   p99 {p99:8.2f} ms"


class Numbers:
    """Sequence numbers that grow, as each node's must."""

    def __init__(self) -> None:
        self.last = time.time_ns()

    def register(self) -> tuple[int, bytes]:
        """A registration of the next node."""
        self.last += 1
        node = NAMES[self.last % NODES]
        message = Message(MessageType.REGISTER, self.last, node=node, addresses=("127.0.0.1",), port=7000)
        message.lifetime_ms, message.control_port = 86_400_000, None
        return self.last, encode(message, KEYS[node])

    def look_up(self) -> tuple[int, bytes]:
        """A lookup of the next node by the one before it."""
        self.last += 1
        node, target = NAMES[self.last % NODES], NAMES[(self.last + 1) % NODES]
        message = Message(MessageType.SERVICE_REQUEST, self.last, node=node, target=target, mode=Mode.P2P)
        message.transport = Transport.UDP
        return self.last, encode(message, KEYS[node])


def closed_loop(port: int, make: Callable[[], tuple[int, bytes]], count: int, window: int = WINDOW) -> Load:
    """So many messages, ``window`` under way at once; all of them written beforehand."""
    load, left, waiting = Load(), iter([make() for _ in range(count)]), dict[int, float]()
    with client(port) as there:
        began = time.perf_counter()
        while True:
            while len(waiting) < window and (following := next(left, None)) is not None:
                waiting[following[0]] = time.perf_counter()
                there.send(following[1])
            if not waiting:
                break
            answer = there.recv(2048)
            if (sent := waiting.pop(sequence(answer), None)) is None:
                continue
            if not accepted(answer):
                raise RuntimeError(f"refused: {decode(answer)}")
            load.took_s.append(time.perf_counter() - sent)
        load.seconds = time.perf_counter() - began
    return load


def open_loop(port: int, make: Callable[[], tuple[int, bytes]], rate: float, seconds: float) -> Load:
    """``rate`` messages a second, or as many as can be sent, whatever comes back; that is read for a second more."""
    messages = [make() for _ in range(int(rate * seconds))]
    load, waiting, done = Load(), dict[int, float](), 0
    with client(port) as there:
        there.setblocking(False)
        began = time.perf_counter()
        while (now := time.perf_counter() - began) < seconds + 1.0:
            due = min(len(messages), int(now * rate)) if now < seconds else done
            for number, message in messages[done : min(due, done + 16)]:
                waiting[number] = time.perf_counter()
                there.send(message)
                done += 1
            idle = due == done
            for _ in range(16):
                try:
                    answer = there.recv(2048)
                except BlockingIOError:
                    break
                idle = False
                sent = waiting.pop(sequence(answer), None)
                if sent is not None and accepted(answer):
                    load.took_s.append(time.perf_counter() - sent)
                elif sent is not None and decode(answer).reason is Reason.OVERLOADED:
                    load.refused += 1
            if idle:
                time.sleep(0.0002)
        load.sent, load.seconds = done, seconds
    return load


@contextmanager
def client(port: int) -> Iterator[socket.socket]:
    """A socket to it that can hold many answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        there.connect(("127.0.0.1", port))
        there.settimeout(5.0)
        yield there


def resident_kb(process: subprocess.Popen[bytes]) -> int:
    """Of a process: its memory."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def relay(port: int, numbers: Numbers, process: subprocess.Popen[bytes]) -> tuple[float, Load]:
    """Memory of a relayed session (kB), and packets through one of them, ``WINDOW`` under way."""
    cn, mn = NAMES[0], NAMES[1]
    before = resident_kb(process)
    with client(port) as there, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as node:
        node.bind(("127.0.0.1", 0))
        control = node.getsockname()[1]
        number = numbers.last = numbers.last + NODES
        registered = Message(MessageType.REGISTER, number, node=mn, addresses=("127.0.0.1",), port=control)
        registered.lifetime_ms, registered.control_port = 86_400_000, control
        there.send(encode(registered, KEYS[mn]))
        there.recv(2048)
        for _ in range(SESSIONS):
            numbers.last += 1
            asked = Message(MessageType.SERVICE_REQUEST, numbers.last, node=cn, target=mn, mode=Mode.CENTRAL)
            asked.transport, asked.peer_address = Transport.UDP, "127.0.0.1"
            asked.peer_port = there.getsockname()[1]
            there.send(encode(asked, KEYS[cn]))
            wanted = decode(node.recv(2048))
            answer = Message(
                MessageType.INCOMING_ANSWER, wanted.sequence, node=mn, addresses=("127.0.0.1",), port=control
            )
            node.sendto(encode(answer, KEYS[mn]), ("127.0.0.1", port))
            agreed = decode(there.recv(2048))
            if agreed.port is None:
                raise RuntimeError(f"no relay: {agreed}")
        memory_kb = (resident_kb(process) - before) / SESSIONS
        return memory_kb, _through(agreed.port or 0, there.getsockname()[1], node, there)


def _through(relay_port: int, port: int, node: socket.socket, there: socket.socket) -> Load:
    """Packets of 200 bytes to the node and back to the CN's port, which is the one that it has announced."""
    load, sent = Load(), dict[int, float]()
    there.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as cn:
        cn.bind(("127.0.0.1", port))
        cn.connect(("127.0.0.1", relay_port))
        cn.settimeout(5.0)
        node.settimeout(5.0)
        began = time.perf_counter()
        for turn in range(PACKETS):
            sent[turn] = time.perf_counter()
            cn.send(turn.to_bytes(8, "big") + bytes(192))
            if turn >= WINDOW or turn == PACKETS - 1:
                data, leg = node.recvfrom(2048)
                node.sendto(data, leg)
                load.took_s.append(time.perf_counter() - sent.pop(int.from_bytes(cn.recv(2048)[:8], "big")))
        load.seconds = time.perf_counter() - began
    return load


def measure_server(synchronous: str) -> list[str]:
    """The table of the registration server."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        place, port = Path(folder), free_port()
        events = place / "events"
        argv = server_argv(place, port, synchronous, events, KEYS, "--relay-address", "127.0.0.1")
        with subprocess.Popen(argv, preexec_fn=_many_files) as process:
            try:
                wait_ready(events, process)
                numbers, empty_kb = Numbers(), resident_kb(process)
                first = closed_loop(port, numbers.register, NODES)
                lines.append(first.line("first registration of each"))
                memory = (resident_kb(process) - empty_kb) / NODES
                again = closed_loop(port, numbers.register, COUNT)
                lines.append(again.line("registrations"))
                lines.append(closed_loop(port, numbers.look_up, COUNT).line("lookups"))
                lines.append(f"{'memory of a node':44}{memory:10.2f} kB")
                each_kb, through = relay(port, numbers, process)
                lines.append(through.line("relayed packets, there and back"))
                lines.append(f"{'memory of a relayed session':44}{each_kb:10.2f} kB   ({SESSIONS} of them)")
                for share in SHARES:
                    load = open_loop(port, numbers.register, share * again.rate, EACH_S)
                    lines.append(load.line(f"registrations at {share:.0%} of that"))
                before = open_loop(port, numbers.register, 0.5 * again.rate, EACH_S)
                load = open_loop(port, numbers.register, OVERLOAD * again.rate, OVERLOAD_S)
                lost = load.sent - load.refused - len(load.took_s)
                lines.append(
                    load.line(f"registrations at {load.sent / OVERLOAD_S / again.rate:.0%}, {OVERLOAD_S:.0f} s")
                )
                said = f"of {load.sent:,}: {len(load.took_s):,} served, {load.refused:,} refused, {lost:,} unanswered"
                lines.append(f"{'':44}{said}")
                after = open_loop(port, numbers.register, 0.5 * again.rate, EACH_S)
                lines.append(after.line("and then at 50%"))
                slower = after.percentile_ms(0.5) / before.percentile_ms(0.5)
                lines.append(f"{'':44}p50 is {slower:.2f} times what it was before")
            finally:
                stop(process)
    return lines


def _many_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536), most))


def measure_bind(folder: Path) -> list[str]:
    """BIND with as many names, driven as `registration_vs_bind` does."""
    names = [f"mn{number}.{bind.ZONE}" for number in range(NODES)]
    vars(bind).update(NAMES=names, KEYS={name: name.encode().ljust(32, b"!") for name in names}, NODES=NODES)
    with bind.bind_server(folder) as port:
        bind.drive(port, bind.updates(200), bind.identity, bind.no_error, WINDOW)
        written = bind.drive(port, bind.updates(2000), bind.identity, bind.no_error, WINDOW)
        asked = bind.drive(port, bind.queries(COUNT), bind.identity, bind.no_error, WINDOW)
    return [f"{'BIND: updates':44}{written:10,.0f} /s", f"{'BIND: queries':44}{asked:10,.0f} /s"]


KAMAILIO = """
children={children}
listen=udp:127.0.0.1:{port}
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "pv.so"
modparam("usrloc", "db_mode", 0)
request_route {{
    if (method == "REGISTER") {{ save("location"); exit; }}
    sl_send_reply("403", "no");
}}
"""
SIPP = """<?xml version="1.0"?><scenario name="r"><send><![CDATA[
REGISTER sip:[remote_ip] SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
From: <sip:mn[call_number]@[remote_ip]>;tag=[call_number]
To: <sip:mn[call_number]@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 REGISTER
Contact: <sip:mn[call_number]@[local_ip]:[local_port]>
Expires: 3600
Max-Forwards: 70
Content-Length: 0

]]></send><recv response="200"/></scenario>"""


def measure_kamailio(folder: Path) -> list[str]:
    """Kamailio's registrar, in memory, without authentication; driven by sipp. A line that says what is missing."""
    missing = [name for name in ("kamailio", "sipp") if shutil.which(name) is None]
    if missing:
        return [f"Kamailio's registrar: not measured: {' and '.join(missing)} not installed (kamailio, sip-tester)"]
    port = free_port()
    (folder / "kamailio.cfg").write_text(KAMAILIO.format(port=port, children=os.cpu_count()))
    (folder / "register.xml").write_text(SIPP)
    argv = ["kamailio", "-DD", "-E", "-f", str(folder / "kamailio.cfg"), "-Y", str(folder), "-w", str(folder)]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            time.sleep(1.5)
            program = ["sipp", f"127.0.0.1:{port}", "-sf", str(folder / "register.xml"), "-nostdin"]
            load = ["-m", str(COUNT), "-r", "20000", "-l", str(WINDOW), "-timeout", "30", "-recv_timeout", "5000"]
            began = time.perf_counter()
            ran = subprocess.run([*program, *load], capture_output=True, text=True)
            took_s = time.perf_counter() - began
        finally:
            stop(process)
    if ran.returncode != 0:
        return [f"Kamailio's registrar: not measured: sipp ended with {ran.returncode}: {ran.stderr.strip()[-100:]}"]
    return [f"{'Kamailio: registrations, in memory, unsigned':44}{COUNT / took_s:10,.0f} /s   (as fast as sipp is)"]


PARTS: dict[str, Callable[[], Sequence[str]]] = {
    "NORMAL": lambda: measure_server("NORMAL"),
    "FULL": lambda: measure_server("FULL"),
    "BIND": lambda: _in_folder(measure_bind),
    "Kamailio": lambda: _in_folder(measure_kamailio),
}


def _in_folder(measure: Callable[[Path], list[str]]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder))


def measure() -> dict[str, float]:
    """Registrations and lookups a second with so many nodes (`python -m benchmarks registration_load`)."""
    with tempfile.TemporaryDirectory() as folder:
        place, port = Path(folder), free_port()
        with subprocess.Popen(server_argv(place, port, "NORMAL", place / "events", KEYS)) as process:
            try:
                wait_ready(place / "events", process)
                numbers = Numbers()
                rates = [closed_loop(port, numbers.register, NODES).rate for _ in range(3)]
                return {
                    "registrations_per_s": round(statistics.median(rates)),
                    "lookups_per_s": round(closed_loop(port, numbers.look_up, COUNT).rate),
                }
            finally:
                stop(process)


def main() -> int:
    """Measure, print, and write the table: its parts in the order in which they were measured."""
    parser = argparse.ArgumentParser(description="The registration server with 10,000 nodes")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} [all]")
    options = parser.parse_args()
    known: dict[str, str] = {}
    if RESULT.is_file():
        for block in RESULT.read_text().split("\n\n")[1:]:
            known[block.split("\n")[0]] = block.rstrip()
    for name in options.parts or PARTS:
        known[name] = "\n".join([name, *PARTS[name]()])
        sys.stdout.write(known[name] + "\n\n")
        sys.stdout.flush()
    python = platform.python_version()
    head = f"{NODES:,} nodes, loopback, {WINDOW} under way, {os.cpu_count()} processors, Python {python}"
    RESULT.write_text("\n\n".join([head, *known.values()]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
