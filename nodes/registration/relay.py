"""The relay of server-central mode (draft 4.2.2): the user plane of a session, CN - server - MN.

The CN sends to one port of the server; the MN's user planes (legs) are on another. Downstream goes to the newest leg,
upstream is taken from every leg that is open: for a while after a move that is two.
"""

import asyncio
import contextlib
import socket
from typing import Protocol

from dmmlab.nodes.registration.bindings import LegOpened, Peer, RelayWanted
from dmmlab.nodes.registration.wire import Message

BATCH = 64
ANY_ADDRESS = ("0.0.0.0", "::")


class RelayOwner(Protocol):
    """What a relay needs of the server."""

    @property
    def relay_address(self) -> str:
        """The address to open ports at."""

    def note(self, name: str, **fields: object) -> None:
        """Write an event."""

    def release(self, session: int, why: str) -> None:
        """End the session."""

    def is_requester(self, session: int, host: str) -> bool:
        """Whether who asked for the session has been heard from this address."""

    def sign(self, session: int, message: Message) -> bytes:
        """Return a message to the MN of the session, signed; a sequence of 0 is replaced by one of ours."""

    def opened(self, peer: Peer, transport: asyncio.WriteTransport) -> None:
        """Answer this peer on this stream."""

    def closed(self, peer: Peer) -> None:
        """Forget the stream."""

    def receive_stream(self, data: bytes, peer: Peer) -> None:
        """Take a message from a stream."""


class Relay(Protocol):
    """One session's relay: ``port`` is the CN's side, ``leg_port`` the MN's."""

    port: int
    leg_port: int

    def open_leg(self, leg: LegOpened) -> None:
        """Make this the newest leg."""

    def retire_leg(self, address: tuple[str, int]) -> None:
        """Use this leg no more."""

    def carried(self) -> dict[str, int]:
        """Return what was carried so far, by direction, and what was dropped."""

    def count(self) -> int:
        """Return a number that grows with every use."""

    def close(self) -> None:
        """Close its ports."""


def bound(kind: socket.SocketKind, host: str, port: int = 0) -> socket.socket:
    """Return a non-blocking socket that is bound to the address; raises OSError.

    A relay sends on at once what it gets: its connections do not hold small pieces back (RFC 1122 section 4.2.3.4).
    """
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    try:
        made.setblocking(False)
        if kind is socket.SOCK_STREAM:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


class UdpRelay:
    """Forwards datagrams between one CN and the legs of one MN."""

    def __init__(self, wanted: RelayWanted, owner: RelayOwner) -> None:
        self._peer, self._owner, self._session = wanted.peer, owner, wanted.session
        self._heard = False  # before it was, nothing goes to the CN: it might have announced somebody else's address
        self._legs: list[tuple[str, int]] = []
        self._outer = bound(socket.SOCK_DGRAM, owner.relay_address)
        try:
            self._inner = bound(socket.SOCK_DGRAM, owner.relay_address)
        except OSError:
            self._outer.close()
            raise
        self.port, self.leg_port = self._outer.getsockname()[1], self._inner.getsockname()[1]
        self._down = self._up = self._dropped = self._bytes = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._outer, self._from_cn)
        self._loop.add_reader(self._inner, self._from_mn)

    def open_leg(self, leg: LegOpened) -> None:
        """Send downstream to this address from now on."""
        self.retire_leg(leg.address)
        self._legs.append(leg.address)

    def retire_leg(self, address: tuple[str, int]) -> None:
        """Take nothing from this address any more."""
        with contextlib.suppress(ValueError):
            self._legs.remove(address)

    def carried(self) -> dict[str, int]:
        """Return datagrams by direction, all bytes, and datagrams from strangers."""
        return {"down": self._down, "up": self._up, "bytes": self._bytes, "dropped": self._dropped}

    def count(self) -> int:
        """Return the datagrams forwarded."""
        return self._down + self._up

    def close(self) -> None:
        """Close both ports."""
        for one in (self._outer, self._inner):
            self._loop.remove_reader(one)
            one.close()

    def _from_cn(self) -> None:
        for _ in range(BATCH):
            try:
                data, source = self._outer.recvfrom(65535)
            except BlockingIOError:
                return
            except OSError:
                continue
            if not self._is_cn(source[:2]) or not self._legs:
                self._dropped += 1
                continue
            with contextlib.suppress(OSError):
                self._inner.sendto(data, self._legs[-1])
            self._down += 1
            self._bytes += len(data)

    def _is_cn(self, source: tuple[str, int]) -> bool:
        """Whether the session is this sender's: the one that the CN announced, with port 0 the first from that address.

        A CN that moves may announce its port before it has an address: then it is known by having asked from it.
        """
        host, port = self._peer
        mine = host == source[0] or (host in ANY_ADDRESS and self._owner.is_requester(self._session, source[0]))
        if mine and port in (0, source[1]):
            self._peer, self._heard = source, True
        return source == self._peer

    def _from_mn(self) -> None:
        for _ in range(BATCH):
            try:
                data, source = self._inner.recvfrom(65535)
            except BlockingIOError:
                return
            except OSError:
                continue
            if not self._heard or source[:2] not in self._legs:
                self._dropped += 1
                continue
            with contextlib.suppress(OSError):
                self._outer.sendto(data, self._peer)
            self._up += 1
            self._bytes += len(data)
