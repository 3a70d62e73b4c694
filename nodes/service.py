"""What sessions are opened for, on a mobile node or another host: echoes probes, and takes in bulk transfers.

At a mobile node it is a thread in the process of the agent, with an event loop of its own: a process would cost the
guest 12 MB more, and there may be hundreds of mobile nodes.

It answers from the address at which it was asked, whichever of the node's addresses that was (for UDP, IP_PKTINFO or
IPV6_PKTINFO of RFC 3542): a correspondent that came by an old address must hear from that address.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import signal
import socket
import threading
from pathlib import Path

from dmmlab.machine.events import EventLog
from dmmlab.nodes import clock
from dmmlab.nodes.mobility.lifetime import ASKED
from dmmlab.nodes.orders import BULK_PORT, ECHO_PORT
from dmmlab.topologies.addressing import Family

_IP_PKTINFO = 8  # linux/in.h; Python names it from 3.14 on only
# Where the interface's index is in struct in_pktinfo and in6_pktinfo: 0 leaves the choice to the routes.
_INDEX_AT = {(socket.IPPROTO_IP, _IP_PKTINFO): 0, (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO): 16}
_NO_INDEX = bytes(4)


def echo_datagram(on: socket.socket) -> None:
    """Sends a datagram that waits on ``on`` back to where it came from; it is called again while there are more."""
    try:
        data, ancillary, _flags, sender = on.recvmsg(65535, 64)
    except BlockingIOError:
        return
    for _, _, packet_info in ancillary:
        ASKED.note(packet_info)
    info = [
        (level, kind, value[:at] + _NO_INDEX + value[at + len(_NO_INDEX) :])
        for level, kind, value in ancillary
        if (at := _INDEX_AT.get((level, kind))) is not None
    ]
    with contextlib.suppress(OSError):  # the way back may be gone for a moment: a datagram may be lost
        on.sendmsg([data], info, 0, sender)


async def echo_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends back what arrives until the other side has finished."""
    with contextlib.closing(writer), contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def take_bulk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads to the end and answers with the SHA-256 of all that came."""
    with contextlib.closing(writer), contextlib.suppress(OSError):
        digest = hashlib.sha256()
        while data := await reader.read(1 << 20):
            digest.update(data)
        writer.write(digest.digest())
        await writer.drain()


def listening_datagrams(family: Family, port: int) -> socket.socket:
    """A socket on ``port`` of every address of this host, now and later, that tells at which one a datagram came."""
    six = family == "ipv6"
    made = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    if six:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        made.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    made.bind(("", port))
    return made


async def _main(arguments: argparse.Namespace) -> None:
    log = EventLog(arguments.events, arguments.name, arguments.role)
    loop = asyncio.get_running_loop()
    # By number: a name, and be it the empty one, asyncio resolves in a thread.
    family, anywhere = (socket.AF_INET6, "::") if arguments.family == "ipv6" else (socket.AF_INET, "0.0.0.0")
    for port in (ECHO_PORT, *arguments.more):
        datagrams = listening_datagrams(arguments.family, port)
        loop.add_reader(datagrams, echo_datagram, datagrams)
        await asyncio.start_server(echo_stream, anywhere, port, family=family)
    await asyncio.start_server(take_bulk, anywhere, BULK_PORT, family=family)
    more = {"more": arguments.more} if arguments.more else {}
    stopped = asyncio.Event()
    if threading.current_thread() is threading.main_thread():  # else the agent ends with the process
        loop.add_signal_handler(signal.SIGTERM, stopped.set)
    log.emit("service_ready", udp=ECHO_PORT, tcp=[ECHO_PORT, BULK_PORT], **more)
    await stopped.wait()


def main(argv: list[str] | None = None) -> None:
    """Serves until it is told to stop; beside an agent, for as long as the process is there."""
    parser = argparse.ArgumentParser(prog="dmmlab.nodes.service", description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument(
        "--role", default="mobile node", help="what the host is, in the words of the catalogue of events"
    )
    parser.add_argument("--more", type=int, nargs="*", default=[], help="further ports that echo, over UDP and TCP")
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--family", choices=("ipv4", "ipv6"), default="ipv4", help="of the addresses that it serves on")
    clock.run(_main(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
