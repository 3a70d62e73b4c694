"""Ryu without its queues: one event after the other, and a socket that is full is waited for as Ryu does."""

from __future__ import annotations

from typing import Any

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
