"""The registration server as a process: UDP, TCP, the relay and the disk around the sans-IO core.

``python -m dmmlab.nodes.registration.server --listen 0.0.0.0:48620 --keys keys.json --database bindings.db
--events events.jsonl [--relay-address 10.0.0.5]``; it is ready when the events file holds the event ``ready``.
"""

import argparse
import asyncio
import gc
import json
import signal
import sqlite3
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from dmmlab.machine import timekeeping
from dmmlab.machine.events import EventLog
from dmmlab.machine.processing import Cost, Processor
from dmmlab.nodes import clock
from dmmlab.nodes.registration.bindings import (
    Backoff,
    LegOpened,
    LegRetired,
    Noted,
    Peer,
    Record,
    RelayReleased,
    RelayWanted,
    spell,
)
from dmmlab.nodes.registration.inbox import Inbox
from dmmlab.nodes.registration.instants import fired_ns, nanoseconds, seconds_until
from dmmlab.nodes.registration.relay import Relay, UdpRelay
from dmmlab.nodes.registration.server_core import ServerCore
from dmmlab.nodes.registration.store import Store
from dmmlab.nodes.registration.streams import Stream
from dmmlab.nodes.registration.tcp_relay import TcpRelay
from dmmlab.nodes.registration.turns import Turns
from dmmlab.nodes.registration.wire import Message, Transport

MOST_STRANGERS = 128  # TCP connections on which nothing signed has come yet
RARELY = 100  # collections of what is young for each of all: that one takes 30 ms with 10,000 nodes
LONGEST_WAIT_S = 60.0  # bindings last long and clocks are set: look again


class Server:
    """The asyncio shell of one ServerCore."""

    def __init__(
        self, core: ServerCore, store: Store, log: EventLog, relay_idle_s: float = 300.0, cost: Cost | None = None
    ) -> None:
        self.core, self._store, self._log = core, store, log
        self._turns = None if cost is None else Turns(Processor(cost), self._take_turn)
        self._streams: dict[Peer, asyncio.WriteTransport] = {}
        self._strangers: dict[Peer, asyncio.WriteTransport] = {}
        self._relays: dict[int, Relay] = {}
        self._relay_idle_s = relay_idle_s
        self._timer: asyncio.TimerHandle | None = None
        self._unsaved: dict[str, Record] = {}
        self._noted: list[Noted] = []
        self._flushing = False
        self._loop = asyncio.get_running_loop()
        # A registration lasts as long as was granted, whoever sets the machine's clock.
        self._clock = timekeeping.Steady()
        self._ahead_ns = self._clock.ahead_ns(timekeeping.INSTRUMENTS)

    async def start(self, host: str, port: int) -> int:
        """Listen on UDP and TCP; returns the port (useful for port 0). Raises OSError."""
        self._udp = Inbox(host, port, self._clock.now_ns)
        port = self._udp.port
        try:
            self._tcp = await self._loop.create_server(lambda: Stream(self), host, port)
        except OSError:
            self._udp.close()
            raise
        self._loop.add_reader(self._udp.socket, self._readable)
        self._log.emit("ready", host=host, port=port)
        if held := self.core.held():
            self._log.emit("resumed", bindings=held)
        self.flush()
        return port

    async def stop(self) -> None:
        """Close everything that was opened."""
        self._loop.remove_reader(self._udp.socket)
        self._udp.close()
        self._tcp.close()
        for stream in list(self._streams.values()):
            stream.abort()
        for relay in self._relays.values():
            relay.close()
        if self._timer is not None:
            self._timer.cancel()
        if self._turns is not None:
            self._turns.stop()
        self._log.emit("stopped")
        self._store.close()
        await asyncio.sleep(0)
        self._log.close()

    # ---- in

    def _readable(self) -> None:
        self._udp.take_turn(self.core.receive if self._turns is None else self._turns.take_from, self.core.turn_away)
        self.flush()

    def _take_turn(self, data: bytes, peer: Peer) -> None:
        if self.core.receive(data, peer, self._clock.now_ns()):
            self._strangers.pop(peer, None)
        self.flush()

    def receive_stream(self, data: bytes, peer: Peer) -> None:
        """Take a message from a stream; the answers of one turn of the loop leave together."""
        if self._turns is not None:
            self._turns.add(data, peer)
            return
        if self.core.receive(data, peer, self._clock.now_ns()):
            self._strangers.pop(peer, None)
        self.flush_soon()

    def flush_soon(self) -> None:
        """Flush once everything that is readable now was read."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def opened(self, peer: Peer, transport: asyncio.WriteTransport) -> None:
        """Note a stream, to answer on it. Of those by which nobody has proved who he is, the oldest goes when there are
        too many.
        """
        self._streams[peer] = self._strangers[peer] = transport
        if len(self._strangers) > MOST_STRANGERS:
            self._strangers.pop(next(iter(self._strangers))).abort()

    def closed(self, peer: Peer) -> None:
        """Forget a stream."""
        self._streams.pop(peer, None)
        self._strangers.pop(peer, None)

    # ---- out

    def flush(self) -> None:
        """Serve the core's events, commit its changes, and only then send, and say what has happened.

        What cannot be committed, as on a full disk, is not acknowledged: the other side repeats, and with whatever
        comes next it is tried again.
        """
        self._flushing = False
        self._noted += self._serve_events(self._clock.now_ns())
        self._unsaved |= {record.name: record for record in self.core.take_changes()}
        to_send = self.core.datagrams_to_send()
        if self._saved():
            for data, peer in to_send:
                self._send(data, peer)
            noted, self._noted = self._noted, []
            self._log.write((event.name, event.time_ns - self._ahead_ns, event.fields) for event in noted)
            self._store.tend()
        self._set_timer()

    def _saved(self) -> bool:
        """Whether all that has changed is on the disk."""
        try:
            if self._unsaved:
                self._store.save(self._unsaved.values())
        except sqlite3.Error as error:
            self._log.emit("unsaved", nodes=sorted(self._unsaved), detail=str(error))
            return False
        self._unsaved.clear()
        return True

    def _send(self, data: bytes, peer: Peer) -> None:
        if peer[0] == "udp":
            try:
                self._udp.send(data, peer[1:])
            except OSError as error:  # lost, as the network may lose it: the other side repeats
                self._log.emit("unsent", to=spell(peer), detail=str(error))
        elif (stream := self._streams.get(peer)) is not None:
            stream.write(data)

    def _serve_events(self, now_ns: int) -> list[Noted]:
        noted = []
        while (event := self.core.next_event()) is not None:
            if isinstance(event, Noted):
                noted.append(event)
            elif isinstance(event, RelayWanted):
                self._open_relay(event, now_ns)
            elif isinstance(event, LegOpened):
                if (relay := self._relays.get(event.session)) is not None:
                    relay.open_leg(event)
            elif isinstance(event, LegRetired):
                if (relay := self._relays.get(event.session)) is not None:
                    relay.retire_leg(event.address)
            elif isinstance(event, RelayReleased) and (relay := self._relays.pop(event.session, None)) is not None:
                relay.close()
                noted.append(Noted("relay_carried", now_ns, {"session": event.session, **relay.carried()}))
        return noted

    def _open_relay(self, wanted: RelayWanted, now_ns: int) -> None:
        if wanted.session not in self.core.requests.sessions:
            return  # closed in the same breath
        try:
            relay: Relay = (UdpRelay if wanted.transport is Transport.UDP else TcpRelay)(wanted, self)
        except OSError:
            self.core.requests.relay_failed(wanted.session, now_ns)
            return
        self._relays[wanted.session] = relay
        self.core.requests.relay_ready(wanted.session, relay.port, relay.leg_port, now_ns)
        fields = {"session": wanted.session, "transport": wanted.transport.name.lower(), "port": relay.port}
        self.core.note(now_ns, "relay_opened", **fields, leg_port=relay.leg_port)
        self._loop.call_later(self._relay_idle_s, self._check_idle, wanted.session, 0)

    def _check_idle(self, session: int, seen: int) -> None:
        relay = self._relays.get(session)
        if relay is None:
            return
        count = relay.count()
        if count == seen:
            self.release(session, "idle")
        else:
            self._loop.call_later(self._relay_idle_s, self._check_idle, session, count)

    def release(self, session: int, why: str) -> None:
        """End a session from the relay's side."""
        self.core.requests.release(session, self._clock.now_ns(), why)
        self.flush_soon()

    @property
    def relay_address(self) -> str:
        """The address that relays are opened at."""
        return self.core.requests.relay_address or "0.0.0.0"

    def is_requester(self, session: int, host: str) -> bool:
        """Whether who asked for the session has been heard from this address."""
        return self.core.requests.is_requester(session, host)

    def sign(self, session: int, message: Message) -> bytes:
        """Return a message of the relay to the MN of the session, signed."""
        return self.core.requests.sign(session, message)

    def note(self, name: str, **fields: object) -> None:
        """Write an event of the relay to the log."""
        self.core.note(self._clock.now_ns(), name, **fields)
        self.flush_soon()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_ns = self.core.due_ns()
        if due_ns is not None:
            now_ns = self._clock.now_ns()
            look_ns = min(due_ns, now_ns + nanoseconds(LONGEST_WAIT_S))
            self._timer = self._loop.call_later(seconds_until(look_ns, now_ns), self._timer_due, look_ns)

    def _timer_due(self, due_ns: int) -> None:
        self._timer = None
        self.core.handle_timer(fired_ns(due_ns, self._clock.now_ns()))
        self.flush()


def read_keys(path: Path) -> dict[str, bytes]:
    """Return the key of every node from a JSON object of hexadecimal strings; raises ValueError or OSError."""
    keys = {node: bytes.fromhex(key) for node, key in json.loads(path.read_text()).items()}
    if short := [node for node, key in keys.items() if len(key) < 16]:
        raise ValueError(f"{path}: keys shorter than 128 bits: {', '.join(short)}")
    return keys


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dmmlab.nodes.registration.server", description="Registration server")
    parser.add_argument("--listen", default="0.0.0.0:48620", help="address:port for UDP and TCP; [::]:port for IPv6")
    parser.add_argument("--relay-address", help="address of the relay (central mode); without it there is none")
    parser.add_argument("--keys", type=Path, required=True, help='JSON object: {"node ID": "key in hexadecimal"}')
    parser.add_argument("--database", type=Path, required=True, help="SQLite file of the bindings")
    parser.add_argument("--events", type=Path, required=True, help="event log, JSON lines")
    parser.add_argument("--synchronous", choices=("NORMAL", "FULL"), default="NORMAL", help="SQLite's; FULL: fsync")
    parser.add_argument("--most-lifetime", type=float, default=86400.0, metavar="S", help="longest lifetime granted")
    parser.add_argument("--leg-linger", type=float, default=10.0, metavar="S", help="how long an old leg stays")
    parser.add_argument("--relay-idle", type=float, default=300.0, metavar="S", help="when an idle relay closes")
    parser.add_argument("--register", type=Path, metavar="FILE", help="JSON: how long it takes over a message")
    parser.add_argument("--answer-wait", type=float, default=8.0, metavar="S", help="how long an MN may take to answer")
    return parser.parse_args(argv)


async def _serve(options: argparse.Namespace, keys: Mapping[str, bytes]) -> None:
    store, log = Store(options.database, options.synchronous), EventLog(options.events, "server")
    records: list[Record] = store.load()
    core = ServerCore(
        keys,
        time.time_ns(),
        records=records,
        relay_address=options.relay_address,
        most_lifetime_s=options.most_lifetime,
        leg_linger_s=options.leg_linger,
        backoff=Backoff(deadline_s=options.answer_wait),
    )
    cost = None if options.register is None else Cost.read(options.register)
    server = Server(core, store, log, options.relay_idle, cost)
    gc.freeze()  # what was loaded stays: it need not be looked through again and again, while everybody waits
    gc.set_threshold(*gc.get_threshold()[:2], RARELY)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    host, _, port = options.listen.rpartition(":")
    await server.start(host.strip("[]"), int(port))
    await stopping.wait()
    await server.stop()


def main(argv: list[str] | None = None) -> int:
    """Run the server until SIGTERM; returns 2, with a sentence on stderr, for bad input."""
    options = _arguments(argv)
    try:
        clock.run(_serve(options, read_keys(options.keys)))
    except (OSError, ValueError, AttributeError, sqlite3.Error) as error:
        sys.stderr.write(f"registration server: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
