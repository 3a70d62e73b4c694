"""How long a mobile node keeps an old address (RFC 8653): for good, until its last session has ended, or not at all.

What a session is, a node knows as any host does: by its sockets. A TCP connection has the address for as long as it is
there (but for TIME-WAIT, in which nothing is left to say), a socket over UDP that is bound or connected to it until it
is closed. Over UDP whoever is asked has no socket for each asker: there a session is what has come within ``idle``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

from dmmlab.nodes import clock
from dmmlab.topologies.addressing import Address

LOOK_S = 0.1  # between two looks at who uses an old address
_OF_THE_THREAD = Path("/proc/thread-self/net")  # the process may have several nodes, each a thread in its own namespace
_TABLES = ("tcp", "tcp6", "udp", "udp6")  # proc_net(5)
_OVER = {"06", "07", "0A"}  # TIME_WAIT, CLOSE and LISTEN (linux/tcp_states.h) of TCP
# Where struct in_pktinfo and in6_pktinfo have the address that was asked.
_ASKED_AT = {12: slice(8, 12), 20: slice(0, 16)}


class Asked:
    """When each address of this host was last asked at, over UDP; the services note it, which are threads beside the
    agent.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._last_ns: dict[bytes, int] = {}

    def note(self, packet_info: bytes) -> None:
        """A datagram came with this IP_PKTINFO, or IPV6_PKTINFO."""
        if self.wanted and len(packet_info) in _ASKED_AT:
            self._last_ns[packet_info[_ASKED_AT[len(packet_info)]]] = clock.now_ns()

    def last_ns(self, address: Address) -> int:
        """When the last one came to ``address``, ns since the epoch; 0 if none has."""
        return self._last_ns.get(address.packed, 0)


ASKED = Asked()


class LastSessions:
    """Looks after deprecated addresses: ``release`` is called of each on which no session is left.

    The first look is ``idle_s`` after an address was deprecated. ``may_send`` says whether there is a link to say so
    by. A connection to ``ignored_port`` is the node's own with its registration server, and no session.
    """

    def __init__(
        self,
        idle_s: float,
        release: Callable[[Address], None],
        may_send: Callable[[], bool],
        ignored_port: int,
        asked: Asked = ASKED,
        tables: Path = _OF_THE_THREAD,
    ) -> None:
        self._idle_s, self._release, self._may_send = idle_s, release, may_send
        self._ignored_port, self._asked, self._tables = ignored_port, asked, tables
        self._timers: dict[Address, asyncio.TimerHandle] = {}
        asked.wanted = True

    def begin(self, address: Address) -> None:
        """``address`` is an old one from now on."""
        loop = asyncio.get_running_loop()
        self._look_at(loop.time() + self._idle_s, address)

    def end(self, address: Address) -> None:
        """It is in use again, or gone."""
        if (timer := self._timers.pop(address, None)) is not None:
            timer.cancel()

    def _look_at(self, at_s: float, address: Address) -> None:
        self._timers[address] = asyncio.get_running_loop().call_at(at_s, self._look, at_s, address)

    def _look(self, at_s: float, address: Address) -> None:
        silent_ns = clock.now_ns() - self._asked.last_ns(address)
        if self._may_send() and silent_ns >= self._idle_s * 1e9 and not any(self._sockets(address)):
            del self._timers[address]
            self._release(address)
        else:
            self._look_at(at_s + LOOK_S, address)

    def _sockets(self, address: Address) -> Iterator[str]:
        """The sockets that a session on ``address`` has, as /proc/net has them."""
        local, own = _in_proc(address), _own_sockets()
        for name in _TABLES:
            file = self._tables / name
            for line in file.read_text().splitlines()[1:] if file.is_file() else ():
                _, here, there, state, *_, inode = line.split()[:10]
                tcp = name.startswith("tcp")
                mine = int(there.rpartition(":")[2], 16) == self._ignored_port if tcp else inode in own
                if here.startswith(local) and not mine and not (tcp and state in _OVER):
                    yield line


def _in_proc(address: Address) -> str:
    """``address`` as /proc/net writes it: words of 32 bits in the byte order of the machine."""
    packed = address.packed
    words = (int.from_bytes(packed[at : at + 4], "little") for at in range(0, len(packed), 4))
    return "".join(f"{word:08X}" for word in words) + ":"


def _own_sockets() -> set[str]:
    """The inodes of this process's sockets: with those over UDP it speaks to servers."""
    found = set()
    for file in Path("/proc/self/fd").iterdir():
        try:
            target = str(file.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[len("socket:[") : -1])
    return found
