"""Ryu without its queues: an event is handled, and a message sent and received, where it comes up.

Ryu gives each application and each connection a queue and a greenlet that empties it, so that a packet-in passes two of
each and as many turns of the hub before its rules leave: a third of what it costs the controller. All greenlets share
one thread, and nothing that an event leads to here waits for anything, so that one can follow upon the other.
os-ken, which has threads, keeps its queues.
"""

from __future__ import annotations

import contextlib
import importlib
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

_HEADER = struct.Struct("!BBHI")  # OpenFlow 1.3.5, 7.1.1: version, type, length, transaction
_IN_A_ROW = 2049  # messages of one connection, after which it is others' turn, as Ryu has it


def application(base: Any) -> Any:
    """The framework's class of applications, ``base``, without a queue."""

    class AtOnce(base):  # type: ignore[misc]
        """One event after the other: what comes while one is being handled is next."""

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self._next: deque[Callable[[], None]] = deque()
            self._busy = False

        def do_next(self, act: Callable[[], None]) -> None:
            """At once, or as soon as all is done that came before."""
            self._next.append(act)
            if self._busy:
                return
            self._busy = True
            try:
                while self._next:
                    self._next.popleft()()
            finally:
                self._busy = False

        def _send_event(self, ev: Any, state: Any) -> None:
            def handle() -> None:
                for handler in self.get_handlers(ev, state):
                    handler(ev)

            self.do_next(handle)

    return AtOnce


def send_at_once(datapath: Any) -> None:
    """Has connections (``datapath`` is their class) write to their sockets; one whose socket was full once goes by its
    queue from then on.
    """
    by_queue = datapath.send

    def send(self: Any, buf: bytes, close_socket: bool = False) -> Any:
        if close_socket or getattr(self, "goes_by_queue", False) or self.send_q is None:
            return by_queue(self, buf, close_socket)
        try:
            sent = self.socket.fd.send(buf)
        except BlockingIOError:
            sent = 0
        except OSError:
            return False  # its receiver hears of it, too
        if sent < len(buf):
            self.goes_by_queue = True
            return by_queue(self, buf[sent:])
        return True

    datapath.send = send


def receive_at_once(datapath: Any, part: Callable[[str], Any]) -> None:
    """Has connections (``datapath`` is their class, ``part`` has Ryu's modules) show what comes in their main state to
    their method `take` first; what that does not take, and what comes in other states, goes Ryu's way, through its
    parser and its events.

    As in Ryu, a header is read and then the rest of its message: by how much is read the kernel sends acknowledgements.
    """
    receiver = _Receiver(part)
    datapath.take = lambda _self, _kind, _xid, _message: False
    datapath._recv_loop = lambda self: receiver.run(self)


class _Receiver:
    """Reads connections, each in its greenlet, until they end."""

    def __init__(self, part: Callable[[str], Any]) -> None:
        self._states, self._hub = part("controller.handler"), part("lib.hub")
        self._parse, self._event = part("ofproto.ofproto_parser").msg, part("controller.ofp_event").ofp_msg_to_ev
        self._trampoline = importlib.import_module("eventlet.hubs").trampoline

    def run(self, datapath: Any) -> None:
        """To its end, and closes it."""
        pending, number = b"", 0
        try:
            while came := self._what_comes(datapath, _wanted(pending)):
                pending += came
                while (length := _length(pending)) <= len(pending) and datapath.state != self._states.DEAD_DISPATCHER:
                    message, pending = pending[:length], pending[length:]
                    self._hand_on(datapath, message)
                    number += 1
                    if number % _IN_A_ROW == 0:
                        self._hub.sleep(0)
        finally:
            with contextlib.suppress(OSError):
                datapath.socket.close()

    def _what_comes(self, datapath: Any, most: int) -> bytes:
        """Waits for it, and takes ``most`` bytes of it; nothing, if that is the end."""
        socket = datapath.socket
        while datapath.state != self._states.DEAD_DISPATCHER:  # a state that is looked at again when patience has ended
            try:
                came: bytes = socket.fd.recv(most)
                return came
            except BlockingIOError:
                with contextlib.suppress(TimeoutError):
                    self._trampoline(socket.fd, read=True, timeout=socket.gettimeout(), timeout_exc=TimeoutError)
            except OSError:
                break
        return b""

    def _hand_on(self, datapath: Any, message: bytes) -> None:
        version, kind, _, xid = _HEADER.unpack_from(message)
        if datapath.state == self._states.MAIN_DISPATCHER and datapath.take(kind, xid, message):
            return
        parsed = self._parse(datapath, version, kind, len(message), xid, message)
        if not parsed:
            return
        event, core = self._event(parsed), datapath.ofp_brick
        core.send_event_to_observers(event, datapath.state)
        for handle in core.get_handlers(event, datapath.state):
            handle(event)


def _length(pending: bytes) -> int:
    """Of the first message, or of its header until that is there."""
    if len(pending) < _HEADER.size:
        return _HEADER.size
    return max(int(_HEADER.unpack_from(pending)[2]), _HEADER.size)


def _wanted(pending: bytes) -> int:
    """How many bytes are to be read next."""
    return max(_length(pending) - len(pending), _HEADER.size)
