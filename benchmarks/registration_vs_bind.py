"""Registrations and lookups per second of the registration server, against BIND's dynamic updates and queries.

Both servers run natively on loopback, each in turn, in the same run, driven by the same client: one UDP socket,
``--window`` messages under way, the next one sent as soon as an answer comes, every message written and signed
beforehand. A registration (address and port of an MN, signed with its key) stands against a dynamic update that
replaces A and SRV (signed with the MN's TSIG key). A lookup (P2P) stands against a query; note that a lookup in the DNS
takes two queries, A and SRV. ``FULL`` has SQLite wait for the disk at every commit, as BIND does for its journal.
Since that wait is most of what an update costs, BIND is measured with its journal on a RAM disk, too. Exits 1 when
registrations that wait for the disk are slower than BIND's updates.
"""

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.rcode
import dns.tsig
import dns.update

from dmmlab.nodes.daemons.named import Named, secret_of
from dmmlab.nodes.registration.wire import HEADER, Message, MessageType, Mode, Transport, encode

ZONE, NODES = "dmm.test", 64
NAMES = [f"mn{number}.{ZONE}" for number in range(NODES)]
KEYS = {name: name.encode().ljust(32, b"!") for name in NAMES}
RESULT = Path(__file__).with_suffix(".txt")
COUNT, WINDOW, ROUNDS = 10_000, 64, 5
NOISY = ("BIND", "lookups")  # the disk decides the one, and whoever else computes on this machine the other
Identify = Callable[[bytes], int]
Rates = dict[str, list[tuple[float, float]]]


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def drive(
    port: int, messages: Sequence[bytes], identify: Identify, good: Callable[[bytes], bool], window: int
) -> float:
    """Send every message and return answers per second; raises RuntimeError for a bad answer."""
    waiting: dict[int, bytes] = {}
    left = iter(messages)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(1.0)
        started = time.perf_counter()
        stalls = 0
        for message in left:
            waiting[identify(message)] = message
            client.send(message)
            if len(waiting) >= window:
                break
        while waiting:
            try:
                answer = client.recv(2048)
            except TimeoutError as error:
                stalls += 1
                if stalls > 10:
                    raise RuntimeError("no answers") from error
                for message in waiting.values():
                    client.send(message)
                continue
            if waiting.pop(identify(answer), None) is None:
                continue
            if not good(answer):
                raise RuntimeError(f"refused: {answer!r}")
            if (following := next(left, None)) is not None:
                waiting[identify(following)] = following
                client.send(following)
        return len(messages) / (time.perf_counter() - started)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server."""
    process.terminate()
    process.wait(20)


# ---- the registration server


def server_argv(
    folder: Path, port: int, synchronous: str, events: Path, keys: Mapping[str, bytes] = KEYS, *more: str
) -> list[str]:
    """The command that runs it with its files in the folder; writes its keys there."""
    (folder / "keys.json").write_text(json.dumps({name: key.hex() for name, key in keys.items()}))
    argv = [sys.executable, "-m", "dmmlab.nodes.registration.server", "--listen", f"127.0.0.1:{port}"]
    files = ["--keys", f"{folder}/keys.json", "--database", f"{folder}/bindings.db", "--events", str(events)]
    return [*argv, *files, "--synchronous", synchronous, *more]


def wait_ready(events: Path, process: subprocess.Popen[bytes]) -> None:
    """Return when the server is, or has ended."""
    while not (events.exists() and "ready" in events.read_text()) and process.poll() is None:
        time.sleep(0.02)


@contextmanager
def registration_server(folder: Path, synchronous: str) -> Iterator[int]:
    """Run it in the folder; gives its port."""
    folder.mkdir()
    port, events = free_port(), folder / "events"
    with subprocess.Popen(server_argv(folder, port, synchronous, events)) as process:
        try:
            wait_ready(events, process)
            yield port
        finally:
            stop(process)


def registrations(count: int) -> list[bytes]:
    """Return signed REGISTER messages, each for the next MN and a new address."""
    start = time.time_ns()
    return [
        encode(
            Message(
                MessageType.REGISTER,
                start + number,
                node=NAMES[number % NODES],
                addresses=(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",),
                port=7000,
                lifetime_ms=600_000,
            ),
            KEYS[NAMES[number % NODES]],
        )
        for number in range(count)
    ]


def lookups(count: int) -> list[bytes]:
    """Return signed P2P service requests."""
    start = time.time_ns()
    return [
        encode(
            Message(
                MessageType.SERVICE_REQUEST,
                start + number,
                node=NAMES[number % NODES],
                target=NAMES[(number + 1) % NODES],
                mode=Mode.P2P,
                transport=Transport.UDP,
            ),
            KEYS[NAMES[number % NODES]],
        )
        for number in range(count)
    ]


def sequence(data: bytes) -> int:
    """Return a registration message's number."""
    return int(HEADER.unpack_from(data)[3])


def accepted(data: bytes) -> bool:
    """Whether an answer is no refusal."""
    return data[1] != MessageType.REFUSED


def measure_registration(folder: Path, synchronous: str, count: int, window: int) -> tuple[float, float]:
    """Return registrations and lookups per second."""
    with registration_server(folder, synchronous) as port:
        drive(port, registrations(NODES * 4), sequence, accepted, window)
        written = drive(port, registrations(count), sequence, accepted, window)
        return written, drive(port, lookups(count), sequence, accepted, window)


# ---- BIND


@contextmanager
def bind_server(folder: Path, keys: Mapping[str, bytes] = KEYS) -> Iterator[tuple[int, int]]:
    """Run named in the folder, with as many threads as there are processors; gives its port and its process ID."""
    secrets = {name: secret_of(key) for name, key in keys.items()}
    hosts = [(name.removesuffix(f".{ZONE}"), "10.0.0.1") for name in keys]
    named = Named(folder, ZONE, secrets, "127.0.0.1", free_port(), hosts=hosts, threads=os.cpu_count() or 1)
    named.write()
    with subprocess.Popen(named.argv, stderr=subprocess.DEVNULL) as process:
        try:
            if not named.ready():
                raise RuntimeError("named does not answer")
            yield named.port, process.pid
        finally:
            stop(process)


def updates(count: int, keys: Mapping[str, bytes] = KEYS) -> list[bytes]:
    """Return signed updates that replace an MN's A and SRV records."""
    made = []
    signing = {name: dns.tsig.Key(f"{name}.", key, dns.tsig.HMAC_SHA256) for name, key in keys.items()}
    names = list(keys)
    for number in range(count):
        name = names[number % len(names)]
        update = dns.update.UpdateMessage(ZONE, id=number % 65536)
        update.replace(f"{name}.", 5, "A", f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")
        update.replace(f"_dmm._udp.{name}.", 5, "SRV", f"0 0 7000 {name}.")
        update.use_tsig(signing[name])
        made.append(update.to_wire())
    return made


def queries(count: int, names: Sequence[str] = NAMES) -> list[bytes]:
    """Return queries for MNs' addresses."""
    wires = [dns.message.make_query(name, "A").to_wire()[2:] for name in names]
    return [(number % 65536).to_bytes(2, "big") + wires[number % len(names)] for number in range(count)]


def identity(data: bytes) -> int:
    """Return a DNS message's ID."""
    return int.from_bytes(data[:2], "big")


def no_error(data: bytes) -> bool:
    """Whether a DNS answer's code is NOERROR."""
    return data[3] & 15 == int(dns.rcode.NOERROR)


def measure_bind(folder: Path, count: int, window: int) -> tuple[float, float]:
    """Return updates (a fifth as many, as they are slow) and queries per second."""
    with bind_server(folder) as (port, _):
        drive(port, updates(NODES * 4), identity, no_error, window)
        written = drive(port, updates(count // 5), identity, no_error, window)
        return written, drive(port, queries(count), identity, no_error, window)


# ---- the comparison


def rounds(count: int, window: int, of: int) -> Rates:
    """Registrations or updates, and lookups or queries, per second of each server, of each round."""
    rates: Rates = {"NORMAL": [], "FULL": [], "BIND": []}
    memory = Path("/dev/shm")
    if memory.is_dir():
        rates["BIND memory"] = []
    for turn in range(of):
        for name, measured in rates.items():
            with tempfile.TemporaryDirectory(dir=memory if name.endswith("memory") else None) as folder:
                place = Path(folder) / "server"
                if name.startswith("BIND"):
                    measured.append(measure_bind(place, count, window))
                else:
                    measured.append(measure_registration(place, name, count, window))
            sys.stderr.write(f"round {turn + 1} of {of}: {name} done\n")
    return rates


def measure() -> dict[str, dict[str, float]]:
    """Medians over `ROUNDS` rounds, of each server."""
    return {
        name: {
            "writes_per_s": round(statistics.median(written for written, _ in measured)),
            "lookups_per_s": round(statistics.median(looked_up for _, looked_up in measured)),
        }
        for name, measured in rounds(COUNT, WINDOW, ROUNDS).items()
    }


def main() -> int:
    """Measure, print and write the table; returns 1 when registrations are slower than updates."""
    parser = argparse.ArgumentParser(description="Registration server against BIND, on loopback")
    parser.add_argument("--count", type=int, default=COUNT, help="messages of each kind in a round")
    parser.add_argument("--window", type=int, default=WINDOW, help="messages under way at once")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    rates = rounds(options.count, options.window, options.rounds)
    text = table(rates, options)
    sys.stdout.write(text)
    RESULT.write_text(text)
    medians = {name: statistics.median(written for written, _ in measured) for name, measured in rates.items()}
    return 0 if medians["FULL"] >= medians["BIND"] else 1


def table(rates: Rates, options: argparse.Namespace) -> str:
    """Return medians, with the range over the rounds."""
    labels = {
        "NORMAL": "registration server",
        "FULL": "registration server, FULL",
        "BIND": "BIND (updates; queries)",
        "BIND memory": "BIND, journal in memory",
    }
    version = subprocess.run([*Named(Path(), ZONE, {}).argv[:1], "-V"], capture_output=True, text=True).stdout.split()[
        1
    ]
    lines = [
        f"{options.rounds} rounds of {options.count} messages, {options.window} under way; median (range), per second",
        f"BIND {version}, Python {platform.python_version()}, {os.cpu_count()} processors, loopback",
        "",
        f"{'':27}{'writes':>26}{'lookups':>28}",
    ]
    for name, measured in rates.items():
        cells = []
        for column in zip(*measured, strict=True):
            cells.append(f"{statistics.median(column):9.0f} ({min(column):.0f} to {max(column):.0f})")
        lines.append(f"{labels[name]:27}{cells[0]:>26}{cells[1]:>28}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
