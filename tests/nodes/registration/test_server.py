"""The registration server as a process on loopback: UDP, TCP, moves, kill -9, a flood of bad packets, a clean end."""

import asyncio
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from event_lines import logged
from registration_process import KEYS, QUICK, Process

from dmmlab.machine.events import EventLog
from dmmlab.machine.processing import Cost
from dmmlab.nodes.registration.bindings import Backoff, Record
from dmmlab.nodes.registration.client import Agreement, RegistrationClient
from dmmlab.nodes.registration.client_core import IncomingRequest, Status
from dmmlab.nodes.registration.server import Server
from dmmlab.nodes.registration.server_core import ServerCore
from dmmlab.nodes.registration.store import Store
from dmmlab.nodes.registration.wire import Mode, Reason


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path)
    yield process
    if process.process.poll() is None:
        assert process.end() == 0


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), 60))


@pytest.mark.parametrize("control", ["udp", "tcp"])
def test_the_three_modes(server: Process, control: str) -> None:
    async def scene() -> None:
        seen: list[IncomingRequest] = []

        def decide(request: IncomingRequest) -> Agreement:
            seen.append(request)
            return Agreement(("127.0.0.2" if request.mode is Mode.CENTRAL else "127.0.0.9",), 7009)

        mn = server.client("mn1", control=control, on_request=decide)
        cn = server.client("cn3", control=control)
        await mn.bind("127.0.0.2")
        await cn.bind("127.0.0.3")
        outcome = await mn.register(["127.0.0.2", "2001:db8::1"], 7000, "echo", 60.0, services={"bulk": 7001})
        assert outcome.ok and outcome.lifetime_s == 60.0 and outcome.attempts == 1
        assert (await cn.register(["127.0.0.3"], 1, "cn", 60.0)).ok
        answer = await cn.request("mn1", Mode.P2P)
        assert (answer.addresses, answer.port, answer.service) == (("127.0.0.2", "2001:db8::1"), 7000, "echo")
        assert (await cn.request("mn1", Mode.P2P, service="bulk")).port == 7001
        assert (await cn.request("mn1", Mode.COMBINED)).addresses == ("127.0.0.9",)
        relayed = await cn.request("mn1", Mode.CENTRAL, user_plane=("127.0.0.3", 0))
        assert relayed.addresses == ("127.0.0.1",) and relayed.session is not None
        assert [one.mode for one in seen] == [Mode.COMBINED, Mode.CENTRAL]
        assert seen[1].peer == ("127.0.0.3", 0)
        assert (await cn.close_session(relayed.session)).ok
        assert (await mn.keepalive()).ok and (await mn.deregister()).ok
        assert (await cn.request("mn1", Mode.P2P)).reason is Reason.TARGET_NOT_REGISTERED
        await mn.close()
        await cn.close()

    run(scene)
    assert server.end() == 0  # the log is whole once the server has ended
    names = [event["event"] for event in server.events()]
    for name in (
        "registered",
        "service_requested",
        "request_forwarded",
        "relay_opened",
        "relay_closed",
        "deregistered",
        "refused",
    ):
        assert name in names
    assert all(event["source"] == "server" and isinstance(event["time_ns"], int) for event in server.events())


@pytest.mark.parametrize("control", ["udp", "tcp"])
def test_each_message_takes_its_time(tmp_path: Path, control: str) -> None:
    """In turn: three registrations at once are answered 100 ms after one another at the earliest."""
    Cost((0.1,), "x").write(tmp_path / "cost.json")
    server = Process(tmp_path, "--register", "cost.json")

    async def scene() -> None:
        clients = [server.client(name, control=control) for name in KEYS]
        for number, client in enumerate(clients):
            await client.bind(f"127.0.0.{number + 2}")
        began = time.monotonic()
        done = await asyncio.gather(*(client.register(["127.0.0.2"], 7000) for client in clients))
        assert all(one.ok for one in done)
        assert time.monotonic() - began >= 0.1 * len(clients)
        for client in clients:
            await client.close()

    run(scene)
    assert server.end() == 0


@pytest.mark.parametrize("control", ["udp", "tcp"])
def test_a_move_while_a_registration_runs(server: Process, control: str) -> None:
    async def scene() -> None:
        mn = server.client("mn1", control=control)
        await mn.bind("127.0.0.2")
        first = asyncio.ensure_future(mn.register(["127.0.0.2"], 7000))
        await asyncio.sleep(0)
        await mn.bind("127.0.0.4")
        second = await mn.register(["127.0.0.4", "127.0.0.2"], 7000)
        assert second.ok and (await first).status in (Status.SUPERSEDED, Status.OK)
        cn = server.client("cn3", control=control)
        assert (await cn.register(["127.0.0.1"], 1)).ok
        assert (await cn.request("mn1", Mode.COMBINED)).addresses == ("127.0.0.4", "127.0.0.2")
        await mn.close()
        await cn.close()

    run(scene)


def test_a_registration_is_refreshed_and_expires_when_nobody_does(server: Process) -> None:
    async def scene() -> None:
        mn, cn = server.client("mn1"), server.client("cn3")
        assert (await cn.register(["127.0.0.1"], 1)).ok
        assert (await mn.register(["127.0.0.1"], 7000, lifetime_s=0.4)).ok
        await asyncio.sleep(1.0)
        assert (await cn.request("mn1", Mode.P2P)).ok
        await mn.close()
        await asyncio.sleep(0.6)
        assert (await cn.request("mn1", Mode.P2P)).reason is Reason.TARGET_EXPIRED
        await cn.close()

    run(scene)
    assert len(server.events("expired")) == 1
    assert len(server.events("registered")) >= 4


def test_a_refresh_that_nobody_answered_is_tried_again(server: Process) -> None:
    async def scene() -> None:
        mn = server.client("mn1", backoff=Backoff(first_s=0.1, deadline_s=0.2))
        cn = server.client("cn3")
        assert (await cn.register(["127.0.0.1"], 1)).ok
        assert (await mn.register(["127.0.0.1"], 7000, lifetime_s=2.0)).ok
        server.end(signal.SIGKILL)
        await asyncio.sleep(1.5)
        server.start()
        await asyncio.sleep(2.5)
        assert (await cn.request("mn1", Mode.P2P)).ok
        await mn.close()
        await cn.close()

    run(scene)


def test_bad_keys_are_refused_with_a_reason(server: Process) -> None:
    async def scene() -> None:
        mn = server.client("mn1")
        assert (await mn.register(["127.0.0.1"], 7000)).ok
        for name, key, reason in (
            ("mn1", KEYS["mn2"], Reason.BAD_AUTHENTICATOR),
            ("mn1", b"wrong" * 7, Reason.BAD_AUTHENTICATOR),
            ("who", b"wrong" * 7, Reason.UNKNOWN_NODE),
        ):
            thief = server.client(name, key=key)
            outcome = await thief.register(["127.66.0.6"], 6)
            assert (outcome.status, outcome.reason) == (Status.REFUSED, reason)
            await thief.close()
        cn = server.client("cn3")
        assert (await cn.register(["127.0.0.1"], 1)).ok
        assert (await cn.request("mn1", Mode.P2P)).addresses == ("127.0.0.1",)
        await mn.close()
        await cn.close()

    run(scene)


def test_nobody_there_is_a_timeout(server: Process) -> None:
    server.end()

    async def scene() -> None:
        for control in ("udp", "tcp"):
            started = time.monotonic()
            mn = server.client("mn1", control=control, backoff=Backoff(first_s=0.05, deadline_s=0.5))
            assert (await mn.register(["127.0.0.1"], 7000)).status is Status.TIMEOUT
            assert 0.4 < time.monotonic() - started < 1.5
            await mn.close()

    run(scene)


@pytest.mark.parametrize("seed", range(5))
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    KEYS.update({f"k{number}": b"k" * 32 for number in range(40)})
    server = Process(tmp_path)
    acknowledged: dict[str, int] = {}

    async def register_all() -> None:
        clients = [server.client(f"k{number}", backoff=Backoff(deadline_s=0.6)) for number in range(40)]

        async def keep_registering(client: RegistrationClient) -> None:
            for port in range(1, 1000):
                if not (await client.register(["127.0.0.1"], port, refresh=False)).ok:
                    return
                acknowledged[client.core.node] = port

        async def kill() -> None:
            await asyncio.sleep(0.2 + random.Random(seed).random() * 0.2)
            os.kill(server.process.pid, signal.SIGKILL)

        await asyncio.gather(kill(), *map(keep_registering, clients))
        await asyncio.gather(*(client.close() for client in clients))

    run(register_all)
    server.process.communicate()
    assert len(acknowledged) == 40
    server.start()

    async def look() -> None:
        cn = server.client("cn3")
        assert (await cn.register(["127.0.0.1"], 1)).ok
        for name, port in acknowledged.items():
            assert (await cn.request(name, Mode.P2P)).port in (port, port + 1)  # one more may be on disk, unanswered
        await cn.close()

    run(look)
    assert server.end() == 0


def test_a_restart_keeps_every_service(server: Process) -> None:
    async def register() -> None:
        mn = server.client("mn1")
        assert (await mn.register(["127.0.0.1", "2001:db8::1"], 7000, "echo", services={"bulk": 7001, "b": 7002})).ok
        await mn.close()

    async def look() -> None:
        cn = server.client("cn3")
        assert (await cn.register(["127.0.0.1"], 1)).ok
        for service, port in (("", 7000), ("echo", 7000), ("bulk", 7001), ("b", 7002)):
            answer = await cn.request("mn1", Mode.P2P, service=service)
            assert (answer.addresses, answer.port) == (("127.0.0.1", "2001:db8::1"), port)
        await cn.close()

    run(register)
    server.end(signal.SIGKILL)
    server.start()
    run(look)


def test_noise_does_not_stop_it(server: Process) -> None:
    rng = random.Random(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(500):
            sender.sendto(rng.randbytes(rng.randrange(200)), server.address)
    with socket.create_connection(server.address) as stream:
        stream.sendall(b"GET / HTTP/1.1\r\n\r\n")
        stream.settimeout(5)
        with pytest.raises(ConnectionResetError):
            assert stream.recv(1) == b""
            raise ConnectionResetError

    async def scene() -> None:
        mn = server.client("mn1")
        assert (await mn.register(["127.0.0.1"], 7000)).ok
        await mn.close()

    run(scene)


def test_bad_input_is_a_sentence_and_exit_2(tmp_path: Path, server: Process) -> None:
    (tmp_path / "short.json").write_text('{"mn1": "abcd"}')
    for keys, database, complaint in (
        ("missing.json", "other.db", "missing.json"),
        ("short.json", "other.db", "shorter than 128 bits: mn1"),
        ("keys.json", "bindings.db", "locked"),
    ):
        argv = ["--keys", keys, "--database", database, "--events", "other.jsonl", "--listen", "127.0.0.1:0"]
        ran = subprocess.run(
            [sys.executable, "-m", "dmmlab.nodes.registration.server", *argv],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 2 and complaint in ran.stderr and ran.stderr.count("\n") == 1


def test_what_cannot_be_saved_is_not_acknowledged_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: no answer, and no word of it in the log, until it is saved."""

    async def scene() -> None:
        full = True
        save = Store.save

        def saves(store: Store, records: Iterable[Record]) -> None:
            if full:
                raise sqlite3.OperationalError("database or disk is full")
            save(store, records)

        monkeypatch.setattr(Store, "save", saves)
        core = ServerCore(KEYS, time.time_ns())
        log = EventLog(tmp_path / "events", "server")
        server = Server(core, Store(tmp_path / "bindings.db"), log)
        port = await server.start("127.0.0.1", 0)
        client = RegistrationClient("mn1", KEYS["mn1"], ("127.0.0.1", port), backoff=QUICK)
        registering = asyncio.create_task(client.register(["10.1.0.2"], 7000))
        await asyncio.sleep(0.5)
        events = [line["event"] for line in logged(tmp_path / "events")]
        assert not registering.done() and "unsaved" in events and "registered" not in events
        full = False
        assert (await registering).ok
        assert [record.binding is not None for record in server._store.load()] == [True]
        await client.close()
        await server.stop()

    run(scene)


def test_a_node_registers_as_soon_as_the_server_is_there_again(server: Process) -> None:
    """However long it was away: a registration that nobody answers is repeated for good."""

    async def scene() -> None:
        client = server.client("mn1", backoff=Backoff(first_s=0.05, most_s=0.1, deadline_s=0.3))
        said: list[Status] = []
        client.on_registered = lambda outcome: said.append(outcome.status)
        server.end(signal.SIGKILL)
        outcome = await client.register(["10.1.0.2"], 7000)
        assert outcome.status is Status.TIMEOUT
        await asyncio.sleep(0.8)
        server.start()
        deadline = time.monotonic() + 10
        while Status.OK not in said and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        assert said[-1] is Status.OK
        await client.close()

    run(scene)
