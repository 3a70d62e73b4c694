"""The relay of server-central mode on loopback: UDP and TCP, two user planes at once, moves amid a stream."""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from relay_scene import CN, NEW, OLD, OTHER, Endpoint, Scene, play

from dmmlab.nodes.registration.client import Agreement, RegistrationClient
from dmmlab.nodes.registration.relay import bound
from dmmlab.nodes.registration.splice import ACK, DATA, END, FRAME, Resumable
from dmmlab.nodes.registration.terminal import LegTerminal
from dmmlab.nodes.registration.wire import Leg, Mode, Transport


def test_udp_goes_through_the_relay_and_strangers_do_not(tmp_path: Path) -> None:
    async def scene(made: Scene) -> None:
        with Endpoint(OLD) as mn, Endpoint(CN) as cn, Endpoint(CN) as late, Endpoint(OTHER) as stranger:
            answer = await made.central(Transport.UDP, Agreement((OLD,), mn.address[1]))
            relay = (answer.addresses[0], answer.port)
            cn.socket.sendto(b"hello", relay)
            data, leg = await mn.receive()
            assert data == b"hello" and leg[0] == "127.0.0.1" and leg != relay
            mn.socket.sendto(b"back", leg)
            assert await cn.receive() == (b"back", relay)
            for one in (stranger, late):
                one.socket.sendto(b"intruder", relay)
                one.socket.sendto(b"intruder", leg)
            assert await mn.silent() and await cn.silent()
            assert answer.session is not None and (await made.cn.close_session(answer.session)).ok
            cn.socket.sendto(b"after", relay)
            assert await mn.silent()

    log = play(tmp_path, scene)
    assert '"relay_carried"' in log and '"down": 1, "up": 1, "bytes": 9, "dropped": 4' in log


def test_who_has_no_address_yet_is_known_by_its_port(tmp_path: Path) -> None:
    async def scene(made: Scene) -> None:
        with Endpoint(CN) as cn, Endpoint(CN) as stranger, Endpoint(OLD) as mn:
            made.agreement = Agreement((OLD,), mn.address[1])
            user_plane = ("0.0.0.0", cn.address[1])
            answer = await made.cn.request("mn1", Mode.CENTRAL, Transport.UDP, user_plane=user_plane)
            there = answer.addresses[0], answer.port
            stranger.socket.sendto(b"not me", there)
            assert await mn.silent()
            cn.socket.sendto(b"hello", there)
            data, leg = await mn.receive()
            assert data == b"hello"
            mn.socket.sendto(b"yes", leg)
            assert (await cn.receive())[0] == b"yes" and await stranger.silent()

    play(tmp_path, scene)


def test_two_udp_legs_at_once_while_the_registration_still_says_the_old_address(tmp_path: Path) -> None:
    async def scene(made: Scene) -> None:
        with Endpoint(OLD) as old, Endpoint(NEW) as new, Endpoint(CN) as cn:
            answer = await made.central(Transport.UDP, Agreement((OLD,), old.address[1]))
            relay, session = (answer.addresses[0], answer.port), answer.session or 0
            cn.socket.sendto(b"1", relay)
            _, leg = await old.receive()
            await made.mn.bind(NEW)
            opened = await made.mn.open_leg(session, NEW, new.address[1])
            assert opened.ok and (opened.addresses[0], opened.port) == leg
            assert (await made.cn.request("mn1", Mode.P2P)).addresses == (OLD,)
            cn.socket.sendto(b"2", relay)
            assert (await new.receive())[0] == b"2" and await old.silent()
            for one in (old, new):
                one.socket.sendto(b"up", leg)
                assert (await cn.receive())[0] == b"up"
            assert (await made.mn.close_leg(session, OLD, old.address[1])).ok
            old.socket.sendto(b"up", leg)
            assert await cn.silent()
            new.socket.sendto(b"up", leg)
            assert (await cn.receive())[0] == b"up"

    log = play(tmp_path, scene)
    assert log.count('"leg_opened"') == 2 and '"legs": 2' in log and '"reason": "closed"' in log


def test_an_old_udp_leg_retires_by_timer(tmp_path: Path) -> None:
    async def scene(made: Scene) -> None:
        with Endpoint(OLD) as old, Endpoint(NEW) as new, Endpoint(CN) as cn:
            answer = await made.central(Transport.UDP, Agreement((OLD,), old.address[1]))
            cn.socket.sendto(b"1", (answer.addresses[0], answer.port))
            _, leg = await old.receive()
            await made.mn.bind(NEW)
            assert (await made.mn.open_leg(answer.session or 0, NEW, new.address[1])).ok
            await asyncio.sleep(0.4)
            old.socket.sendto(b"late", leg)
            assert await cn.silent()

    assert '"leg_retired"' in play(tmp_path, scene, leg_linger_s=0.2)


# ---- TCP


@contextlib.asynccontextmanager
async def tcp_service(host: str) -> AsyncIterator[int]:
    """Sends back what it gets, and ends when the other side does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def echo(
    relay: tuple[str, int], data: bytes, pause: Callable[[int], Coroutine[Any, Any, None]] | None = None
) -> bytes:
    """Send the data in pieces through the relay, and return what comes back until the end."""
    reader, writer = await asyncio.open_connection(*relay, local_addr=(CN, 0))

    async def send() -> None:
        for number, start in enumerate(range(0, len(data), 50_000)):
            writer.write(data[start : start + 50_000])
            await writer.drain()
            if pause is not None:
                await pause(number)
        writer.write_eof()

    received = bytearray()

    async def receive() -> None:
        while part := await reader.read(65536):
            received.extend(part)

    await asyncio.gather(send(), receive())
    writer.close()
    return bytes(received)


@pytest.mark.parametrize("leg", list(Leg))
def test_tcp_goes_through_the_relay(tmp_path: Path, leg: Leg) -> None:
    async def scene(made: Scene) -> None:
        async with tcp_service(OLD) as port:
            terminal = LegTerminal(made.mn, (OLD, port))
            leg_port = await terminal.start()
            agreement = Agreement((OLD,), leg_port if leg is Leg.RESUMABLE else port, leg)
            answer = await made.central(Transport.TCP, agreement)
            relay = (answer.addresses[0], answer.port)
            data = random.Random(1).randbytes(700_001)
            for _ in range(2):
                assert await echo(relay, data) == data
            assert await echo(relay, b"") == b""
            with pytest.raises((OSError, AssertionError)):
                reader, writer = await asyncio.open_connection(*relay, local_addr=(OTHER, 0))
                writer.write(b"intruder")
                got = await reader.read(100)
                writer.close()
                assert got != b""
            assert (await made.cn.close_session(answer.session or 0)).ok
            await terminal.close()

    log = play(tmp_path, scene)
    assert '"down": 1400002, "up": 1400002, "dropped": 1' in log


@pytest.mark.parametrize("cut", [False, True], ids=["both legs alive", "old leg dead"])
def test_a_tcp_stream_goes_on_over_a_new_leg(tmp_path: Path, cut: bool) -> None:
    async def scene(made: Scene) -> None:
        async with tcp_service(OLD) as port:
            terminal = LegTerminal(made.mn, (OLD, port))
            await terminal.start()
            answer = await made.central(Transport.TCP, Agreement((OLD,), terminal.port, Leg.RESUMABLE))
            session = answer.session or 0
            hosts = iter([NEW, "127.0.0.5", NEW])

            async def move(number: int) -> None:
                if number % 8 != 5:
                    return
                while session not in terminal._sessions:
                    await asyncio.sleep(0.01)
                if cut:
                    for legs in (terminal._sessions[session].splice._legs,):
                        for writer in legs.values():
                            writer.transport.abort()
                    await asyncio.sleep(0.05)
                assert await terminal.move(next(hosts)) == {session: True}

            data = random.Random(2).randbytes(1_300_003)
            assert await echo((answer.addresses[0], answer.port), data, move) == data
            await terminal.close()

    log = play(tmp_path, scene, leg_linger_s=0.2)
    assert log.count('"leg_opened"') == 4


def test_a_tcp_stream_that_begins_at_an_address_that_is_left_goes_on_over_a_new_leg(tmp_path: Path) -> None:
    """The server had been told of the old address, and its connection came after the move."""

    async def scene(made: Scene) -> None:
        async with tcp_service(OLD) as port:
            terminal = LegTerminal(made.mn, (OLD, port))
            await terminal.start()
            answer = await made.central(Transport.TCP, Agreement((OLD,), terminal.port, Leg.RESUMABLE))
            assert await terminal.move(NEW) == {}

            async def wait(number: int) -> None:
                legs: dict[tuple[str, int], Any] = {}
                while number == 5 and len(legs) < 2:
                    await asyncio.sleep(0.01)
                    running = terminal._sessions.get(answer.session or 0)
                    legs = running.splice._legs if running is not None else legs

            data = random.Random(3).randbytes(500_003)
            assert await echo((answer.addresses[0], answer.port), data, wait) == data
            await terminal.close()

    assert play(tmp_path, scene).count('"leg_opened"') == 2


def test_a_leg_of_a_stranger_is_refused(tmp_path: Path) -> None:
    async def scene(made: Scene) -> None:
        async with tcp_service(OLD) as port:
            terminal = LegTerminal(made.mn, (OLD, port))
            await terminal.start()
            answer = await made.central(Transport.TCP, Agreement((OLD,), terminal.port, Leg.RESUMABLE))

            async def attack(number: int) -> None:
                if number != 2:
                    return
                while not terminal._sessions:
                    await asyncio.sleep(0.01)
                carried = terminal._sessions[answer.session or 0]
                thief = LegTerminal(RegistrationClient("mn1", b"wrong" * 7, ("127.0.0.1", 9)), ("127.0.0.1", 9))
                thief._sessions = {answer.session or 0: carried}
                assert await thief.move(NEW) == {answer.session: False}
                other = LegTerminal(made.cn, ("127.0.0.1", 9))
                other._sessions = {answer.session or 0: carried}
                assert await other.move(NEW) == {answer.session: False}

            data = random.Random(3).randbytes(400_000)
            assert await echo((answer.addresses[0], answer.port), data, attack) == data
            reader, writer = await asyncio.open_connection(OLD, terminal.port)
            writer.write(b"\1\1\0\20" + bytes(12))
            assert await reader.read(10) == b""
            writer.close()
            await terminal.close()

    log = play(tmp_path, scene)
    assert '"bad_authenticator"' in log and '"unknown_session"' in log and log.count('"leg_opened"') == 1


def test_an_idle_relay_is_closed(tmp_path: Path) -> None:
    async def scene(made: Scene) -> None:
        made.server._relay_idle_s = 0.1
        answer = await made.central(Transport.UDP, Agreement((OLD,), 7000))
        await asyncio.sleep(0.3)
        assert answer.session not in made.server.core.requests.sessions

    assert '"reason": "idle"' in play(tmp_path, scene)


# ---- the stream without input or output


@pytest.mark.parametrize("seed", range(20))
def test_a_resumable_stream_survives_any_cut(seed: int) -> None:
    rng = random.Random(seed)
    left, right = Resumable(), Resumable()
    sent, received = bytearray(), bytearray()
    wire = b""
    for _ in range(300):
        if rng.random() < 0.6:
            data = rng.randbytes(rng.randrange(1, 50))
            sent += data
            wire += left.write(data)
        while len(wire) >= FRAME.size and rng.random() < 0.7:
            kind, length, offset = FRAME.unpack(wire[: FRAME.size])
            data, wire = wire[FRAME.size : FRAME.size + length], wire[FRAME.size + length :]
            received += right.take(kind, offset, data)
            if rng.random() < 0.5:
                left.acknowledged(FRAME.unpack(right.ack())[2])
        if rng.random() < 0.1:
            wire = left.resume(right.received)
    wire = left.resume(right.received) + left.finish()
    while wire:
        kind, length, offset = FRAME.unpack(wire[: FRAME.size])
        received += right.take(kind, offset, wire[FRAME.size : FRAME.size + length])
        wire = wire[FRAME.size + length :]
    assert received == sent and right.ended and not left.done
    kind, _, offset = FRAME.unpack(right.ack())
    left.take(kind, offset, b"")
    left.take(END, 0, b"")
    assert left.done


def test_a_resumable_stream_notices_gaps_and_lies() -> None:
    stream = Resumable()
    stream.write(b"abc")
    for kind, offset in ((DATA, 5), (ACK, 4), (END, 1)):
        with pytest.raises(ValueError):
            stream.take(kind, offset, b"x")


def test_a_relay_holds_no_small_piece_back(tmp_path: Path) -> None:
    """With Nagle's algorithm the second of two pieces would wait for the acknowledgement of the first."""
    with contextlib.closing(bound(socket.SOCK_STREAM, "127.0.0.1")) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
