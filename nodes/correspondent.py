"""The correspondent's agent: opens the sessions that it is told to, each at its time and by its method.

On a mobile node it runs beside the node's own agent, which registers; a session is opened from the newest address.

Probes are Scapy packets sent through the kernel's own sockets. When a probe left and when its answer came is not timed
here but read from the capture on this host's interface, stamped by the kernel.

Retry rule: when nothing has come back `retry_s` after a session was opened, its mobile node is looked up again, past
any cache of our own, and the next of the addresses found is tried; `attempts` times in all.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import hashlib
import json
import math
import random
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dmmlab.machine.events import EventLog
from dmmlab.nodes import clock
from dmmlab.nodes.datagrams import Contest, datagrams_to, newest_address, socket_for
from dmmlab.nodes.ddns.lookup import LookupClient
from dmmlab.nodes.methods import base as methods
from dmmlab.nodes.methods.base import Found, Means, Method
from dmmlab.nodes.orders import DNS_PORT, DNS_SERVICE, PROBE_BYTES, SERVICES, CorrespondentFile, Order
from dmmlab.nodes.policies.base import Policy
from dmmlab.nodes.probe import probes_of
from dmmlab.nodes.programs import process
from dmmlab.nodes.registration.accounts import client_for
from dmmlab.nodes.registration.client_core import Outcome
from dmmlab.nodes.registration.desk import DeskClient

_CHUNK = 1 << 16
_ANSWER_S = 5.0  # how long answers are waited for after the last probe
_AHEAD_NS = 10**9  # how long before a session its node's ID is asked for


class Directory:
    """What nodes' IDs are, by what they are called: found by DNS-SD (RFC 6763), each once."""

    def __init__(self, zone: str, resolver: str, log: EventLog) -> None:
        self._zone, self._log, self._client = zone, log, LookupClient((resolver, DNS_PORT))
        self._found: dict[str, asyncio.Task[str]] = {}

    async def id_of(self, called: str) -> str:
        """The ID; empty where it is not found."""
        if called not in self._found:
            self._found[called] = asyncio.create_task(self._find(called))
        return await self._found[called]

    async def _find(self, called: str) -> str:
        found = await self._client.find(called, DNS_SERVICE, self._zone)
        self._log.emit("node_discovered", status=found.status, node=called, id=found.node)
        return found.node


class Session:
    """One order being carried out."""

    def __init__(
        self,
        order: Order,
        method: Method,
        policy: Policy,
        config: CorrespondentFile,
        local: str | None,
        log: EventLog,
        directory: Directory | None = None,
    ) -> None:
        self._directory = directory
        self._order, self._method, self._policy = order, method, policy
        self._config, self._local, self._log = config, local, log
        self._again = False  # whether nobody has answered before

    async def run(self) -> None:
        """From the order's start to the session's end; what goes wrong with it is an event, not an error."""
        order = await self._identified()
        await clock.sleep_until(order.start_ns)
        self._note("session_started", method=order.method, transport=order.transport)
        for attempt in range(self._config.attempts):
            found = await self._lookup(attempt)
            if found.outcome != "ok":
                continue
            first = attempt % len(found.addresses)
            addresses = (*found.addresses[first:], *found.addresses[:first])
            try:
                self._again = attempt > 0
                if await self._open(addresses, found.port):
                    self._note("session_ended")
                    return
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                self._note("attempt_failed", attempt=attempt, reason=str(error) or type(error).__name__)
            finally:
                await self._method.end(found)
            self._method.distrust(order)
        self._note("session_failed")

    async def _identified(self) -> Order:
        """The order, with its node's ID where that is to be found out: in time, and once for each node."""
        if self._directory is not None and self._method.asks:
            await clock.sleep_until(self._order.start_ns - _AHEAD_NS)
            found = await self._directory.id_of(self._order.called)
            self._order = replace(self._order, target=found or self._order.target)
        return self._order

    async def _lookup(self, attempt: int) -> Found:
        self._note("lookup_started", attempt=attempt)
        found = await self._method.lookup(self._order, self._local or newest_address(self._order.address))
        if found.outcome == "ok":
            ranked = await self._policy.rank(self._order.target, found.addresses, found.port, self._config.retry_s)
            found = replace(found, addresses=ranked)
        self._note(
            "lookup_ended",
            attempt=attempt,
            outcome=found.outcome,
            addresses=found.addresses,
            port=found.port,
            reason=found.reason,
            cached=found.cached,
        )
        return found

    async def _open(self, addresses: Sequence[str], port: int) -> bool:
        """Opens the session and carries it to its end; False if nobody answered."""
        if self._order.program is not None:  # which tries again, or does not, as it likes
            await process.run(self._order.program, addresses[0], port, self._order.target, self._log)
            return True
        if self._order.size is not None:
            return await self._bulk(addresses[0], port, self._order.size)
        if self._order.transport == "tcp":
            return await self._stream(addresses[0], port)
        head_start_s = self._policy.head_start_s
        return await self._datagrams(addresses[:1] if head_start_s is None else addresses, port, head_start_s or 0.0)

    def _note(self, event: str, **fields: object) -> None:
        self._log.emit(event, session=self._order.session, **fields)

    async def _probes(self) -> AsyncIterator[bytes]:
        """The session's probes, each at its time, counted from the opening, or from that of the attempt that it takes
        anew, and never from the probe before.
        """
        order = self._order
        opened_ns = clock.now_ns() if self._method.asks or self._again else order.start_ns
        probe, alarm, draw = probes_of(order.number), clock.Alarm(), random.Random(order.seed)
        due_ns = opened_ns
        for sequence in range(order.count):
            await alarm.at(due_ns)
            yield probe(sequence, due_ns)
            share = -math.log1p(-draw.random()) if order.at_random else 1
            due_ns += round(share * order.interval_ns)

    # -- UDP ----------------------------------------------------------------------------------------------------
    async def _datagrams(self, addresses: Sequence[str], port: int, head_start_s: float) -> bool:
        """A session with whichever of ``addresses`` answers first; each has its turn ``head_start_s`` after another."""
        loop = asyncio.get_running_loop()
        race = Contest(loop, last=self._order.count - 1)
        with contextlib.ExitStack() as stack:
            for turn, address in enumerate(addresses):
                there = stack.enter_context(datagrams_to(address, port, self._order.local_port))
                number = there.fileno()  # given the socket, asyncio spells it out for an error: two system calls
                loop.add_reader(number, race.take_answer, there, address)
                stack.callback(loop.remove_reader, number)
                if head_start_s and turn:
                    joins = loop.create_task(self._join(race, there, turn * head_start_s))
                    stack.callback(joins.cancel)
                else:
                    race.runners.append(there)
            sending = loop.create_task(self._send_datagrams(race))
            stack.callback(sending.cancel)
            if not await race.decided.within(self._config.retry_s) and self._method.asks:
                return False
            self._note("address_chosen", address=race.winner or addresses[0])
            await sending
            await race.finished.within(_ANSWER_S)
        return race.decided.is_set()

    async def _join(self, race: Contest, there: socket.socket, after_s: float) -> None:
        """Opens the session on one more address, unless it is decided by then."""
        opened_ns = clock.now_ns()
        await clock.sleep_until(opened_ns + round(after_s * 1e9))
        if not race.decided.is_set():
            race.runners.append(there)
            with contextlib.suppress(OSError):
                there.send(probes_of(self._order.number)(0, opened_ns))

    async def _send_datagrams(self, race: Contest) -> None:
        async for probe in self._probes():
            for there in race.runners:
                with contextlib.suppress(OSError):  # an earlier probe was refused, or no route: the next may pass
                    there.send(probe)

    # -- TCP ----------------------------------------------------------------------------------------------------
    async def _connect(self, address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(self._config.retry_s if self._method.asks else None):
            local = socket_for(address, socket.SOCK_STREAM)
            try:
                local.setblocking(False)
                local.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                local.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                local.bind(("", self._order.local_port))
                await asyncio.get_running_loop().sock_connect(local, (address, port))
            except BaseException:
                local.close()
                raise
            return await asyncio.open_connection(sock=local)

    async def _stream(self, address: str, port: int) -> bool:
        reader, writer = await self._connect(address, port)
        answers = asyncio.create_task(reader.readexactly(self._order.count * PROBE_BYTES))
        try:
            async for probe in self._probes():
                writer.write(probe)
            await answers
        finally:
            answers.cancel()
            writer.close()
        return True

    async def _bulk(self, address: str, port: int, size: int) -> bool:
        draw, digest = random.Random(self._order.seed), hashlib.sha256()
        reader, writer = await self._connect(address, port)
        with contextlib.closing(writer):
            for start in range(0, size, _CHUNK):
                chunk = draw.randbytes(min(_CHUNK, size - start))
                digest.update(chunk)
                writer.write(chunk)
                await writer.drain()
            writer.write_eof()
            answer = await reader.readexactly(digest.digest_size)
        self._note("bulk_checked", size=size, intact=answer == digest.digest())
        return True


async def _take_orders(counter: str, opening: Callable[[Order], Coroutine[Any, Any, None]]) -> None:
    """Carries out what comes in at ``counter``, a Unix socket, an order a line of JSON, until it is told to stop."""
    async with asyncio.TaskGroup() as under_way:

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.closing(writer):
                async for line in reader:
                    under_way.create_task(opening(Order(**json.loads(line))))

        async with await asyncio.start_unix_server(take, counter) as server:
            await server.serve_forever()


def _note_registered(log: EventLog, outcome: Outcome) -> None:
    log.emit("registered", outcome=outcome.status.value, attempts=outcome.attempts)


async def _main(arguments: argparse.Namespace) -> None:
    log = EventLog(arguments.events, arguments.name, "correspondent")
    config, began_ns = CorrespondentFile.read(arguments.config), clock.now_ns()
    client, desk = None, DeskClient(config.desk) if config.desk is not None else None
    if config.account is not None:  # both register, the MN and the CN (draft 4.2)
        client = await client_for(config.account, config.discover, config.resolver, log)
        client.on_registered = functools.partial(_note_registered, log)
        await client.bind(arguments.address)
        outcome = await client.register(
            [arguments.address], SERVICES["echo"], service="echo", lifetime_s=config.account.lifetime_s
        )
        _note_registered(log, outcome)
    means = Means(config.resolver, config.cn_cache, client or desk, config.family)
    ways = {name: methods.load(side.side)(means, **side.parameters) for name, side in config.methods.items()}
    policies = {key: methods.load(side.side)(**side.parameters) for key, side in config.policies.items()}
    directory = Directory(config.browse, config.resolver, log) if config.browse and config.resolver else None

    def opening(order: Order) -> Coroutine[Any, Any, None]:
        way, policy = ways[order.method], policies[order.select]
        return Session(order, way, policy, config, arguments.address, log, directory).run()

    # Whoever takes the place of one that was ended opens none of the sessions whose times that one has seen.
    orders = [order for order in config.orders if order.start_ns >= began_ns]
    work = [opening(order) for order in orders]
    if config.counter is not None:
        work.append(_take_orders(config.counter, opening))
    sessions = asyncio.gather(*work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, sessions.cancel)
    log.emit("ready", sessions=len(orders))
    with contextlib.suppress(asyncio.CancelledError), process.all_ended(any(order.program for order in config.orders)):
        await sessions
    if client is not None:
        await client.close()


def main(argv: list[str] | None = None) -> None:
    """Runs the agent until its sessions have ended or it is told to stop."""
    parser = argparse.ArgumentParser(prog="dmmlab.nodes.correspondent", description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--address", help="this host's own address; a mobile node's changes")
    parser.add_argument("--config", type=Path, required=True, help="JSON: CorrespondentFile")
    parser.add_argument("--events", type=Path, required=True)
    clock.run(_main(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
