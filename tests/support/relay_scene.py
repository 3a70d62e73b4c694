"""A registration server in this event loop, on loopback, with an MN and a CN that are registered."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from ports import free_port

from dmmlab.machine.events import EventLog
from dmmlab.nodes.registration.client import Agreement, RegistrationClient
from dmmlab.nodes.registration.client_core import IncomingRequest, Outcome
from dmmlab.nodes.registration.server import Server
from dmmlab.nodes.registration.server_core import ServerCore
from dmmlab.nodes.registration.store import Store
from dmmlab.nodes.registration.wire import Mode, Transport

KEYS = {name: name.encode() * 8 for name in ("mn1", "cn3")}
OLD, NEW, CN, OTHER = "127.0.0.2", "127.0.0.4", "127.0.0.3", "127.0.0.6"


class Scene:
    """A server in this loop, an MN and a CN that are registered."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        core = ServerCore(KEYS, time.time_ns(), relay_address="127.0.0.1", **options)
        self.server = Server(core, Store(folder / "db"), EventLog(folder / "events", "server"))
        self.agreement: Agreement | None = None

    async def start(self) -> None:
        port = await self.server.start("127.0.0.1", free_port())
        self.mn = RegistrationClient("mn1", KEYS["mn1"], ("127.0.0.1", port), on_request=self.decide)
        self.cn = RegistrationClient("cn3", KEYS["cn3"], ("127.0.0.1", port))
        await self.mn.bind(OLD)
        await self.cn.bind(CN)
        assert (await self.mn.register([OLD], 7000)).ok and (await self.cn.register([CN], 1)).ok

    def decide(self, _request: IncomingRequest) -> Agreement:
        assert self.agreement is not None
        return self.agreement

    async def central(self, transport: Transport, agreement: Agreement) -> Outcome:
        self.agreement = agreement
        answer = await self.cn.request("mn1", Mode.CENTRAL, transport, user_plane=(CN, 0))
        assert answer.ok and answer.session is not None
        return answer

    async def stop(self) -> None:
        await self.mn.close()
        await self.cn.close()
        await self.server.stop()
        await asyncio.sleep(0.05)


def play(tmp_path: Path, scene: Callable[[Scene], Coroutine[Any, Any, None]], **options: Any) -> str:
    async def whole() -> None:
        made = Scene(tmp_path, **options)
        await made.start()
        try:
            await scene(made)
        finally:
            await made.stop()

    asyncio.run(asyncio.wait_for(whole(), 60))
    return (tmp_path / "events").read_text()


class Endpoint:
    """A UDP socket of the user plane."""

    def __init__(self, host: str, port: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.socket.setblocking(False)
        self.address: tuple[str, int] = self.socket.getsockname()

    async def receive(self, wait_s: float = 2.0) -> tuple[bytes, tuple[str, int]]:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recvfrom(self.socket, 2048), wait_s)

    async def silent(self) -> bool:
        with contextlib.suppress(TimeoutError):
            await self.receive(0.1)
            return False
        return True

    def __enter__(self) -> "Endpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
