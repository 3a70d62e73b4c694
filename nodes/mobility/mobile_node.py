"""A mobile node's addresses: one from each mobile router that it attaches to, and none lost on the way.

It knows only what any host knows: its interfaces' carriers, and what DHCP tells it. On a new attachment it takes the
new address for what is new (default route with that source, as RFC 6724 rule 3 would choose) and keeps the old ones
as deprecated (RFC 4862 section 5.5.4, for IPv4 by a preferred lifetime of 0 and a host prefix), so that sessions on
them go on. An old address is released `keep` seconds later, or never. Servers that must know of a new address hear
of it beside all this (`presence`). In IPv6 the kernel forms the addresses (`slaac`).

With two radios, whichever got its address last is the one that what is sent leaves by. To a DHCP server both are one
client, so that a router gives the node the same address by either.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any, ClassVar

from pyroute2.iproute.linux import AsyncIPRoute
from pyroute2.netlink.rtnl import RTMGRP_LINK

from dmmlab.machine.events import EventLog
from dmmlab.machine.processing import Cost, Processor
from dmmlab.nodes import clock
from dmmlab.nodes.mobility import dhcp
from dmmlab.nodes.mobility.lifetime import LastSessions
from dmmlab.nodes.mobility.notebook import Notebook, Page
from dmmlab.nodes.mobility.notice import PORT, Notice
from dmmlab.nodes.mobility.presence import Presence
from dmmlab.topologies.addressing import Address

_IFF_UP, _IFF_LOWER_UP = 1, 1 << 16
_NTF_USE = 1
_NUD_NONE = 0
FOREVER = 0xFFFFFFFF  # a lifetime (linux/if_addr.h)
_AGAIN_S = 60.0  # before a lease that was not renewed is asked for again (RFC 2131 section 4.4.5)
_ARP, _ARP_REQUEST = b"\x08\x06", bytes([0, 1, 8, 0, 6, 4, 0, 1])  # RFC 826: of Ethernet and IPv4, a question


class Radio:
    """An interface of the node, and what is going on there."""

    def __init__(self, interface: str, folder: Path) -> None:
        self.interface = interface
        self.lease_file = folder / f"{interface}.lease"
        self.hook = dhcp.write_hook(folder, self.lease_file)
        self.index = 0
        self.mac = ""
        self.up = False  # it has a carrier
        self.attached = 0  # which attachment of the node's this is, if it is
        self.formed = False  # it has an address of this link, or had it before the other one took its place (SLAAC)
        self.attachment: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        """Ends the asking for a lease, and its renewals."""
        if self.attachment is not None:
            self.attachment.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.attachment
            self.attachment = None


class MobileNode:
    """Its radios, the address that is in use, and the deprecated ones with the lease that each came with."""

    _groups: ClassVar[int] = RTMGRP_LINK  # what it hears of

    def __init__(
        self,
        interface: str,
        folder: Path,
        keep_s: float | None,
        presence: Presence | None,
        log: EventLog,
        second: str | None = None,
        known_as: str = "",
    ) -> None:
        self._known_as = known_as
        self._keep_s, self._presence, self._log = keep_s, presence, log
        self._radios = [Radio(name, folder) for name in (interface, second) if name is not None]
        self._ip: Any = None
        self._current: dhcp.Lease | None = None
        self._current_by = self._radios[0]
        self._deprecated: dict[Address, tuple[dhcp.Lease, Radio]] = {}
        self._keeping: dict[Address, asyncio.TimerHandle] = {}
        self._renewing: dict[Address, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._notebook: Notebook | None = None
        self._news = False  # the address in use is to be announced, even if it is the same
        self._keeps = True  # old addresses, as other than non-persistent ones
        self._last_sessions: LastSessions | None = None
        self._asking: Processor | None = None

    def take_time(self, dhcp: Cost) -> None:
        """It takes that long before it asks for a lease."""
        self._asking = Processor(dhcp)

    def keep_notes(self, notebook: Notebook) -> None:
        """Of its addresses, and goes on with those that are noted there."""
        self._notebook = notebook

    def let_addresses_be(self, lifetime: str, idle_s: float, server_port: int) -> None:
        """Of this kind (RFC 8653), where they are other than fixed."""
        self._keeps = lifetime != "non-persistent"
        if lifetime == "session-lasting":
            self._last_sessions = LastSessions(idle_s, self._start_release, self._may_send, server_port)

    def _may_send(self) -> bool:
        """Whether it has a link, and an address for what is new."""
        return self._current_by.up and self._current is not None

    async def run(self) -> None:
        """Follows the carriers until cancelled."""
        async with AsyncIPRoute() as self._ip, AsyncIPRoute() as monitor:
            for radio in self._radios:
                radio.index = (await self._ip.link_lookup(ifname=radio.interface))[0]
            await self._prepare()
            if pages := self._notebook.read() if self._notebook is not None else []:
                await self._recall(pages)
            await monitor.bind(self._groups)
            self._log.emit("ready", interface=" ".join(radio.interface for radio in self._radios))
            if pages:
                await self._look()
            while True:
                async for message in monitor.get():
                    for radio in self._radios:
                        if message["index"] == radio.index:
                            await self._heard(radio, message)

    async def _recall(self, pages: list[Page]) -> None:
        """Goes on with the addresses of an agent that was here before; what was missed meanwhile, nobody knows."""
        for page in pages:
            radio, address = self._radios[page.radio], page.lease.address.ip
            if page.current:
                self._current, self._current_by = page.lease, radio
            else:
                self._hold(address, page.lease, radio)
        self._log.emit("resumed", addresses=[str(page.lease.address.ip) for page in pages])
        self._news = True

    async def _look(self) -> None:
        """Sees which radios have a carrier, and asks for an address anew; lastly by one that was not in use, which is
        that of the newer link.
        """
        for radio in sorted(self._radios, key=lambda radio: radio is not self._current_by):
            for message in await self._ip.link("get", index=radio.index):
                await self._link_changed(radio, message)

    def _write_down(self) -> None:
        """Whatever ends this agent, another one shall know of these addresses."""
        if self._notebook is None:
            return
        pages = [Page(lease, self._radios.index(radio), False) for lease, radio in self._deprecated.values()]
        if self._current is not None:
            pages.append(Page(self._current, self._radios.index(self._current_by), True))
        self._notebook.write(pages)

    async def _prepare(self) -> None:
        """What is to be done before any radio has a carrier."""

    async def _heard(self, radio: Radio, message: Any) -> None:
        """What the kernel says of an interface."""
        if message["event"] == "RTM_NEWLINK":
            await self._link_changed(radio, message)

    async def _link_changed(self, radio: Radio, message: Any) -> None:
        if not message["flags"] & _IFF_UP:
            return  # nobody but this agent takes it down, and it has a carrier again, or not, when it is up
        up = bool(message["flags"] & _IFF_LOWER_UP)
        if up != radio.up:
            radio.up = up
            radio.mac = message.get_attr("IFLA_ADDRESS")
            which = {"interface": radio.interface} if len(self._radios) > 1 else {}
            self._log.emit("carrier_up" if up else "carrier_down", **which)
            await self._carrier(radio, up)

    async def _carrier(self, radio: Radio, up: bool) -> None:
        await radio.stop()
        if up:
            self._begin(radio)
            return
        if not self._keeps and self._current is not None and self._current_by is radio:
            await self._drop(self._current, radio)
            self._current = None
        for other in self._unused(radio):
            self._begin(other)

    def _begin(self, radio: Radio) -> None:
        radio.attached = 1 + max(each.attached for each in self._radios)
        radio.attachment = asyncio.create_task(self._attach(radio))

    def _unused(self, gone: Radio) -> list[Radio]:
        """Radios that have a link and no address of it to come, when that of the one in use has ``gone``: an agent that
        is started again in the middle of a handover may have taken the older of two links for the newer one.
        """
        others = self._radios if self._current_by is gone else []
        return [other for other in others if other is not gone and other.up and self._is_through(other)]

    def _is_through(self, radio: Radio) -> bool:
        """Whether it is asking for nothing any more."""
        return radio.attachment is None

    async def _attach(self, radio: Radio) -> None:
        """Asks for a lease until there is one, takes it, and renews it at half its time."""
        while True:
            if self._asking is not None:
                await clock.sleep_until(self._asking.done_ns(clock.now_ns()))
            lease = await self._ask(radio)
            if lease is None:
                self._log.emit("dhcp_failed")
                continue
            await self._take(lease, radio)
            await asyncio.sleep(lease.seconds / 2)

    async def _ask(self, radio: Radio) -> dhcp.Lease | None:
        radio.lease_file.unlink(missing_ok=True)
        argv = dhcp.client_argv(radio.interface, radio.hook, self._known_as)
        client = await asyncio.create_subprocess_exec(*argv, env=dhcp.client_environment())
        try:
            await client.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                client.kill()
            await client.wait()
            raise
        return dhcp.read_lease(radio.lease_file) if radio.lease_file.exists() else None

    # -- leaving ----------------------------------------------------------------------------------------------
    def announce(self, notice: Notice) -> None:
        """Tells the network that this node is about to leave, over the link that it is on."""
        lease, radio = self._current, self._current_by
        if lease is None or not radio.up:
            return  # it has nothing to send from: the network will see it leave
        six = lease.address.version == 6
        with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as to_router:
            to_router.bind((str(lease.address.ip), PORT))
            to_router.sendto(notice.message(), _reached_by(lease.router, radio))
        self._log.emit("handover_announced", to=notice.to, lead_s=notice.lead_s)

    # -- addresses --------------------------------------------------------------------------------------------
    async def _take(self, lease: dhcp.Lease, radio: Radio) -> None:
        """The lease's address becomes the one for new sessions; the one before is deprecated."""
        for other in self._radios:
            if other.attached < radio.attached:
                await other.stop()  # what it renewed is for old sessions only
        renewed = self._current is not None and (self._current.address, self._current_by) == (lease.address, radio)
        if not renewed:
            if self._current is not None:
                await self._deprecate(self._current, self._current_by)
            await self._ip.addr(
                "add", index=radio.index, address=str(lease.address.ip), prefixlen=lease.address.network.prefixlen
            )
            _, by = self._deprecated.get(lease.address.ip, (None, radio))
            await self._forget(lease.address.ip)
            if by is not radio:
                _tell_where(lease.address.ip, radio)
            source, gateway = str(lease.address.ip), str(lease.router)
            await self._ip.route("replace", dst="default", gateway=gateway, prefsrc=source, oif=radio.index)
            # Ask for the router now, so that the first packet that a session sends need not wait for the answer.
            await self._ip.neigh("replace", dst=gateway, ifindex=radio.index, state=_NUD_NONE, flags=_NTF_USE)
        self._current, self._current_by = lease, radio
        self._write_down()
        event = "address_renewed" if renewed else "address_configured"
        self._log.emit(event, address=str(lease.address.ip), router=str(lease.router), lease_s=lease.seconds)
        if self._presence is not None and (not renewed or self._news):
            self._news = False
            self._presence.announce(str(lease.address.ip), [str(old) for old in reversed(self._deprecated)])

    async def _deprecate(self, lease: dhcp.Lease, radio: Radio) -> None:
        """Keeps the address for the sessions that use it, without the route to a subnet that is no longer here."""
        address = lease.address.ip
        await self._keep(lease, radio)
        self._hold(address, lease, radio)
        self._write_down()
        self._log.emit("address_deprecated", address=str(address))

    def _hold(self, address: Address, lease: dhcp.Lease, radio: Radio) -> None:
        """It is a deprecated one from now on, for as long as such a one is kept."""
        self._deprecated[address] = lease, radio
        self._renewing[address] = asyncio.create_task(self._renew(address))
        if self._keep_s is not None:
            self._keeping[address] = asyncio.get_running_loop().call_later(self._keep_s, self._start_release, address)
        if self._last_sessions is not None:
            self._last_sessions.begin(address)

    async def _renew(self, address: Address) -> None:
        """Renews the lease of a deprecated address for as long as that is kept, first when a quarter of it is over:
        half of it may have been over when it was deprecated.
        """
        lease, radio = self._deprecated[address]
        wait_s = lease.seconds / 4
        while True:
            await asyncio.sleep(wait_s)
            seconds = await dhcp.renew(lease, radio.mac, self._known_as)
            wait_s = min(_AGAIN_S, lease.seconds / 8) if seconds is None else seconds / 2
            if seconds is not None:
                self._log.emit("address_renewed", address=str(address), router=str(lease.router), lease_s=seconds)

    async def _drop(self, lease: dhcp.Lease, radio: Radio) -> None:
        """A non-persistent address goes with the link."""
        address, length = str(lease.address.ip), lease.address.network.prefixlen
        await self._ip.addr("del", index=radio.index, address=address, prefixlen=length)
        self._log.emit("address_dropped", address=address)

    async def _keep(self, lease: dhcp.Lease, radio: Radio) -> None:
        """The address, as a host's that is on no subnet here, and not for what is new."""
        address, whole = lease.address.ip, lease.address.ip.max_prefixlen
        await self._ip.addr("add", index=radio.index, address=str(address), prefixlen=whole, preferred=0, valid=FOREVER)
        await self._ip.addr("del", index=radio.index, address=str(address), prefixlen=lease.address.network.prefixlen)

    async def _forget(self, address: Address) -> None:
        """``address`` is in use again, or released: it is no longer a deprecated one."""
        if (radio := self._no_longer_deprecated(address)) is not None:
            await self._ip.addr("del", index=radio.index, address=str(address), prefixlen=address.max_prefixlen)

    def _no_longer_deprecated(self, address: Address) -> Radio | None:
        """Strikes ``address`` from the list of deprecated ones; the radio that has it, if it was one."""
        if (timer := self._keeping.pop(address, None)) is not None:
            timer.cancel()
        if (renewing := self._renewing.pop(address, None)) is not None:
            renewing.cancel()
        _, radio = self._deprecated.pop(address, (None, None))
        self._write_down()
        if self._last_sessions is not None:
            self._last_sessions.end(address)
        return radio

    def _start_release(self, address: Address) -> None:
        task = asyncio.create_task(self.release(address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def release(self, address: Address) -> None:
        """Gives a deprecated address back to the server that it came from (RFC 2131 section 4.4.6), and drops it."""
        if address not in self._deprecated:
            return
        lease, radio = self._deprecated[address]
        with dhcp.asking(lease) as to_server:
            to_server.send(dhcp.message("release", lease, radio.mac, self._known_as))
        self._log.emit("address_released", address=str(address))
        await self._forget(address)


def _tell_where(address: Address, radio: Radio) -> None:
    """Says by ARP (RFC 5227 section 2.3) that ``radio`` has an address that the other one had: its router knows that
    one's MAC, and may have asked this one long ago, so that this one does not ask it.
    """
    mac = bytes.fromhex(radio.mac.replace(":", ""))
    announcement = _ARP_REQUEST + mac + address.packed + bytes(6) + address.packed
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind((radio.interface, 0))
        link.send(b"\xff" * 6 + mac + _ARP + announcement)


def _reached_by(router: Address, radio: Radio) -> tuple[Any, ...]:
    """A router's address as sockets have it: in IPv6 it is link-local."""
    return (str(router), PORT) if router.version == 4 else (str(router), PORT, 0, radio.index)
