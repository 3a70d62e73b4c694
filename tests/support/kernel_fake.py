"""What a mobile node's agent stands on, without a kernel: rtnetlink and the DHCP client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from agents_fake import FakeNetwork


class _Message(dict[str, Any]):
    """A netlink message about the link."""

    def get_attr(self, _name: str) -> str:
        return "02:00:00:00:00:11"


class FakeKernel:
    """A host's addresses and routes behind rtnetlink. ``addresses``: (address, prefix length) to whether deprecated."""

    INDEX = 2

    def __init__(self, network: FakeNetwork) -> None:
        self._network = network
        network.own = []
        self.addresses: dict[tuple[str, int], bool] = {}
        self.on: dict[tuple[str, int], int] = {}  # by which interface each is
        self.leaves_by = 0  # the interface of the default route
        self.default: tuple[str, str] | None = None  # gateway, source
        self.probed: list[str] = []  # neighbours that were asked for ahead of need
        self._links: asyncio.Queue[_Message] = asyncio.Queue()

    def carrier(self, up: bool, index: int = INDEX) -> None:
        self._links.put_nowait(_Message(event="RTM_NEWLINK", index=index, flags=1 | (1 << 16 if up else 0)))

    async def link_lookup(self, ifname: str) -> list[int]:
        return [self.INDEX + int(ifname.removeprefix("eth"))]

    async def bind(self, groups: int) -> None:
        pass

    async def get(self) -> AsyncIterator[_Message]:
        yield await self._links.get()

    async def addr(self, what: str, *, index: int, address: str, prefixlen: int, **more: Any) -> None:
        if what == "add":
            assert (address, prefixlen) not in self.addresses, "EEXIST"
            self.on[address, prefixlen] = index
            self.addresses[address, prefixlen] = more.get("preferred") == 0
        else:
            assert self.on.pop((address, prefixlen)) == index
            del self.addresses[address, prefixlen]
        self._network.own = [held for held, _ in sorted(self.addresses, key=lambda key: -key[1])]

    async def route(self, what: str, *, dst: str, gateway: str, prefsrc: str, oif: int) -> None:
        assert (what, dst) == ("replace", "default")
        self.leaves_by = oif
        assert prefsrc in [address for address, _ in self.addresses], "the source must be an address of ours"
        self.default = (gateway, prefsrc)

    async def neigh(self, what: str, *, dst: str, **_: Any) -> None:
        self.probed.append(dst)

    async def __aenter__(self) -> FakeKernel:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class FakeUdhcpc:
    """Stands for `asyncio.create_subprocess_exec`: a DHCP client that leaves the next of ``leases`` after ``takes_s``.

    A lease is (address with prefix length, router, seconds); None: no server answered.
    """

    def __init__(self, lease_file: Path) -> None:
        self.argv: list[tuple[str, ...]] = []
        self.lease_file, self.takes_s = lease_file, 0.02
        self.leases: list[tuple[str, str, int] | None] = []
        self.started, self.killed = 0, 0

    async def __call__(self, *argv: str, env: object = None) -> FakeUdhcpc:
        assert Path(argv[0]).name == "udhcpc"
        self.started += 1
        self.argv.append(argv)
        self.lease_file = self.lease_file.with_name(f"{argv[argv.index('-i') + 1]}.lease")
        self._ended = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(self.takes_s, self._end, self._ended, self.lease_file)
        return self

    def _end(self, ended: asyncio.Future[int], lease_file: Path) -> None:
        if ended.done():
            return
        lease = self.leases.pop(0) if self.leases else None
        if lease is not None:
            (ip, _, mask), router, seconds = lease[0].partition("/"), lease[1], lease[2]
            lines = [f"ip={ip}", f"mask={mask}", f"router={router}", f"serverid={router}", f"lease={seconds}"]
            lease_file.write_text("\n".join(lines) + "\n")
        ended.set_result(0)

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    def kill(self) -> None:
        self.killed += 1
        if not self._ended.done():
            self._ended.set_result(-9)
