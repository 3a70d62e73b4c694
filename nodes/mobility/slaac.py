"""The mobile node's addresses in IPv6: the kernel forms them from what routers advertise (SLAAC, RFC 4862).

The kernel solicits the router, forms the address and looks for a duplicate. Left to the agent is what a kernel does
not do for who moves. When the radio link goes, the address in use is deprecated and made the node's own for good, and
the interface is taken down and up: the kernel then configures it anew as soon as it has a carrier, and forgets the
router that is no longer there. RFC 6724 (rule 3) then has new sessions use the new address and leaves the old ones
what they have. With optimistic duplicate address detection the agent advertises each address at once and solicits the
router, which RFC 4429 section 3.3 allows and the kernel does only when it knows that there is no duplicate.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from pathlib import Path
from typing import Any, ClassVar

from pyroute2.netlink.rtnl import RTMGRP_IPV6_IFADDR, RTMGRP_LINK

from dmmlab.nodes.mobility.dhcp import Lease
from dmmlab.nodes.mobility.mobile_node import FOREVER, MobileNode, Radio
from dmmlab.nodes.mobility.notebook import Page
from dmmlab.topologies.addressing import Address, Interface, interface_identifier

# linux/if_addr.h
_NODAD, _OPTIMISTIC, _DADFAILED, _DEPRECATED, _TENTATIVE, _NOPREFIXROUTE = 0x02, 0x04, 0x08, 0x20, 0x40, 0x200
_SCOPE_GLOBAL, _SCOPE_LINK = 0, 253  # linux/rtnetlink.h
# Of the thread: /proc/net is that of the process, which may have several nodes.
_ROUTES = Path("/proc/thread-self/net/ipv6_route")
_ALL_NODES, _ALL_ROUTERS, _HOPS = "ff02::1", "ff02::2", 255  # RFC 4861 sections 4.1 and 4.4
_SOLICITATION = bytes([133, *bytes(7)])  # without the link-layer address, which an optimistic node must not tell
_REGISTRATION = bytes([157, *bytes(7)])  # a duplicate address request; its lifetime, the last two octets, is 0
_ADVERTISEMENT, _TARGET_MAC = bytes([136, *bytes(3)]), bytes([2, 1])
_ADVERTISED_S = 600.0  # as often at least a router advertises itself to all (RFC 4861 section 6.2.1)
_KEEP, _OVERRIDE = bytes(4), bytes([0x20, *bytes(3)])  # Override (RFC 4861 section 4.4): whether entries are changed
_QUESTION, _TARGET, _OPTION, _SOURCE_MAC = 135, slice(8, 24), slice(24, 26), bytes([1, 1])  # RFC 4861 section 4.3
_ICMP6_FILTER = 1  # linux/icmpv6.h: types whose bits are set are left out


class SlaacNode(MobileNode):
    """One interface, as `MobileNode`; each address with the prefix that it was formed from as its lease."""

    _groups: ClassVar[int] = RTMGRP_LINK | RTMGRP_IPV6_IFADDR

    async def _prepare(self) -> None:
        """A second radio forms the addresses that the first one would: it has its interface identifier (a token)."""
        for radio in self._radios[1:]:
            spec = {"attrs": [("AF_INET6", {"attrs": [("IFLA_INET6_TOKEN", self._known_as)]})]}
            await self._ip.link("set", index=radio.index, IFLA_AF_SPEC=spec)
        if len(self._radios) > 1:
            asked = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMPV6)
            wanted = ~(1 << _QUESTION) & (1 << 256) - 1
            asked.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, wanted.to_bytes(32, "little"))
            asyncio.get_running_loop().add_reader(asked, self._asked, asked)

    def _asked(self, asked: socket.socket) -> None:
        """Answers a router that looks whether the node is still there, by an address that its other radio has: the
        kernel answers for those of the interface alone by which it is asked.
        """
        question, (router, *_, index) = asked.recvfrom(2048)
        target = ipaddress.IPv6Address(question[_TARGET])
        radio = next((each for each in self._radios if each.index == index), None)
        _, by = self._deprecated.get(target, (None, radio))
        if radio is None or by is radio or question[_OPTION] != _SOURCE_MAC:
            return
        from scapy.layers.inet6 import ICMPv6ND_NA, IPv6  # a quarter of a second in the guest, and few nodes are asked
        from scapy.layers.l2 import Ether

        answer = IPv6(src=str(target), dst=router, hlim=_HOPS) / ICMPv6ND_NA(tgt=str(target), R=0, S=1, O=1)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
            link.bind((radio.interface, 0))
            link.send(bytes(Ether(src=radio.mac, dst=question[26:32].hex(":")) / answer))

    async def _recall(self, pages: list[Page]) -> None:
        """As `MobileNode`: a kernel asks for a router when an interface comes up, so it is as if the link had gone."""
        await super()._recall(pages)
        for radio in self._radios:
            await self._carrier(radio, False)

    async def _heard(self, radio: Radio, message: Any) -> None:
        await super()._heard(radio, message)
        if message["event"] == "RTM_NEWADDR" and message["family"] == socket.AF_INET6:
            flags = message.get_attr("IFA_FLAGS") or message["flags"]
            linked = message["scope"] == _SCOPE_LINK
            if flags & _OPTIMISTIC:
                address = ipaddress.ip_address(message.get_attr("IFA_ADDRESS"))
                _, by = self._deprecated.get(address, (None, radio))
                # One that it had by its other radio is its own, and its router has to know where it is now: else
                # RFC 4429 (3.3) would have everything go to the radio that is gone, until it is sure.
                self._advertise(str(address), radio, solicit=linked, override=by is not radio)
            if linked:
                self._advertise_others(radio)
            if message["scope"] == _SCOPE_GLOBAL and radio.up:
                await self._formed(message, flags, radio)

    def _advertise_others(self, radio: Radio) -> None:
        """Says on a link that it has just come to which addresses it has by its other radio: they are reached here."""
        others = [lease.address.ip for lease, by in self._deprecated.values() if by is not radio]
        if self._current is not None and self._current_by is not radio:
            others.append(self._current.address.ip)
        for address in others:
            self._advertise(str(address), radio, solicit=False)

    async def _renew(self, address: Address) -> None:
        """Nothing: what is kept is the node's own for good."""

    async def _solicit(self, radio: Radio) -> None:
        """Asks the router again, and again, so that neither it nor the prefix ends: it advertises them to all as well,
        at random, which access switches spare their nodes (`dmmlab.controllers.flows`).
        """
        while True:
            await asyncio.sleep(_ADVERTISED_S)
            with contextlib.suppress(OSError), _raw() as raw:
                raw.sendto(_SOLICITATION, (_ALL_ROUTERS, 0, 0, radio.index))

    async def _carrier(self, radio: Radio, up: bool) -> None:
        if up:
            return
        await radio.stop()
        if self._current is not None and self._current_by is radio:
            if self._keeps:
                await self._deprecate(self._current, radio)
            else:  # it goes as the interface does
                self._log.emit("address_dropped", address=str(self._current.address.ip))
            self._current = None
        radio.formed = False
        for each in (radio, *self._unused(radio)):
            for state in ("down", "up"):
                await self._ip.link("set", index=each.index, state=state)

    def _is_through(self, radio: Radio) -> bool:
        return radio.formed

    async def _formed(self, message: Any, flags: int, radio: Radio) -> None:
        """An address has been formed, or is known to be nobody else's, or its prefix was advertised again."""
        address = ipaddress.ip_interface(f"{message.get_attr('IFA_ADDRESS')}/{message['prefixlen']}")
        if flags & (_DEPRECATED | _DADFAILED) or (flags & _TENTATIVE and not flags & _OPTIMISTIC):
            if flags & _DADFAILED:
                self._log.emit("address_duplicate", address=str(address.ip))
            return
        router, seconds = _default_router(radio.interface), message.get_attr("IFA_CACHEINFO")["ifa_valid"]
        if router is None:
            return
        if self._current is not None and self._current.address == address:
            self._log.emit("address_renewed", address=str(address.ip), router=str(router), lease_s=seconds)
            return
        radio.formed = True
        await self._take_over(address, radio)
        self._current, self._current_by = Lease(address, router, router, seconds), radio
        await radio.stop()
        radio.attachment = asyncio.create_task(self._solicit(radio))
        self._write_down()
        self._log.emit("address_configured", address=str(address.ip), router=str(router), lease_s=seconds)
        if self._presence is not None:
            self._presence.announce(str(address.ip), [str(old) for old in reversed(self._deprecated)])

    async def _take_over(self, address: Interface, radio: Radio) -> None:
        """New sessions have the address, by this radio; what the other one had is for old ones, and no way any more."""
        other = self._no_longer_deprecated(address.ip)
        if other is not None and other is not radio:
            length = address.network.prefixlen
            await self._ip.addr("del", index=other.index, address=str(address.ip), prefixlen=length)
        if self._current is not None and self._current_by is not radio:
            await self._deprecate(self._current, self._current_by)
            gateway = str(self._current.router)
            await self._ip.route("del", family=socket.AF_INET6, dst="::/0", gateway=gateway, oif=self._current_by.index)

    async def _keep(self, lease: Lease, radio: Radio) -> None:
        """Nobody else forms it while it is kept, so it need not be detected again on a link that it is not of."""
        await self._ip.addr(
            "replace",
            index=radio.index,
            family=socket.AF_INET6,
            address=str(lease.address.ip),
            prefixlen=lease.address.network.prefixlen,
            preferred=0,
            valid=FOREVER,
            flags=_NODAD | _NOPREFIXROUTE,
        )

    async def release(self, address: Address) -> None:
        """Drops a deprecated address, and says so on its link: the only lease of SLAAC is one that a node ends itself.

        By a registration for no time (RFC 6775 section 4.4) to whichever router has the prefix (RFC 4291 section
        2.6.1), from the address itself, so that it goes where packets for the address go.
        """
        if address not in self._deprecated:
            return
        lease, radio = self._deprecated[address]
        self._no_longer_deprecated(address)
        length = lease.address.network.prefixlen
        with contextlib.suppress(OSError):  # no link just now: nobody is told
            self._deregister(address, lease.address.network.network_address, radio)
        await self._ip.addr("del", index=radio.index, address=str(address), prefixlen=length)
        self._log.emit("address_released", address=str(address))

    def _deregister(self, address: Address, routers: Address, radio: Radio) -> None:
        request = _REGISTRATION + interface_identifier(radio.mac).to_bytes(8, "big") + address.packed
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, _HOPS)
            raw.bind((str(address), 0))
            raw.sendto(request, (str(routers), 0))

    def _advertise(self, source: str, radio: Radio, solicit: bool, override: bool = False) -> None:
        target = (_OVERRIDE if override else _KEEP) + socket.inet_pton(socket.AF_INET6, source)
        advertisement = _ADVERTISEMENT + target + _TARGET_MAC + bytes.fromhex(radio.mac.replace(":", ""))
        with _raw() as raw:
            raw.bind((source, 0, 0, radio.index))
            raw.sendto(advertisement, (_ALL_NODES, 0, 0, radio.index))
            if solicit:
                raw.sendto(_SOLICITATION, (_ALL_ROUTERS, 0, 0, radio.index))


def _raw() -> socket.socket:
    """Sends to neighbours."""
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _HOPS)
    return raw


def _default_router(interface: str) -> Address | None:
    """The router that was advertised last on ``interface``, by its link-local address."""
    for line in _ROUTES.read_text().splitlines():
        destination, length, _, _, gateway, *_, device = line.split()
        if not int(destination + length, 16) and int(gateway, 16) and device == interface:
            return ipaddress.IPv6Address(int(gateway, 16))
    return None
