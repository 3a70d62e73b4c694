"""Ryu without its queues: an event is handled, and a message sent, where it comes up.

Ryu gives each application and each connection a queue and a greenlet that empties it, so that a packet-in passes two of
each and as many turns of the hub before its rules leave: a third of what it costs the controller. All greenlets share
one thread, and nothing that an event leads to here waits for anything, so that one can follow upon the other.
os-ken, which has threads, keeps its queues.
"""

from __future__ import annotations

from collections import deque
from typing import Any


def application(base: Any) -> Any:
    """The framework's class of applications, ``base``, without a queue."""

    class AtOnce(base):  # type: ignore[misc]
        """One event after the other: what comes while one is being handled is next."""

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self._next: deque[tuple[Any, Any]] = deque()
            self._busy = False

        def _send_event(self, ev: Any, state: Any) -> None:
            self._next.append((ev, state))
            if self._busy:
                return
            self._busy = True
            try:
                while self._next:
                    event, when = self._next.popleft()
                    for handle in self.get_handlers(event, when):
                        handle(event)
            finally:
                self._busy = False

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
