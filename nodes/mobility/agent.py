"""The mobile node's agent: the process in which a node comes by its addresses, keeps them, and tells its servers.

``python -m dmmlab.nodes.mobility.agent --name MN1 --interface MN1-eth0 --folder DIR --events FILE``; it is ready when
the events file holds the event ``ready``, and runs until SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import threading
from pathlib import Path

from dmmlab.machine.events import EventLog
from dmmlab.machine.processing import Cost
from dmmlab.nodes import clock
from dmmlab.nodes.mobility.mobile_node import MobileNode
from dmmlab.nodes.mobility.notebook import Notebook
from dmmlab.nodes.mobility.notice import listen
from dmmlab.nodes.mobility.presence import Presence
from dmmlab.nodes.mobility.slaac import SlaacNode
from dmmlab.nodes.orders import MobileNodeFile
from dmmlab.nodes.registration import wire


async def _main(arguments: argparse.Namespace) -> None:
    log = EventLog(arguments.events, arguments.name, "mobile node")
    presence = Presence(MobileNodeFile.read(arguments.config), log) if arguments.config is not None else None
    kind = MobileNode if arguments.family == "ipv4" else SlaacNode
    node = kind(
        arguments.interface, arguments.folder, arguments.keep, presence, log, arguments.second, arguments.known_as
    )
    node.let_addresses_be(arguments.lifetime, arguments.idle, wire.PORT)
    if arguments.notebook is not None:
        node.keep_notes(Notebook(arguments.notebook))
    if arguments.dhcp is not None:
        node.take_time(Cost.read(arguments.dhcp))
    if presence is not None:
        await presence.open_desk()
    if arguments.radio is not None:
        listen(arguments.radio, node.announce)
    task = asyncio.create_task(node.run())
    if threading.current_thread() is threading.main_thread():  # else it ends with the process
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def main(argv: list[str] | None = None) -> None:
    """Runs the agent until it is told to stop."""
    parser = argparse.ArgumentParser(prog="dmmlab.nodes.mobility.agent", description="The agent of a mobile node")
    parser.add_argument("--name", required=True)
    parser.add_argument("--interface", required=True)
    parser.add_argument("--second", help="the interface of a second radio")
    parser.add_argument(
        "--known-as", default="", help="of a node with two: its DHCP client ID (hex), or its interface identifier"
    )
    parser.add_argument("--folder", type=Path, required=True, help="where leases are kept")
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--keep", type=float, help="seconds after which a deprecated address is released")
    parser.add_argument("--lifetime", default="fixed", help="of its addresses: the kind (RFC 8653)")
    parser.add_argument("--idle", type=float, default=1.0, help="seconds after which a session over UDP is over")
    parser.add_argument("--notebook", type=Path, help="where it notes its addresses, for who takes its place")
    parser.add_argument("--dhcp", type=Path, help="JSON: how long it takes to ask for a lease (machine.processing)")
    parser.add_argument("--radio", type=Path, help="the Unix socket on which it hears that its radio has to leave")
    parser.add_argument("--family", choices=("ipv4", "ipv6"), default="ipv4", help="DHCP, or SLAAC")
    parser.add_argument("--config", type=Path, help="JSON: MobileNodeFile, whom it tells of its addresses")
    clock.run(_main(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
