"""How a client reaches the server: a bound UDP socket, or a TCP connection that is made anew when it breaks."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Protocol

from dmmlab.nodes.registration.framing import Framer
from dmmlab.nodes.registration.wire import WireError

Received = Callable[[bytes], None]


class Link(Protocol):
    """A way to the server from one of our addresses."""

    port: int
    closed: bool

    def send(self, data: bytes) -> None:
        """Send one message, or lose it; raises OSError when it cannot leave."""

    def close(self) -> None:
        """Close the socket."""


class UdpLink:
    """A UDP socket on the given address."""

    def __init__(self, server: tuple[str, int], local: tuple[str, int], received: Received) -> None:
        self._server, self._received, self.closed = server, received, False
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind(local)
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self._loop.add_reader(self._socket, self._readable)

    def send(self, data: bytes) -> None:
        """Send one datagram; raises OSError when it cannot leave."""
        self._socket.sendto(data, self._server)

    def _readable(self) -> None:
        for _ in range(64):
            try:
                data = self._socket.recv(2048)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error: the request is repeated anyway
            self._received(data)
            if self.closed:
                return

    def close(self) -> None:
        """Close the socket."""
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._socket)
            self._socket.close()


class TcpLink(asyncio.Protocol):
    """A connection from the given address; messages wait for it, and a broken one is made anew by the next message."""

    def __init__(self, server: tuple[str, int], local: tuple[str, int], received: Received) -> None:
        self._server, self._local, self._received = server, local, received
        self.port, self.closed = local[1], False
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._unsent: list[bytes] = []
        self._framer = Framer()

    def send(self, data: bytes) -> None:
        """Send one message, as soon as there is a connection."""
        if self._transport is not None:
            self._transport.write(data)
            return
        if data not in self._unsent:
            self._unsent.append(data)
        if self._task is None and not self.closed:
            self._task = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            with contextlib.suppress(OSError):
                await loop.create_connection(lambda: self, *self._server, local_addr=self._local)
        finally:
            self._task = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what has waited."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._framer = transport, Framer()
        transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def data_received(self, data: bytes) -> None:
        """Hand on the complete messages."""
        try:
            for message in self._framer.feed(data):
                self._received(message)
        except WireError:
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """Connect again when there is something to send."""
        self._transport = None

    def close(self) -> None:
        """Close the connection."""
        self.closed = True
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.close()
