"""The mobile node's service: it answers from the address at which it was asked, and a lost way back ends nothing."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections import deque
from types import SimpleNamespace
from typing import Any

from agents_fake import FakeStream, world

from dmmlab.nodes.service import echo_datagram, echo_stream, take_bulk

PKTINFO = (socket.IPPROTO_IP, 8)


class Datagrams:
    """A socket with datagrams that wait: (data, address at which they came in, sender)."""

    def __init__(self, *waiting: tuple[bytes, str, tuple[str, int]], unreachable: str = "") -> None:
        self._waiting, self._unreachable = deque(waiting), unreachable
        self.sent: list[tuple[bytes, list[Any], tuple[str, int]]] = []

    def recvmsg(self, _size: int, _ancillary: int) -> Any:
        if not self._waiting:
            raise BlockingIOError
        data, at, sender = self._waiting.popleft()
        info = (3).to_bytes(4, "little") + socket.inet_aton(at) + socket.inet_aton(at)
        return data, [(*PKTINFO, info), (1, 29, b"a time stamp")], 0, sender

    def sendmsg(self, data: list[bytes], ancillary: list[Any], _flags: int, to: tuple[str, int]) -> None:
        if to[0] == self._unreachable:
            raise OSError(101, "Network is unreachable")
        self.sent.append((data[0], ancillary, to))


def test_a_datagram_goes_back_from_the_address_at_which_it_came_in_by_any_interface() -> None:
    on = Datagrams((b"one", "10.1.1.100", ("10.2.1.2", 20000)), (b"two", "10.1.2.100", ("10.2.3.2", 20001)))
    for _ in range(3):  # once more than there are datagrams, as a wake-up for nothing is
        echo_datagram(on)  # type: ignore[arg-type]
    for (data, ancillary, to), (sent, at, sender) in zip(
        on.sent,
        [(b"one", "10.1.1.100", ("10.2.1.2", 20000)), (b"two", "10.1.2.100", ("10.2.3.2", 20001))],
        strict=True,
    ):
        assert (data, to) == (sent, sender)
        assert ancillary == [(*PKTINFO, bytes(4) + socket.inet_aton(at) + socket.inet_aton(at))]


def test_a_way_back_that_is_gone_loses_one_datagram_and_not_the_next() -> None:
    on = Datagrams(
        (b"one", "10.1.1.100", ("10.2.1.2", 1)), (b"two", "10.1.1.100", ("10.2.3.2", 1)), unreachable="10.2.1.2"
    )
    echo_datagram(on)  # type: ignore[arg-type]
    assert on.sent == []
    echo_datagram(on)  # type: ignore[arg-type]
    assert [data for data, _, _ in on.sent] == [b"two"]


def test_a_stream_is_echoed_until_the_other_side_has_finished() -> None:
    async def scene() -> FakeStream:
        reader, stream = asyncio.StreamReader(), FakeStream(0.0)
        served = asyncio.create_task(echo_stream(reader, stream))  # type: ignore[arg-type]
        for data in (b"first", b"second"):
            reader.feed_data(data)
            await asyncio.sleep(0.1)
        assert stream.taken == b"firstsecond" and not stream.closed
        reader.feed_eof()
        await served
        return stream

    with world() as of:
        assert of.run(scene()).closed


def test_a_bulk_transfer_is_answered_with_the_digest_of_all_of_it() -> None:
    async def scene() -> FakeStream:
        reader, stream = asyncio.StreamReader(), FakeStream(0.0)
        reader.feed_data(b"x" * 100_000)
        reader.feed_data(b"y")
        reader.feed_eof()
        await take_bulk(reader, stream)  # type: ignore[arg-type]
        return stream

    with world() as of:
        stream = of.run(scene())
    assert stream.taken == hashlib.sha256(b"x" * 100_000 + b"y").digest() and stream.closed


def test_in_ipv6_too_a_datagram_goes_back_from_where_it_came_in() -> None:
    old, cn = socket.inet_pton(socket.AF_INET6, "2001:db8:1:1::5"), ("2001:db8:2:1::2", 20000, 0, 0)
    received = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, old + (3).to_bytes(4, "little"))
    sent: list[Any] = []
    on = SimpleNamespace(recvmsg=lambda *_: (b"one", [received], 0, cn), sendmsg=lambda *args: sent.append(args))
    echo_datagram(on)  # type: ignore[arg-type]
    assert sent == [([b"one"], [(*received[:2], old + bytes(4))], 0, cn)]
