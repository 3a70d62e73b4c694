"""Attacks on the registration server's sockets: the relay's ports, connections, and too much at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections import Counter
from pathlib import Path

import pytest
from registration_process import Process
from registration_world import KEYS
from relay_scene import CN, OLD, OTHER, Endpoint, Scene, play

from dmmlab.nodes.registration.client import Agreement
from dmmlab.nodes.registration.inbox import MOST_TURNED_AWAY, PATIENCE_S, REQUEST_WAIT_S
from dmmlab.nodes.registration.splice import ACK, DATA, FRAME, MOST_FRAME_BYTES, Resumable
from dmmlab.nodes.registration.tcp_relay import MOST_CALLERS
from dmmlab.nodes.registration.wire import (
    Leg,
    Message,
    MessageType,
    Mode,
    Reason,
    Transport,
    decode,
    encode,
)


def test_a_pair_that_never_agreed_gets_nothing_relayed(tmp_path: Path) -> None:
    """No address announced: the one that has asked, not the first to send. And before the MN agrees, nobody."""

    async def scene(made: Scene) -> None:
        with Endpoint(OLD) as mn, Endpoint(CN) as cn, Endpoint(OTHER) as stranger:
            made.agreement = Agreement((OLD,), mn.address[1])
            for plane in (None, ("0.0.0.0", 0), ("0.0.0.0", stranger.address[1])):
                answer = await made.cn.request("mn1", Mode.CENTRAL, Transport.UDP, user_plane=plane)
                stranger.socket.sendto(b"mine?", (answer.addresses[0], answer.port))
                assert await mn.silent() and await stranger.silent()
            answer = await made.cn.request("mn1", Mode.CENTRAL, Transport.UDP)
            cn.socket.sendto(b"hello", (answer.addresses[0], answer.port))
            assert (await mn.receive())[0] == b"hello"

    play(tmp_path, scene)


def test_the_relay_sends_nothing_to_an_announced_address_before_it_was_heard_from_there(tmp_path: Path) -> None:
    async def scene(made: Scene) -> None:
        with Endpoint(OLD) as mn, Endpoint(OTHER) as victim:
            made.agreement = Agreement((OLD,), mn.address[1])
            answer = await made.cn.request("mn1", Mode.CENTRAL, Transport.UDP, user_plane=victim.address)
            relay = made.server._relays[answer.session or 0]
            for _ in range(10):
                mn.socket.sendto(b"x" * 1000, ("127.0.0.1", relay.leg_port))
            assert await victim.silent()

    play(tmp_path, scene)


def test_what_the_relay_forwards_is_no_more_than_it_got(tmp_path: Path) -> None:
    async def scene(made: Scene) -> None:
        with Endpoint(OLD) as mn, Endpoint(CN) as cn:
            answer = await made.central(Transport.UDP, Agreement((OLD,), mn.address[1]))
            for size in (0, 1, 1400):
                cn.socket.sendto(bytes(size), (answer.addresses[0], answer.port))
                assert (await mn.receive())[0] == bytes(size)
            assert await mn.silent()

    play(tmp_path, scene)


def test_strangers_at_the_port_of_a_leg_are_few_and_do_not_keep_others_out(tmp_path: Path) -> None:
    async def scene(made: Scene) -> None:
        answer = await made.central(Transport.TCP, Agreement((OLD,), 7000, Leg.RESUMABLE))
        relay = made.server._relays[answer.session or 0]
        callers = [await asyncio.open_connection("127.0.0.1", relay.leg_port) for _ in range(4 * MOST_CALLERS)]
        await asyncio.sleep(0.2)
        assert relay._callers + len(relay._arriving) <= MOST_CALLERS  # type: ignore[attr-defined]
        for _, writer in callers:
            writer.close()
        await asyncio.sleep(0.2)
        assert relay._callers == 0  # type: ignore[attr-defined]

    play(tmp_path, scene)


@pytest.mark.parametrize("kind,length", [(DATA, 2**32 - 1), (DATA, MOST_FRAME_BYTES + 1), (ACK, 2**31), (9, 4), (0, 0)])
def test_a_frame_that_would_fill_the_memory_or_is_none_ends_its_leg(tmp_path: Path, kind: int, length: int) -> None:
    """Nothing of it is waited for."""
    from dmmlab.nodes.registration.splice import Splice

    async def scene() -> None:
        (near, far), (mine, leg) = socket.socketpair(), socket.socketpair()
        splice = Splice(*await asyncio.open_connection(sock=near))
        splice.attach(("leg", 1), *await asyncio.open_connection(sock=leg), 0)
        mine.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(mine, FRAME.pack(kind, length, 0) + b"abcd")
        assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(mine, 100), 2) == b""
        splice.close()
        far.close()
        mine.close()
        await asyncio.sleep(0.05)

    asyncio.run(scene())


def test_a_stream_takes_no_frame_of_an_unknown_kind() -> None:
    with pytest.raises(ValueError, match="kind 9"):
        Resumable().take(9, 0, b"x")


def test_connections_of_strangers_are_few_and_do_not_keep_a_node_out(tmp_path: Path) -> None:
    server = Process(tmp_path)
    idle = [socket.create_connection(server.address) for _ in range(300)]

    async def scene() -> None:
        node = server.client("mn1", control="tcp")
        await node.bind("127.0.0.1")
        assert (await node.register(["127.0.0.1"], 7)).ok
        mine = node._links[0]._transport  # type: ignore[attr-defined]
        more = [socket.create_connection(server.address) for _ in range(200)]
        assert (await node.keepalive()).ok
        assert (await node.request("mn1", Mode.P2P)).ok
        # What was cut would be made anew.
        assert node._links[0]._transport is mine  # type: ignore[attr-defined]
        for one in more:
            one.close()
        await node.close()

    asyncio.run(scene())
    open_files = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
    assert open_files < 200
    for one in idle:
        one.close()
    assert server.end() == 0


def test_a_stream_of_lengths_that_lie_is_cut(tmp_path: Path) -> None:
    server = Process(tmp_path)
    for version, length in ((1, 65_535), (1, 0), (9, 40)):
        head = struct.pack("!BBHQ", version, 1, length, 1)
        with socket.create_connection(server.address) as stream:
            stream.settimeout(5)
            stream.sendall(head)
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                while stream.recv(10) or stream.send(b"x"):
                    pass
    assert server.end() == 0


def crowd(many: Endpoint, where: tuple[str, int], count: int) -> None:
    """So many registrations of one node arrive at once."""
    start = time.time_ns() + 10**9
    for number in range(count):
        message = Message(MessageType.REGISTER, start + number, node="mn1", addresses=(OLD,), port=7)
        message.lifetime_ms = 60_000
        many.socket.sendto(encode(message, KEYS["mn1"]), where)


async def kinds_of_answers(many: Endpoint) -> Counter[tuple[MessageType, Reason | None]]:
    """How many of each have come within a while."""
    await asyncio.sleep(0.3)
    answers = Counter[tuple[MessageType, Reason | None]]()
    with contextlib.suppress(BlockingIOError):
        while True:
            said = decode(many.socket.recv(2048))
            answers[said.type, said.reason] += 1
    return answers


@pytest.mark.parametrize("behind", [True, False])
def test_who_waited_too_long_is_refused_and_who_comes_then_is_served(tmp_path: Path, behind: bool) -> None:
    """A thousand registrations have waited for a tenth of a second, and then five more come. If the server has been
    behind for long, twice a batch are refused, the others get no answer, and the five are served at once; if it only
    stood still for a moment, all are served.
    """

    async def scene(made: Scene) -> None:
        inbox = made.server._udp
        where = inbox.socket.getsockname()
        with Endpoint(OLD) as many:
            many.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            crowd(many, where, 1000)
            time.sleep(2 * REQUEST_WAIT_S)  # nothing is read meanwhile, as all of this is one loop
            crowd(many, where, 5)
            if behind:
                inbox._behind_s = time.monotonic() - 10 * PATIENCE_S
            answers = await kinds_of_answers(many)
        expected = {(MessageType.REFUSED, Reason.OVERLOADED): MOST_TURNED_AWAY, (MessageType.REGISTERED, None): 5}
        assert answers == (expected if behind else {(MessageType.REGISTERED, None): 1005})
        assert (await made.cn.register([CN], 2)).ok
        assert inbox._behind_s is None

    play(tmp_path, scene)
