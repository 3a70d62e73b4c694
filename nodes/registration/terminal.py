"""The MN's end of resumable TCP legs (draft 4.2.2: two user planes of one session).

terminal = LegTerminal(client, ("127.0.0.1", 7000))      # the MN's TCP service
await terminal.start()
... on_request for central mode over TCP: Agreement(addresses, terminal.port, Leg.RESUMABLE)
await terminal.move("10.2.0.2")                           # after a move, before the registration is updated
"""

import asyncio
from dataclasses import dataclass

from dmmlab.nodes.registration.client import RegistrationClient
from dmmlab.nodes.registration.splice import Splice
from dmmlab.nodes.registration.tcp_relay import read_message
from dmmlab.nodes.registration.wire import Message, MessageType

_LEG_WAIT_S = 10.0  # for a new leg


@dataclass
class _Carried:
    splice: Splice
    relay: tuple[str, int]


class LegTerminal:
    """Accepts the server's legs, joins each session to the MN's own service, and opens new legs when the MN moves."""

    def __init__(self, client: RegistrationClient, service: tuple[str, int], family: str = "ipv4") -> None:
        self.port = 0
        self._client, self._service = client, service
        self._any = "::" if family == "ipv6" else "0.0.0.0"
        self._sessions: dict[int, _Carried] = {}
        self._server: asyncio.Server | None = None
        self._newest = ""  # the address that the MN moved to last

    async def start(self, port: int = 0) -> int:
        """Listen on every address, now and later, and return the port; raises OSError."""
        self._server = await asyncio.start_server(self._accept, self._any, port)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self.port

    async def move(self, address: str, wait_s: float = _LEG_WAIT_S) -> dict[int, bool]:
        """Open a leg from this address for every running session; says for each whether it goes on over it.

        One that the server was just beginning at an older address goes on over it, too, as soon as it is there.
        """
        self._newest = address
        running = [number for number, one in self._sessions.items() if not one.splice.closed.is_set()]
        done = await asyncio.gather(*(self._open(number, address, wait_s) for number in running))
        return dict(zip(running, done, strict=True))

    async def _open(self, number: int, address: str, wait_s: float) -> bool:
        carried = self._sessions[number]
        try:
            async with asyncio.timeout(wait_s):
                reader, writer = await asyncio.open_connection(*carried.relay, local_addr=(address, 0))
                port = writer.get_extra_info("sockname")[1]
                received = carried.splice.stream.received
                message = Message(
                    MessageType.LEG_OPEN, 0, session=number, addresses=(address,), port=port, offset=received
                )
                data, sequence = self._client.core.sign(message)
                writer.write(data)
                try:
                    answer = self._client.core.authentic(await read_message(reader))
                except BaseException:
                    writer.close()
                    raise
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return False
        if answer is None or answer.type is not MessageType.LEG_OPENED or answer.sequence != sequence:
            writer.close()
            return False
        carried.splice.attach((address, port), reader, writer, answer.offset or 0)
        return True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            hello = self._client.core.authentic(await read_message(reader))
            if hello is None or hello.type is not MessageType.LEG_HELLO or not hello.addresses:
                raise OSError("not the server")
            service = await asyncio.open_connection(*self._service)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            writer.close()
            return
        splice = Splice(*service)
        number = hello.session or 0
        self._sessions[number] = _Carried(splice, (hello.addresses[0], hello.port or 0))
        here = writer.get_extra_info("sockname")[:2]
        splice.attach(here, reader, writer, hello.offset or 0)
        if self._newest and here[0] != self._newest:
            await self._open(number, self._newest, _LEG_WAIT_S)
        await splice.closed.wait()
        if self._sessions.get(number, _Carried(splice, ("", 0))).splice is splice:
            self._sessions.pop(number, None)

    async def close(self) -> None:
        """Stop listening and end every session."""
        if self._server is not None:
            self._server.close()
        for carried in list(self._sessions.values()):
            carried.splice.close()
        await asyncio.sleep(0)
