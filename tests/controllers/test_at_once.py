"""Ryu without its queues: one event after the other, a socket that is full is waited for as Ryu does, and what comes is
read whole.
"""

from __future__ import annotations

import struct
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from dmmlab.controllers import at_once


class Base:
    """As much of a framework's application as is used."""

    def __init__(self) -> None:
        self.handled: list[str] = []

    def get_handlers(self, event: str, state: str) -> list[Any]:
        return [self.handle] if state == "main" else []

    def handle(self, event: str) -> None:
        self.handled.append(f"{event} begins")
        if event == "first":
            self._send_event("second", "main")  # type: ignore[attr-defined]
        self.handled.append(f"{event} ends")


def test_an_event_that_comes_while_one_is_handled_is_next() -> None:
    app = at_once.application(Base)()
    app._send_event("first", "main")
    app._send_event("third", "dead")
    assert app.handled == ["first begins", "first ends", "second begins", "second ends"]


def test_a_handler_that_raises_does_not_stop_what_comes_later() -> None:
    class Broken(Base):
        def handle(self, event: str) -> None:
            super().handle(event)
            if event == "broken":
                raise ValueError(event)

    app = at_once.application(Broken)()
    try:
        app._send_event("broken", "main")
    except ValueError:
        app._send_event("later", "main")
    assert app.handled[-1] == "later ends"


class Socket:
    """Takes ``room`` bytes."""

    def __init__(self, room: int) -> None:
        self.room, self.written, self.fd = room, b"", self

    def send(self, data: bytes) -> int:
        if not self.room:
            raise BlockingIOError
        taken = data[: self.room]
        self.written += taken
        self.room -= len(taken)
        return len(taken)


def connection(room: int) -> Any:
    """A connection whose class was made to send at once; ``queued`` is what went by its queue."""

    class Datapath:
        def __init__(self) -> None:
            self.socket, self.send_q, self.queued = Socket(room), object(), b""

        def send(self, buf: bytes, close_socket: bool = False) -> bool:
            self.queued += buf
            return True

    at_once.send_at_once(Datapath)
    return Datapath()


def test_what_fits_is_written_and_nothing_queued() -> None:
    datapath = connection(room=100)
    assert datapath.send(b"hello")
    assert (datapath.socket.written, datapath.queued) == (b"hello", b"")


def test_from_a_full_socket_on_everything_goes_by_the_queue_in_its_order() -> None:
    datapath = connection(room=3)
    for part in (b"hello", b"world"):
        assert datapath.send(part)
    datapath.socket.room = 100
    datapath.send(b"!")
    assert (datapath.socket.written, datapath.queued) == (b"hel", b"loworld!")


def test_a_message_that_ends_the_connection_goes_by_the_queue() -> None:
    datapath = connection(room=100)
    datapath.send(b"bye", close_socket=True)
    assert (datapath.socket.written, datapath.queued) == (b"", b"bye")


class Incoming:
    """A connection to which ``pieces`` come, and then its end; before each piece there is a wait."""

    def __init__(self, pieces: list[bytes], taken: int) -> None:
        self.socket, self.state, self.ofp_brick = self, "main", self
        self.fd, self.closed = self, False
        self._pieces, self._there, self._waited, self._taken = pieces, False, False, taken
        self.shown: list[bytes] = []
        self.handled: list[tuple[Any, str]] = []

    def recv(self, most: int) -> bytes:
        if not self._there:
            raise BlockingIOError
        if self._pieces and len(self._pieces[0]) > most:
            taken, self._pieces[0] = self._pieces[0][:most], self._pieces[0][most:]
            return taken
        self._there = False
        return self._pieces.pop(0) if self._pieces else b""

    def arrive(self, *_: Any, **__: Any) -> None:
        """What the wait is for; the first is in vain."""
        self._there = self._waited
        self._waited = True
        if not self._there:
            raise TimeoutError

    def gettimeout(self) -> float:
        return 5.0

    def close(self) -> None:
        self.closed = True

    def take(self, kind: int, xid: int, message: bytes) -> bool:
        self.shown.append(message)
        return kind == self._taken

    def send_event_to_observers(self, event: bytes, state: str) -> None:
        self.handled.append((event, state))

    def get_handlers(self, event: bytes, state: str) -> list[Any]:
        return [lambda event: self.handled.append((event, "handler"))]


def received(connection: Incoming, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has ``connection`` read to its end by what Ryu's connections are given."""
    modules = {
        "controller.handler": SimpleNamespace(MAIN_DISPATCHER="main", DEAD_DISPATCHER="dead"),
        "lib.hub": None,
        "ofproto.ofproto_parser": SimpleNamespace(
            msg=lambda _datapath, _version, _kind, _length, _xid, message: message
        ),
        "controller.ofp_event": SimpleNamespace(ofp_msg_to_ev=lambda message: message),
    }
    monkeypatch.setitem(sys.modules, "eventlet.hubs", SimpleNamespace(trampoline=connection.arrive))

    class Datapath:
        _recv_loop: Any

    at_once.receive_at_once(Datapath, modules.__getitem__)
    Datapath._recv_loop(connection)


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("!BBHI", 4, kind, 8 + len(body), 7) + body


MESSAGES = [message(10, b"frame"), message(12, b""), message(10, b"x" * 300)]


@pytest.mark.parametrize("size", [1, 7, 8, 13, 1000])
def test_messages_arrive_whole_and_in_order_however_they_come(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = b"".join(MESSAGES)
    connection = Incoming([whole[at : at + size] for at in range(0, len(whole), size)], taken=10)
    received(connection, monkeypatch)
    assert connection.shown == MESSAGES
    assert connection.handled == [(MESSAGES[1], "main"), (MESSAGES[1], "handler")], "what was not taken, as Ryu does it"
    assert connection.closed


def test_a_connection_that_has_died_is_read_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Incoming([b"".join(MESSAGES)], taken=10)
    take = connection.take

    def die(kind: int, xid: int, message: bytes) -> bool:
        connection.state = "dead"
        return take(kind, xid, message)

    monkeypatch.setattr(connection, "take", die)
    received(connection, monkeypatch)
    assert connection.shown == MESSAGES[:1]
    assert connection.closed


def test_before_its_main_state_a_connection_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Incoming(MESSAGES[:1], taken=10)
    connection.state = "config"
    received(connection, monkeypatch)
    assert (connection.shown, connection.handled[0]) == ([], (MESSAGES[0], "config"))
