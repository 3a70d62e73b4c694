"""One DNS question and its answer: over UDP, repeated with back-off, and over TCP when it does not fit."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

import dns.flags
import dns.message

MOST_UDP_BYTES = 1232  # what fits every path unfragmented (DNS flag day 2020)


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds to the first repetition, the factor from one wait to the next, the longest wait, and the end."""

    first_s: float = 0.5
    factor: float = 2.0
    most_s: float = 2.0
    deadline_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The answer, or None when none came before the deadline; how often we sent, and what carried the answer."""

    answer: dns.message.Message | None
    attempts: int
    transport: str = "udp"


Parse = Callable[[bytes], dns.message.Message | None]


async def exchange(
    wire: bytes, server: tuple[str, int], parse: Parse, source: str | None = None, waits: Waits = Waits()
) -> Exchanged:  # fmt: skip
    """Send a message and return what ``parse`` makes of the answer; what it returns None for is ignored.

    Never raises for the network's sake and never lasts longer than the deadline. Raises what ``parse`` raises.
    """
    attempts = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(waits.deadline_s):
            if len(wire) <= MOST_UDP_BYTES:
                with _opened(server, source) as opened:
                    wait_s = waits.first_s
                    while True:
                        attempts += 1
                        answer = await _ask(opened, wire, server, parse, wait_s)
                        if answer is not None:
                            break
                        wait_s = min(wait_s * waits.factor, waits.most_s)
                if not answer.flags & dns.flags.TC:
                    return Exchanged(answer, attempts)
            attempts += 1
            return Exchanged(await _ask_stream(wire, server, parse, source), attempts, "tcp")
    return Exchanged(None, attempts)


def _opened(server: tuple[str, int], source: str | None) -> socket.socket:
    opened = socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM)
    opened.setblocking(False)
    if source is not None:
        try:
            opened.bind((source, 0))
        except OSError:
            opened.close()
            raise
    return opened


async def _ask(
    opened: socket.socket, wire: bytes, server: tuple[str, int], parse: Parse, wait_s: float
) -> dns.message.Message | None:
    """Send once and wait; None when no answer came, whether for loss or because there is no way there just now."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        opened.sendto(wire, server)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            while True:
                try:
                    data, sender = await loop.sock_recvfrom(opened, 65535)
                except OSError:
                    continue  # an ICMP error, which anybody can forge
                if sender[:2] == server and (answer := parse(data)) is not None:
                    return answer
    return None


async def _ask_stream(
    wire: bytes, server: tuple[str, int], parse: Parse, source: str | None
) -> dns.message.Message | None:
    local = None if source is None else (source, 0)
    try:
        reader, writer = await asyncio.open_connection(*server, local_addr=local)
    except OSError:
        return None
    try:
        writer.write(struct.pack("!H", len(wire)) + wire)
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        return parse(await reader.readexactly(length))
    except (OSError, asyncio.IncompleteReadError):
        return None
    finally:
        writer.close()
