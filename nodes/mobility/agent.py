"""The mobile node's agent: an address from each mobile router that it attaches to, and none lost on the way.

It knows only what any host knows: its interface's carrier, and what DHCP tells it. On a new attachment it takes the
new address for what is new (default route with that source, as RFC 6724 rule 3 would choose) and keeps the old ones
as deprecated (RFC 4862 section 5.5.4, for IPv4 by a preferred lifetime of 0 and a host prefix), so that sessions on
them go on. An old address is released `keep` seconds later, or never. Servers that must know of a new address hear
of it beside all this (`presence`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import socket
import threading
from pathlib import Path
from typing import Any, ClassVar

from pyroute2.iproute.linux import AsyncIPRoute
from pyroute2.netlink.rtnl import RTMGRP_LINK

from dmmlab.machine.events import EventLog
from dmmlab.nodes import clock
from dmmlab.nodes.mobility import dhcp
from dmmlab.nodes.mobility.lifetime import LastSessions
from dmmlab.nodes.mobility.presence import Presence
from dmmlab.nodes.orders import MobileNodeFile
from dmmlab.nodes.registration import wire
from dmmlab.topologies.addressing import Address, Family

_IFF_LOWER_UP = 1 << 16
_NTF_USE = 1
_NUD_NONE = 0
_FOREVER = 0xFFFFFFFF


class MobileNode:
    """One interface, the address that is in use, and the deprecated ones with the lease that each came with."""

    _groups: ClassVar[int] = RTMGRP_LINK  # what it hears of

    def __init__(
        self, interface: str, folder: Path, keep_s: float | None, presence: Presence | None, log: EventLog
    ) -> None:
        self._interface, self._keep_s, self._presence, self._log = interface, keep_s, presence, log
        self._lease_file = folder / f"{interface}.lease"
        self._hook = dhcp.write_hook(folder, self._lease_file)
        self._ip: Any = None
        self._index = 0
        self._mac = ""
        self._carrier_up = False
        self._current: dhcp.Lease | None = None
        self._deprecated: dict[Address, dhcp.Lease] = {}
        self._attachment: asyncio.Task[None] | None = None
        self._keeping: dict[Address, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeps = True  # old addresses, as other than non-persistent ones
        self._last_sessions: LastSessions | None = None

    def let_addresses_be(self, lifetime: str, idle_s: float, server_port: int) -> None:
        """Of this kind (RFC 8653), where they are other than fixed."""
        self._keeps = lifetime != "non-persistent"
        if lifetime == "session-lasting":
            may_send = lambda: self._carrier_up and self._current is not None  # noqa: E731
            self._last_sessions = LastSessions(idle_s, self._start_release, may_send, server_port)

    async def run(self) -> None:
        """Follows the carrier until cancelled."""
        async with AsyncIPRoute() as self._ip, AsyncIPRoute() as monitor:
            self._index = (await self._ip.link_lookup(ifname=self._interface))[0]
            await monitor.bind(self._groups)
            self._log.emit("ready", interface=self._interface)
            while True:
                async for message in monitor.get():
                    if message["index"] == self._index:
                        await self._heard(message)

    async def _heard(self, message: Any) -> None:
        """What the kernel says of the interface."""
        if message["event"] == "RTM_NEWLINK":
            await self._link_changed(message)

    async def _link_changed(self, message: Any) -> None:
        up = bool(message["flags"] & _IFF_LOWER_UP)
        if up != self._carrier_up:
            self._carrier_up = up
            self._mac = message.get_attr("IFLA_ADDRESS")
            await self._carrier(up)

    async def _carrier(self, up: bool) -> None:
        self._log.emit("carrier_up" if up else "carrier_down")
        if self._attachment is not None:
            self._attachment.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._attachment
            self._attachment = None
        if up:
            self._attachment = asyncio.create_task(self._attach())
        elif not self._keeps and self._current is not None:
            await self._drop(self._current)
            self._current = None

    async def _attach(self) -> None:
        """Asks for a lease until there is one, takes it, and renews it at half its time."""
        while True:
            lease = await self._ask()
            if lease is None:
                self._log.emit("dhcp_failed")
                continue
            await self._take(lease)
            await asyncio.sleep(lease.seconds / 2)

    async def _ask(self) -> dhcp.Lease | None:
        self._lease_file.unlink(missing_ok=True)
        client = await asyncio.create_subprocess_exec(*dhcp.client_argv(self._interface, self._hook))
        try:
            await client.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                client.kill()
            await client.wait()
            raise
        return dhcp.read_lease(self._lease_file) if self._lease_file.exists() else None

    # -- addresses --------------------------------------------------------------------------------------------
    async def _take(self, lease: dhcp.Lease) -> None:
        """The lease's address becomes the one for new sessions; the one before is deprecated."""
        renewed = self._current is not None and self._current.address == lease.address
        if not renewed:
            if self._current is not None:
                await self._deprecate(self._current)
            await self._ip.addr(
                "add", index=self._index, address=str(lease.address.ip), prefixlen=lease.address.network.prefixlen
            )
            await self._forget(lease.address.ip)
            source, gateway = str(lease.address.ip), str(lease.router)
            await self._ip.route("replace", dst="default", gateway=gateway, prefsrc=source, oif=self._index)
            # Ask for the router now, so that the first packet that a session sends need not wait for the answer.
            await self._ip.neigh("replace", dst=gateway, ifindex=self._index, state=_NUD_NONE, flags=_NTF_USE)
        self._current = lease
        event = "address_renewed" if renewed else "address_configured"
        self._log.emit(event, address=str(lease.address.ip), router=str(lease.router), lease_s=lease.seconds)
        if self._presence is not None and not renewed:
            self._presence.announce(str(lease.address.ip), [str(old) for old in reversed(self._deprecated)])

    async def _deprecate(self, lease: dhcp.Lease) -> None:
        """Keeps the address for the sessions that use it, without the route to a subnet that is no longer here."""
        address = lease.address.ip
        await self._keep(lease)
        self._deprecated[address] = lease
        self._log.emit("address_deprecated", address=str(address))
        if self._keep_s is not None:
            self._keeping[address] = asyncio.get_running_loop().call_later(self._keep_s, self._start_release, address)
        if self._last_sessions is not None:
            self._last_sessions.begin(address)

    async def _drop(self, lease: dhcp.Lease) -> None:
        """A non-persistent address goes with the link."""
        address, length = str(lease.address.ip), lease.address.network.prefixlen
        await self._ip.addr("del", index=self._index, address=address, prefixlen=length)
        self._log.emit("address_dropped", address=address)

    async def _keep(self, lease: dhcp.Lease) -> None:
        """The address, as a host's that is on no subnet here, and not for what is new."""
        address = lease.address.ip
        lifetimes = {"preferred": 0, "valid": _FOREVER}
        cache = {"ifa_preferred": lifetimes["preferred"], "ifa_valid": lifetimes["valid"], "cstamp": 0, "tstamp": 0}
        whole = address.max_prefixlen
        await self._ip.addr("add", index=self._index, address=str(address), prefixlen=whole, cacheinfo=cache)
        await self._ip.addr("del", index=self._index, address=str(address), prefixlen=lease.address.network.prefixlen)

    async def _forget(self, address: Address) -> None:
        """``address`` is in use again, or released: it is no longer a deprecated one."""
        if self._no_longer_deprecated(address):
            await self._ip.addr("del", index=self._index, address=str(address), prefixlen=address.max_prefixlen)

    def _no_longer_deprecated(self, address: Address) -> bool:
        """Strikes ``address`` from the list of deprecated ones; whether it was one."""
        if (timer := self._keeping.pop(address, None)) is not None:
            timer.cancel()
        if self._last_sessions is not None:
            self._last_sessions.end(address)
        return self._deprecated.pop(address, None) is not None

    def _start_release(self, address: Address) -> None:
        task = asyncio.create_task(self.release(address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def release(self, address: Address) -> None:
        """Gives a deprecated address back to the server that it came from (RFC 2131 section 4.4.6), and drops it."""
        lease = self._deprecated.get(address)
        if lease is None:
            return
        from scapy.layers.dhcp import BOOTP, DHCP  # a quarter of a second in the guest, and few runs release an address

        hardware = bytes.fromhex(self._mac.replace(":", ""))
        release = BOOTP(op=1, chaddr=hardware, ciaddr=str(address), xid=int(address)) / DHCP(
            options=[("message-type", "release"), ("server_id", str(lease.server)), "end"]
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to_server:
            to_server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            to_server.bind((str(address), dhcp.CLIENT_PORT))
            to_server.sendto(bytes(release), (str(lease.server), dhcp.SERVER_PORT))
        self._log.emit("address_released", address=str(address))
        await self._forget(address)


def _kind(family: Family) -> type[MobileNode]:
    """How a mobile node of this family comes by its addresses."""
    if family == "ipv4":
        return MobileNode
    from dmmlab.nodes.mobility.slaac import SlaacNode  # which is made of the class above

    return SlaacNode


async def _main(arguments: argparse.Namespace) -> None:
    log = EventLog(arguments.events, arguments.name, "mobile node")
    presence = Presence(MobileNodeFile.read(arguments.config), log) if arguments.config is not None else None
    kind = _kind(arguments.family)
    node = kind(arguments.interface, arguments.folder, arguments.keep, presence, log)
    node.let_addresses_be(arguments.lifetime, arguments.idle, wire.PORT)
    if presence is not None:
        await presence.open_desk()
    task = asyncio.create_task(node.run())
    if threading.current_thread() is threading.main_thread():  # else it ends with the process
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def main(argv: list[str] | None = None) -> None:
    """Runs the agent until it is told to stop."""
    parser = argparse.ArgumentParser(prog="dmmlab.nodes.mobility.agent", description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--interface", required=True)
    parser.add_argument("--folder", type=Path, required=True, help="where leases are kept")
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--keep", type=float, help="seconds after which a deprecated address is released")
    parser.add_argument("--lifetime", default="fixed", help="of its addresses: the kind (RFC 8653)")
    parser.add_argument("--idle", type=float, default=1.0, help="seconds after which a session over UDP is over")
    parser.add_argument("--family", choices=("ipv4", "ipv6"), default="ipv4", help="DHCP, or SLAAC")
    parser.add_argument("--config", type=Path, help="JSON: MobileNodeFile, whom it tells of its addresses")
    clock.run(_main(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
