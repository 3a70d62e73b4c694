"""TCP at the server: a connection of each node that speaks over it."""

import asyncio
from typing import Protocol

from dmmlab.nodes.registration.bindings import Peer, spell
from dmmlab.nodes.registration.framing import Framer
from dmmlab.nodes.registration.wire import WireError


class Taker(Protocol):
    """What a stream needs of the server."""

    def opened(self, peer: Peer, transport: asyncio.WriteTransport) -> None:
        """Note it, to answer on it."""

    def receive_stream(self, data: bytes, peer: Peer) -> None:
        """Take a message."""

    def note(self, name: str, **fields: object) -> None:
        """Write an event."""

    def closed(self, peer: Peer) -> None:
        """Forget it."""


class Stream(asyncio.Protocol):
    """One TCP connection of a node."""

    def __init__(self, server: Taker) -> None:
        self._server, self._framer = server, Framer()
        self._peer: Peer = ("tcp", "", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note where the answers go."""
        assert isinstance(transport, asyncio.WriteTransport)
        host, port = transport.get_extra_info("peername")[:2]
        self._peer, self._transport = ("tcp", host, port), transport
        self._server.opened(self._peer, transport)

    def data_received(self, data: bytes) -> None:
        """Hand on every complete message; a stream that makes no sense is cut."""
        try:
            for message in self._framer.feed(data):
                self._server.receive_stream(message, self._peer)
        except WireError as error:
            self._server.note("refused", reason="malformed", peer=spell(self._peer), detail=str(error))
            self._transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget it."""
        self._server.closed(self._peer)
