"""DHCP at a mobile node: udhcpc, its hook, and the lease that it leaves; of an address that is no longer in use, what
goes to the server that it is from, wherever the node is.

udhcpc asks once a second at most and then gives up, so that the mobile node's agent decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmmlab.topologies.addressing import Address, Interface

SERVER_PORT, CLIENT_PORT = 67, 68
_ACK, _ANSWER_S = 5, 4.0
PRELOADED = "DMMLAB_DHCP_PRELOAD"  # an environment variable: the library that udhcpc is started with
# udhcpc tells its script what it was given in the environment. `deconfig` is ignored: an address stays with the node.
# The lease is read when udhcpc has ended, and so has the script.
_HOOK = """#!/bin/sh
[ "$1" = bound ] || exit 0
printf '%s\\n' "ip=$ip" "mask=$mask" "router=$router" "serverid=$serverid" "lease=$lease" > "{lease}"
"""


@dataclass(frozen=True)
class Lease:
    """What a DHCP server granted: the address with its prefix length, its router, and for how many seconds."""

    address: Interface
    router: Address
    server: Address
    seconds: int


def write_hook(folder: Path, lease_file: Path) -> Path:
    """The script that udhcpc calls; it leaves the lease in ``lease_file``."""
    hook = folder / f"{lease_file.name}.hook"
    hook.write_text(_HOOK.format(lease=lease_file))
    hook.chmod(0o755)
    return hook


@functools.cache
def _program() -> str:
    """Where udhcpc is: looked for once, and not in each folder of the PATH at each attachment."""
    return shutil.which("udhcpc") or "udhcpc"


def wait_for_no_reader(folder: Path) -> None:
    """From now on udhcpc, started by this process or one forked from it, does not wait for the kernel to be rid of its
    sockets' readers (`packet_sockets.c`, which is compiled into ``folder``). CalledProcessError where that fails.
    """
    library, source = folder / "packet_sockets.so", Path(__file__).with_name("packet_sockets.c")
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    os.environ[PRELOADED] = str(library)


def client_environment() -> dict[str, str] | None:
    """What udhcpc's environment is; None: as this process's own."""
    library = os.environ.get(PRELOADED)
    return {**os.environ, "LD_PRELOAD": library} if library else None


def client_argv(interface: str, hook: Path, client_id: str = "") -> Sequence[str]:
    """udhcpc for one lease: five tries a second apart, then it exits with status 1.

    ``client_id`` (hex, RFC 4361) is what the server knows it by; none: its MAC.
    """
    known_as = ["-x", f"0x3d:{client_id}"] if client_id else []
    return [_program(), "-f", "-q", "-n", "-t", "5", "-T", "1", "-i", interface, "-s", str(hook), *known_as]


def read_lease(lease_file: Path) -> Lease:
    """The lease that the hook wrote; KeyError or ValueError if it is not one."""
    values = dict(line.split("=", 1) for line in lease_file.read_text().splitlines())
    return Lease(
        address=ipaddress.ip_interface(f"{values['ip']}/{values['mask']}"),
        router=ipaddress.ip_address(values["router"].split()[0]),
        server=ipaddress.ip_address(values["serverid"]),
        seconds=int(values["lease"]),
    )


def message(kind: str, lease: Lease, mac: str, client_id: str = "") -> bytes:
    """What the node whose radio has ``mac`` says of its ``lease``, from the address itself: ``release`` (RFC 2131
    section 4.4.6), or ``request``, which renews it (section 4.4.5).
    """
    from scapy.layers.dhcp import BOOTP, DHCP  # a quarter of a second in the guest, and few runs need it

    address = lease.address.ip
    options: list[Any] = [("message-type", kind)]
    options += [("server_id", str(lease.server))] if kind == "release" else []
    options += [("client_id", bytes.fromhex(client_id))] if client_id else []
    hardware = bytes.fromhex(mac.replace(":", ""))
    said = BOOTP(op=1, chaddr=hardware, ciaddr=str(address), xid=int(address)) / DHCP(options=[*options, "end"])
    return bytes(said)


@contextlib.contextmanager
def asking(lease: Lease) -> Iterator[socket.socket]:
    """A socket between the leased address and the server that it is from; OSError where there is no way there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to_server:
        to_server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        to_server.bind((str(lease.address.ip), CLIENT_PORT))
        to_server.connect((str(lease.server), SERVER_PORT))
        yield to_server


async def renew(lease: Lease, mac: str, client_id: str = "") -> int | None:
    """For how many seconds ``lease`` is renewed; None if nobody answers, or the server will not."""
    from scapy.layers.dhcp import BOOTP, DHCP

    with contextlib.suppress(OSError, TimeoutError), asking(lease) as to_server:
        to_server.setblocking(False)
        to_server.send(message("request", lease, mac, client_id))
        answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(to_server, 2048), _ANSWER_S)
        said = BOOTP(answer)
        parts = said[DHCP].options if DHCP in said else ()
        options: dict[str, Any] = dict(part for part in parts if isinstance(part, tuple))
        if options.get("message-type") == _ACK and said.yiaddr == str(lease.address.ip):
            return int(options["lease_time"])
    return None
