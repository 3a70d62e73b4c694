"""The relay of server-central mode for TCP: CN - server - MN, over a plain leg or one that can change its address.

When the CN's connection is accepted, the server connects to the MN's newest leg, so that the first byte comes back two
round trips of CN - server - MN after the CN's SYN. A *plain* leg ends at the MN's service and lives and dies with its
address. A *resumable* leg ends at the MN's :class:`LegTerminal`, and the MN may open further ones to ``leg_port``.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Coroutine

from dmmlab.nodes.registration.bindings import LegOpened, Peer, RelayWanted
from dmmlab.nodes.registration.relay import ANY_ADDRESS, RelayOwner, bound
from dmmlab.nodes.registration.splice import CHUNK_BYTES, Splice
from dmmlab.nodes.registration.wire import HEADER, Leg, Message, MessageType

HELLO_WAIT_S = 10.0
MOST_CALLERS = 16  # that have not yet said who they are, or are being judged: the port of a leg is open to all
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """Return the first message of a stream, and not a byte more; raises IncompleteReadError, OSError, TimeoutError."""
    async with asyncio.timeout(HELLO_WAIT_S):
        head = await reader.readexactly(HEADER.size)
        return head + await reader.readexactly(max(0, int.from_bytes(head[2:4], "big") - HEADER.size))


class TcpRelay:
    """Relays the connections of one CN to one MN."""

    def __init__(self, wanted: RelayWanted, owner: RelayOwner) -> None:
        self._session, self._peer, self._owner = wanted.session, wanted.peer, owner
        self._outer = bound(socket.SOCK_STREAM, owner.relay_address)
        try:
            self._inner = bound(socket.SOCK_STREAM, owner.relay_address)
        except OSError:
            self._outer.close()
            raise
        self.port, self.leg_port = self._outer.getsockname()[1], self._inner.getsockname()[1]
        self._legs: list[tuple[tuple[str, int], Leg]] = []
        self._splice: Splice | None = None
        self._arriving: dict[Peer, Connection] = {}
        self._callers = 0
        # ordered: in this order connections are closed, and their last packets leave
        self._writers: dict[asyncio.StreamWriter, None] = {}
        self._down = self._up = self._dropped = 0
        self._servers: list[asyncio.Server] = []
        self._tasks: dict[asyncio.Task[None], None] = {}
        # listening must begin before the CN is told the port, serving may follow
        for one, serve in ((self._outer, self._from_cn), (self._inner, self._from_mn)):
            one.listen(16)
            self._spawn(self._serve(one, serve))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def _serve(self, listening: socket.socket, serve: Serve) -> None:
        self._servers.append(await asyncio.start_server(serve, sock=listening))

    # ---- legs

    def open_leg(self, leg: LegOpened) -> None:
        """Use this leg for what comes; a stream that is resumable goes on over it at once."""
        self._legs = [one for one in self._legs if one[0] != leg.address] + [(leg.address, leg.leg)]
        connection = self._arriving.pop(leg.source, None)
        if connection is None:
            return
        self._owner.closed(leg.source)
        reader, writer = connection
        if self._splice is None:
            writer.close()
            return
        offset = self._splice.stream.received
        answer = Message(MessageType.LEG_OPENED, leg.request, offset=offset)
        writer.write(self._owner.sign(self._session, answer))
        self._splice.attach(leg.address, reader, writer, leg.offset)

    def retire_leg(self, address: tuple[str, int]) -> None:
        """Close a resumable leg; a plain one ends with its connection."""
        self._legs = [one for one in self._legs if one[0] != address]
        if self._splice is not None:
            self._splice.detach(address)

    def carried(self) -> dict[str, int]:
        """Return bytes by direction, and connections turned away."""
        splice = self._splice
        down, up = (0, 0) if splice is None else (splice.down, splice.up)
        return {"down": self._down + down, "up": self._up + up, "dropped": self._dropped}

    def count(self) -> int:
        """Return the bytes forwarded."""
        carried = self.carried()
        return carried["down"] + carried["up"]

    def close(self) -> None:
        """Close ports and connections."""
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        for one in (self._outer, self._inner):
            one.close()
        for peer in list(self._arriving):
            self._turn_away(peer)
        for writer in self._writers:
            writer.close()
        if self._splice is not None:
            self._splice.close()

    # ---- connections

    async def _from_cn(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers[writer] = None
        try:
            if not self._is_cn(writer.get_extra_info("peername")[:2]) or not self._legs:
                self._dropped += 1
                return
            await self._carry(reader, writer, *self._legs[-1])
        except OSError as error:
            self._owner.note("leg_failed", session=self._session, detail=str(error))
        finally:
            writer.close()
            self._writers.pop(writer, None)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: tuple[str, int], kind: Leg
    ) -> None:
        leg = await asyncio.open_connection(*address, local_addr=(self._owner.relay_address, 0))
        if kind is Leg.PLAIN:
            self._writers[leg[1]] = None
            try:
                await asyncio.gather(self._copy(reader, leg[1], "_down"), self._copy(leg[0], writer, "_up"))
            finally:
                leg[1].close()
                self._writers.pop(leg[1], None)
            return
        if self._splice is not None:
            self._down, self._up = self._down + self._splice.down, self._up + self._splice.up
            self._splice.close()  # one resumable stream at a time: the newest
        self._splice = splice = Splice(reader, writer)
        where = (self._owner.relay_address,)
        hello = Message(MessageType.LEG_HELLO, 0, addresses=where, port=self.leg_port, offset=0)
        leg[1].write(self._owner.sign(self._session, hello))
        splice.attach(address, *leg, 0)
        await splice.closed.wait()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counter: str) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                setattr(self, counter, getattr(self, counter) + len(data))
                writer.write(data)
                await writer.drain()
            writer.write_eof()
            return
        writer.transport.abort()  # a reset goes on as a reset

    def _is_cn(self, source: tuple[str, int]) -> bool:
        """Whether the session is this caller's; its port is not compared, as each connection has its own."""
        host = self._peer[0]
        return host == source[0] or (host in ANY_ADDRESS and self._owner.is_requester(self._session, source[0]))

    async def _from_mn(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let the core judge who calls; ``open_leg`` takes the connection over if it agrees."""
        host, port = writer.get_extra_info("peername")[:2]
        peer = ("leg", host, port)
        if self._callers + len(self._arriving) >= MOST_CALLERS:
            self._dropped += 1
            writer.transport.abort()
            return
        self._callers += 1
        try:
            data = await read_message(reader)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            writer.close()
            return
        finally:
            self._callers -= 1
        self._arriving[peer] = reader, writer
        self._owner.opened(peer, writer.transport)
        self._owner.receive_stream(data, peer)
        asyncio.get_running_loop().call_later(HELLO_WAIT_S, self._turn_away, peer)

    def _turn_away(self, peer: Peer) -> None:
        connection = self._arriving.pop(peer, None)
        if connection is not None:  # refused: it has had its answer
            self._owner.closed(peer)
            connection[1].close()
