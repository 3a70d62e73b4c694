"""How the programs of a node share its one account: the agent that registers has the client, and a desk for the others.

The server numbers and remembers what a node asks (`replay`), so a second client of the same node would be taken for a
replay. Whoever else on the node wants to ask, connects to the desk's Unix socket: a line of JSON each way.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol

from dmmlab.nodes.registration.client_core import Outcome, Status
from dmmlab.nodes.registration.wire import Mode, Reason, Transport


class Asking(Protocol):
    """What a correspondent needs of a client of the registration server."""

    async def request(
        self,
        target: str,
        mode: Mode,
        transport: Transport = Transport.UDP,
        *,
        service: str = "",
        user_plane: tuple[str, int] | None = None,
    ) -> Outcome:
        """Ask for a session with a node, and return where to open it."""

    async def close_session(self, session: int) -> Outcome:
        """End a relayed session."""


_NOT_YET = Outcome(Status.REFUSED, Reason.NOT_REGISTERED)


class Desk:
    """Passes on what is asked to the node's client, which ``client`` gives: None before the node has an address."""

    def __init__(self, client: Callable[[], Asking | None]) -> None:
        self._client = client
        self._server: asyncio.Server | None = None

    async def start(self, path: str) -> None:
        """Listens at ``path``; raises OSError."""
        self._server = await asyncio.start_unix_server(self._serve, path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            asked = json.loads(await reader.readline())
            outcome = await self._ask(asked)
            writer.write(json.dumps(asdict(outcome)).encode() + b"\n")
            await writer.drain()

    async def _ask(self, asked: dict[str, Any]) -> Outcome:
        client = self._client()
        if client is None:
            return _NOT_YET
        if "session" in asked:
            return await client.close_session(asked["session"])
        plane = asked["user_plane"]
        return await client.request(
            asked["target"],
            Mode(asked["mode"]),
            Transport(asked["transport"]),
            service=asked["service"],
            user_plane=tuple(plane) if plane is not None else None,
        )


class DeskClient:
    """Asks at a desk, as if it were the client."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def request(
        self,
        target: str,
        mode: Mode,
        transport: Transport = Transport.UDP,
        *,
        service: str = "",
        user_plane: tuple[str, int] | None = None,
    ) -> Outcome:
        """As the client's."""
        return await self._ask(target=target, mode=mode, transport=transport, service=service, user_plane=user_plane)

    async def close_session(self, session: int) -> Outcome:
        """As the client's."""
        return await self._ask(session=session)

    async def _ask(self, **asked: object) -> Outcome:
        """The outcome; a timeout if the node's agent is gone."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._path)
        except OSError:
            return Outcome(Status.TIMEOUT)
        with contextlib.closing(writer):
            writer.write(json.dumps(asked).encode() + b"\n")
            answer = await reader.readline()
        if not answer:
            return Outcome(Status.TIMEOUT)
        said = json.loads(answer)
        reason = Reason(said.pop("reason")) if said["reason"] is not None else said.pop("reason")
        return Outcome(status=Status(said.pop("status")), reason=reason, addresses=tuple(said.pop("addresses")), **said)
