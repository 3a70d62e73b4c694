"""A processor that takes time over each message (`costs`): those that come meanwhile wait for their turn."""

import asyncio
from collections.abc import Callable

from dmmlab.machine.processing import Processor
from dmmlab.nodes import clock
from dmmlab.nodes.registration.bindings import Peer


class Turns:
    """Messages that wait until a processor is done with them, in order; ``take`` gets each then."""

    def __init__(self, processor: Processor, take: Callable[[bytes, Peer], None]) -> None:
        self._processor, self._take = processor, take
        self._waiting: asyncio.Queue[tuple[int, bytes, Peer]] = asyncio.Queue()
        self._task = asyncio.get_running_loop().create_task(self._go_on())

    def add(self, data: bytes, peer: Peer) -> None:
        """One that has just come."""
        self._waiting.put_nowait((self._processor.done_ns(clock.now_ns()), data, peer))

    def take_from(self, data: bytes, peer: Peer, _now_ns: int) -> None:
        """As `add`, in the place of `ServerCore.receive`."""
        self.add(data, peer)

    def stop(self) -> None:
        """Drops those that wait."""
        self._task.cancel()

    async def _go_on(self) -> None:
        alarm = clock.Alarm()
        while True:
            done_ns, data, peer = await self._waiting.get()
            await alarm.at(done_ns)
            self._take(data, peer)
