"""A mobile node on a fake clock, kernel and DHCP client: what becomes of its addresses as it moves."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from agents_fake import Log, World, world
from kernel_fake import FakeKernel, FakeUdhcpc
from scapy.layers.dhcp import BOOTP, DHCP

from dmmlab.nodes.mobility import dhcp, mobile_node
from dmmlab.nodes.mobility.notice import PORT, Notice

FIRST = ("10.1.1.100/24", "10.1.1.1", 3600)
SECOND = ("10.1.2.100/24", "10.1.2.1", 3600)


class Node:
    """A mobile node in a world of its own; ``announced`` is what it told whom it may concern, ``told`` by ARP where."""

    def __init__(self, of: World, folder: Path, keep_s: float | None, second: tuple[str, str] | None = None) -> None:
        self.kernel, self.log = FakeKernel(of.network), Log(folder / "events", "mobile node")
        self.dhcp = FakeUdhcpc(folder / "eth0.lease")
        self.announced: list[tuple[str, list[str]]] = []
        self.told: list[tuple[str, str]] = []
        presence: Any = SimpleNamespace(announce=lambda address, old: self.announced.append((address, old)))
        self.agent = mobile_node.MobileNode("eth0", folder, keep_s, presence, self.log.log, *(second or ()))

    async def play(self, *carriers: tuple[float, bool] | tuple[float, bool, int], until_s: float) -> None:
        """Runs the agent while carriers come and go at these times (s), of the first interface if none is named."""
        loop = asyncio.get_running_loop()
        for at_s, *how in carriers:
            loop.call_at(at_s, self.kernel.carrier, *how)
        task = asyncio.create_task(self.agent.run())
        await asyncio.sleep(until_s)
        assert not task.done(), task.exception()


@contextmanager
def node_in(
    of: World, folder: Path, keep_s: float | None = None, second: tuple[str, str] | None = None
) -> Iterator[Node]:
    node = Node(of, folder, keep_s, second)
    with (
        mock.patch.object(mobile_node, "AsyncIPRoute", lambda: node.kernel),
        mock.patch.object(asyncio, "create_subprocess_exec", node.dhcp),
        mock.patch.object(
            mobile_node, "_tell_where", lambda address, radio: node.told.append((str(address), radio.interface))
        ),
    ):
        yield node


@pytest.fixture
def of() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.fixture
def node(of: World, tmp_path: Path) -> Iterator[Node]:
    with node_in(of, tmp_path) as made:
        yield made


def test_a_lease_is_taken_for_what_is_new_and_announced(of: World, node: Node) -> None:
    node.dhcp.leases = [FIRST]
    of.run(node.play((1.0, True), until_s=2.0))
    assert node.kernel.addresses == {("10.1.1.100", 24): False}
    assert node.kernel.default == ("10.1.1.1", "10.1.1.100")
    assert node.kernel.probed == ["10.1.1.1"]
    assert node.announced == [("10.1.1.100", [])]
    assert node.log.names == ["ready", "carrier_up", "address_configured"]
    assert node.log.times("address_configured") == [1.02]


def test_after_a_move_the_old_address_is_deprecated_and_keeps_no_route(of: World, node: Node) -> None:
    node.dhcp.leases = [FIRST, SECOND]
    of.run(node.play((1.0, True), (2.0, False), (2.05, True), until_s=3.0))
    assert node.kernel.addresses == {("10.1.2.100", 24): False, ("10.1.1.100", 32): True}
    assert node.kernel.default == ("10.1.2.1", "10.1.2.100")
    assert node.announced[-1] == ("10.1.2.100", ["10.1.1.100"])
    assert node.log.names[-4:] == ["carrier_down", "carrier_up", "address_deprecated", "address_configured"]


def test_old_addresses_are_announced_newest_first_and_one_in_use_again_is_none(of: World, node: Node) -> None:
    third = ("10.1.3.100/24", "10.1.3.1", 3600)
    node.dhcp.leases = [FIRST, SECOND, third, FIRST]
    moves = [(at_s + gap_s, up) for at_s in (1.0, 2.0, 3.0, 4.0) for gap_s, up in ((0.0, False), (0.05, True))]
    of.run(node.play(*moves, until_s=5.0))
    assert node.announced[2:] == [
        ("10.1.3.100", ["10.1.2.100", "10.1.1.100"]),
        ("10.1.1.100", ["10.1.3.100", "10.1.2.100"]),
    ]
    assert node.kernel.addresses == {
        ("10.1.1.100", 24): False,
        ("10.1.2.100", 32): True,
        ("10.1.3.100", 32): True,
    }


def test_a_lease_is_renewed_at_half_its_time_and_nobody_hears_of_it(of: World, node: Node) -> None:
    node.dhcp.leases = [("10.1.1.100/24", "10.1.1.1", 100)] * 3
    of.run(node.play((1.0, True), until_s=110.0))
    assert node.log.times("address_renewed") == [51.04, 101.06]
    assert len(node.announced) == 1
    assert node.kernel.addresses == {("10.1.1.100", 24): False}


def test_the_lease_of_an_old_address_is_renewed_for_as_long_as_it_is_kept(of: World, tmp_path: Path) -> None:
    asked: list[tuple[float, str]] = []
    granted = iter([400, None, 400, 400])

    async def renew(lease: dhcp.Lease, _mac: str, _client_id: str) -> int | None:
        asked.append((round(asyncio.get_running_loop().time(), 2), str(lease.address.ip)))
        return next(granted)

    with node_in(of, tmp_path, keep_s=700.0) as node, mock.patch.object(dhcp, "renew", renew):
        node.dhcp.leases = [("10.1.1.100/24", "10.1.1.1", 400), *[("10.1.2.100/24", "10.1.2.1", 4000)] * 2]
        of.run(node.play((1.0, True), (2.0, False), (2.05, True), until_s=1000.0))
    # A quarter of the lease after it was deprecated, at half of what was granted then, and a while after no answer.
    assert asked == [(102.07, "10.1.1.100"), (302.07, "10.1.1.100"), (352.07, "10.1.1.100"), (552.07, "10.1.1.100")]
    assert node.log.times("address_renewed") == [102.07, 352.07, 552.07]
    assert node.log.times("address_released") == [702.07]


def test_no_answer_is_said_and_asked_again(of: World, node: Node) -> None:
    node.dhcp.leases = [None, None, FIRST]
    of.run(node.play((1.0, True), until_s=2.0))
    assert node.log.names == ["ready", "carrier_up", "dhcp_failed", "dhcp_failed", "address_configured"]


def test_a_link_lost_while_it_asks_ends_the_asking(of: World, node: Node) -> None:
    node.dhcp.leases, node.dhcp.takes_s = [FIRST], 0.5
    of.run(node.play((1.0, True), (1.1, False), until_s=10.0))
    assert (node.dhcp.started, node.dhcp.killed) == (1, 1)
    assert node.kernel.addresses == {}
    assert node.log.names == ["ready", "carrier_up", "carrier_down"]


def test_without_a_link_no_lease_is_renewed(of: World, node: Node) -> None:
    node.dhcp.leases = [("10.1.1.100/24", "10.1.1.1", 100)] * 3
    of.run(node.play((1.0, True), (2.0, False), until_s=110.0))
    assert node.dhcp.started == 1


def test_another_interface_and_a_carrier_that_stays_are_no_news(of: World, node: Node) -> None:
    node.dhcp.leases = [FIRST]

    async def scene() -> None:
        asyncio.get_running_loop().call_at(0.5, node.kernel.carrier, True, 7)
        await node.play((1.0, True), (1.5, True), until_s=2.0)

    of.run(scene())
    assert node.log.names == ["ready", "carrier_up", "address_configured"]


def test_an_old_address_is_given_back_to_its_own_router_after_keep(of: World, tmp_path: Path) -> None:
    with node_in(of, tmp_path, keep_s=5.0) as node:
        node.dhcp.leases = [FIRST, SECOND]
        of.run(node.play((1.0, True), (2.0, False), (2.05, True), until_s=10.0))
        assert node.log.times("address_released") == [7.07]
        assert node.kernel.addresses == {("10.1.2.100", 24): False}
    ((_, source, to, data),) = of.network.sent
    assert (source, to) == (("10.1.1.100", 68), ("10.1.1.1", 67))
    release = BOOTP(data)
    options: dict[str, object] = dict(option for option in release[DHCP].options if isinstance(option, tuple))
    assert (options["message-type"], options["server_id"]) == (7, "10.1.1.1")
    assert release.ciaddr == "10.1.1.100" and release.chaddr[:6].hex() == "020000000011"


def test_an_address_in_use_again_is_kept_and_its_time_counts_anew(of: World, tmp_path: Path) -> None:
    with node_in(of, tmp_path, keep_s=5.0) as node:
        node.dhcp.leases = [FIRST, SECOND, FIRST, SECOND]
        moves = [(at_s + gap_s, up) for at_s in (1.0, 2.0, 3.0, 4.0) for gap_s, up in ((0.0, False), (0.05, True))]
        of.run(node.play(*moves, until_s=20.0))
        assert node.log.times("address_released") == [9.07]
        assert node.kernel.addresses == {("10.1.2.100", 24): False}


ETH0, ETH1 = FakeKernel.INDEX, FakeKernel.INDEX + 1


def test_with_two_radios_what_is_sent_leaves_by_the_one_that_came_last(of: World, tmp_path: Path) -> None:
    with node_in(of, tmp_path, second=("eth1", "ff02")) as node:
        node.dhcp.leases = [FIRST, SECOND]
        of.run(node.play((1.0, True), (2.0, True, ETH1), (2.2, False), until_s=3.0))
        assert node.kernel.on == {("10.1.2.100", 24): ETH1, ("10.1.1.100", 32): ETH0}
        assert (node.kernel.leaves_by, node.kernel.default) == (ETH1, ("10.1.2.1", "10.1.2.100"))
        assert node.announced[-1] == ("10.1.2.100", ["10.1.1.100"])
        assert [argv[-2:] for argv in node.dhcp.argv] == [("-x", "0x3d:ff02")] * 2, "one client to a server"
        assert node.log.names[-2:] == ["address_configured", "carrier_down"]


def test_an_address_that_is_used_again_by_the_other_radio_moves_there(of: World, tmp_path: Path) -> None:
    with node_in(of, tmp_path, second=("eth1", "ff02")) as node:
        node.dhcp.leases = [FIRST, SECOND, FIRST]
        of.run(
            node.play((1.0, True), (2.0, True, ETH1), (2.2, False), (3.0, False, ETH1), (3.1, True, ETH1), until_s=4)
        )
        assert node.kernel.on == {("10.1.1.100", 24): ETH1, ("10.1.2.100", 32): ETH1}
        assert node.told == [("10.1.1.100", "eth1")], "its router knows it by the other radio's MAC"
        assert node.announced[-1] == ("10.1.1.100", ["10.1.2.100"])


def test_an_address_that_is_in_use_by_one_radio_moves_to_the_other_that_got_it_last(of: World, tmp_path: Path) -> None:
    with node_in(of, tmp_path, second=("eth1", "ff02")) as node:
        node.dhcp.leases = [FIRST, None, FIRST]
        of.run(
            node.play((1.0, True), (2.0, True, ETH1), (2.01, False), (2.015, False, ETH1), (3, True, ETH1), until_s=4)
        )
        assert node.kernel.on == {("10.1.1.100", 24): ETH1}
        assert node.kernel.leaves_by == ETH1


def test_a_link_that_came_last_goes_on_asking_when_the_other_one_s_lease_is_late(of: World, tmp_path: Path) -> None:
    with node_in(of, tmp_path, second=("eth1", "ff02")) as node:
        node.dhcp.leases = [FIRST, SECOND]
        of.run(node.play((1.0, True), (1.01, True, ETH1), (1.015, True), (1.025, False), until_s=2.0))
        assert node.kernel.on == {("10.1.2.100", 24): ETH1, ("10.1.1.100", 32): ETH0}
        assert node.kernel.leaves_by == ETH1


def test_a_link_that_is_only_for_old_sessions_renews_no_lease(of: World, tmp_path: Path) -> None:
    with node_in(of, tmp_path, second=("eth1", "ff02")) as node:
        node.dhcp.leases = [("10.1.1.100/24", "10.1.1.1", 4), SECOND, FIRST]
        of.run(node.play((1.0, True), (2.0, True, ETH1), (10.0, False), until_s=11.0))
        assert node.dhcp.started == 2 and node.kernel.leaves_by == ETH1


def test_it_says_that_it_will_leave_over_the_link_that_it_has(of: World, node: Node) -> None:
    node.dhcp.leases = [FIRST]
    notice = Notice(2, 0.1)

    async def scene() -> None:
        for at_s in (0.5, 1.5, 2.5):  # without a link there is nobody to tell
            asyncio.get_running_loop().call_at(at_s, node.agent.announce, notice)
        await node.play((1.0, True), (2.0, False), until_s=3.0)

    of.run(scene())
    ((at_s, source, to, data),) = of.network.sent
    assert (at_s, source, to) == (1.5, ("10.1.1.100", PORT), ("10.1.1.1", PORT))
    assert Notice.read(data) == notice
    assert node.log.times("handover_announced") == [1.5]


def test_what_is_no_notice_is_refused() -> None:
    for message in (b"", bytes(24), Notice(2, 0.1).message()[:-1]):
        with pytest.raises(ValueError, match="no notice"):
            Notice.read(message)


def test_what_udhcpc_hands_its_hook_is_the_lease_and_only_when_it_is_bound(tmp_path: Path) -> None:
    hook = dhcp.write_hook(tmp_path, tmp_path / "lease")
    given = {"ip": "10.1.1.100", "mask": "24", "router": "10.1.1.1 10.1.1.2", "serverid": "10.1.1.1", "lease": "120"}
    subprocess.run([hook, "deconfig"], env={**os.environ, **given}, check=True)
    assert not (tmp_path / "lease").exists()
    subprocess.run([hook, "bound"], env={**os.environ, **given}, check=True)
    lease = dhcp.read_lease(tmp_path / "lease")
    assert (str(lease.address), str(lease.router), str(lease.server)) == ("10.1.1.100/24", "10.1.1.1", "10.1.1.1")
    assert lease.seconds == 120
