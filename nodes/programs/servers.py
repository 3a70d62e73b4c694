"""The programs that sessions are opened to, on one node: started a while before their sessions, ended after."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

from dmmlab.machine.events import EventLog
from dmmlab.nodes import clock
from dmmlab.nodes.datagrams import newest_address
from dmmlab.nodes.programs.process import all_ended, run
from dmmlab.nodes.programs.program import Program


@dataclass(frozen=True)
class ServerOrder:
    """A program to start at ``start_ns`` (ns since the epoch). ``name`` is the node's DNS name, ``towards`` an address
    by the way to which the node's newest one is found.
    """

    program: Program
    start_ns: int
    port: int
    name: str
    towards: str


def write(path: Path, orders: list[ServerOrder]) -> None:
    """Writes ``orders`` as JSON."""
    path.write_text(json.dumps([asdict(order) for order in orders]))


def read(path: Path) -> list[ServerOrder]:
    """What `write` has written."""
    orders = json.loads(path.read_text())
    return [ServerOrder(**{**order, "program": Program.read(order["program"])}) for order in orders]


async def _serve(order: ServerOrder, log: EventLog) -> None:
    await clock.sleep_until(order.start_ns)
    await run(order.program, newest_address(order.towards), order.port, order.name, log)


async def _main(arguments: argparse.Namespace) -> None:
    log = EventLog(arguments.events, arguments.name, "programs")
    orders = read(arguments.orders)
    serving = asyncio.gather(*(_serve(order, log) for order in orders))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
    log.emit("programs_ready", programs=len(orders))
    with contextlib.suppress(asyncio.CancelledError), all_ended():
        await serving


def main(argv: list[str] | None = None) -> None:
    """Runs the programs until they have ended or it is told to stop."""
    parser = argparse.ArgumentParser(prog="dmmlab.nodes.programs.servers", description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--orders", type=Path, required=True, help="JSON: a list of ServerOrder")
    parser.add_argument("--events", type=Path, required=True)
    clock.run(_main(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
