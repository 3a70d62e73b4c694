"""The correspondent's agent: opens the sessions that it is told to, each at its time, and sends what each one sends.

Probes are Scapy packets sent through the kernel's own sockets. Nothing is timed here: when a probe left and when its
answer came is read from the capture on this host's interface, stamped by the kernel.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import random
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from dmmlab.nodes import clock
from dmmlab.nodes.events import EventLog
from dmmlab.nodes.orders import BULK_PORT, ECHO_PORT, PROBE_BYTES, Order
from dmmlab.nodes.probe import Probe

_CHUNK = 1 << 16
_ANSWER_S = 5.0  # how long an answer is waited for after the last probe


class Correspondent:
    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def open(self, order: Order) -> None:
        """Runs one session from its start to its end; what goes wrong with it is an event, not an error."""
        await clock.sleep_until(order.start_ns)
        self._log.emit("session_started", session=order.session, method=order.method, address=order.address)
        try:
            if order.size is not None:
                await self._bulk(order, order.size)
            elif order.transport == "tcp":
                await self._stream(order)
            else:
                await self._datagrams(order)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self._log.emit("session_failed", session=order.session, reason=str(error) or type(error).__name__)
        else:
            self._log.emit("session_ended", session=order.session)

    @staticmethod
    async def _probes(order: Order) -> AsyncIterator[bytes]:
        """The session's probes, each at its time, counted from the start and never from the one before."""
        for sequence in range(order.count):
            due_ns = order.start_ns + sequence * order.interval_ns
            probe = bytes(Probe(session=order.number, sequence=sequence, due_ns=due_ns))
            await clock.sleep_until(due_ns)
            yield probe

    async def _datagrams(self, order: Order) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
            there.setblocking(False)
            there.bind(("", order.local_port))
            await loop.sock_connect(there, (order.address, ECHO_PORT))
            last = asyncio.Event()
            loop.add_reader(there, self._take_answers, there, order, last)
            try:
                async for probe in self._probes(order):
                    with contextlib.suppress(ConnectionError):  # an earlier probe was refused: the next may pass
                        there.send(probe)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(last.wait(), _ANSWER_S)
            finally:
                loop.remove_reader(there)

    @staticmethod
    def _take_answers(there: socket.socket, order: Order, last: asyncio.Event) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                with contextlib.suppress(ConnectionError):
                    if Probe(there.recv(65535)).sequence == order.count - 1:
                        last.set()

    async def _connect(self, order: Order, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(order.address, port, local_addr=("0.0.0.0", order.local_port))
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return reader, writer

    async def _stream(self, order: Order) -> None:
        reader, writer = await self._connect(order, ECHO_PORT)
        with contextlib.closing(writer):
            answers = asyncio.create_task(reader.readexactly(order.count * PROBE_BYTES))
            async for probe in self._probes(order):
                writer.write(probe)
            await answers

    async def _bulk(self, order: Order, size: int) -> None:
        draw, digest = random.Random(order.seed), hashlib.sha256()
        reader, writer = await self._connect(order, BULK_PORT)
        with contextlib.closing(writer):
            for start in range(0, size, _CHUNK):
                chunk = draw.randbytes(min(_CHUNK, size - start))
                digest.update(chunk)
                writer.write(chunk)
                await writer.drain()
            writer.write_eof()
            answer = await reader.readexactly(digest.digest_size)
        self._log.emit("bulk_checked", session=order.session, size=size, intact=answer == digest.digest())


async def _main(arguments: argparse.Namespace) -> None:
    log = EventLog(arguments.events, arguments.name)
    correspondent = Correspondent(log)
    orders = [Order(**order) for order in json.loads(arguments.orders.read_text())]
    sessions = asyncio.gather(*(correspondent.open(order) for order in orders))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, sessions.cancel)
    log.emit("ready", sessions=len(orders))
    with contextlib.suppress(asyncio.CancelledError):
        await sessions


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="dmmlab.nodes.correspondent", description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--orders", type=Path, required=True, help="JSON: a list of Order")
    parser.add_argument("--events", type=Path, required=True)
    clock.run(_main(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
