"""The DDNS solution on loopback: BIND, unbound, the MN's updates and the CN's lookups, as real processes."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.update
import pytest
from ports import free_port

from dmmlab.nodes.daemons.daemon import DaemonError
from dmmlab.nodes.daemons.named import Named, secret_of
from dmmlab.nodes.daemons.unbound import Unbound
from dmmlab.nodes.ddns import Found, LookupClient, UpdateClient, Waits

ZONE = "dmm.test"
NAMES = ("mn1.dmm.test", "mn2.dmm.test", "mn11.dmm.test", "mn3.dmm.test")
KEYS = {name: secret_of(name.encode().ljust(32, b"!")) for name in NAMES}
QUICK = Waits(first_s=0.2, deadline_s=1.5)
MISSING = [
    name for name in ("named", "unbound", "nsupdate", "dig") if not shutil.which(name, path="/usr/sbin:/usr/bin")
]

if MISSING and os.environ.get("DMMLAB_REQUIRE_LIVE") != "1":
    pytest.skip(f"not installed: {', '.join(MISSING)}", allow_module_level=True)


class Pair:
    """A DDNS server and a resolver in front of it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.named = Named(folder / "ddns", ZONE, KEYS, "127.0.0.1", free_port(), negative_ttl_s=2, **options)
        self.unbound = Unbound(folder / "resolver", ZONE, ("127.0.0.1", self.named.port), "127.0.0.1", free_port())
        self.processes: list[subprocess.Popen[bytes]] = []
        for daemon in (self.named, self.unbound):
            daemon.write()
            daemon.check()
            self.start(daemon)

    def start(self, daemon: Named | Unbound) -> None:
        with (daemon.directory / "log").open("ab") as log:
            self.processes.append(subprocess.Popen(daemon.argv, stderr=log))
        assert daemon.ready(), (daemon.directory / "log").read_text()

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            assert process.wait(10) == 0

    @property
    def log(self) -> str:
        return (self.named.directory / "log").read_text()

    def mn(self, name: str = NAMES[0], **options: Any) -> UpdateClient:
        options = {"waits": QUICK} | options
        return UpdateClient(
            ("127.0.0.1", self.named.port), ZONE, name, options.pop("secret", KEYS.get(name, "")), **options
        )

    def update(self, *arguments: Any, name: str = NAMES[0], **options: Any) -> bool:
        return asyncio.run(self.mn(name).update(*arguments, **options)).ok

    def look(self, name: str = NAMES[0], *, direct: bool = True, **options: Any) -> Found:
        port = (self.named if direct else self.unbound).port

        async def ask() -> Found:
            return await LookupClient(("127.0.0.1", port), waits=QUICK, **options).lookup(name)

        return asyncio.run(ask())

    def dig(self, *arguments: str, port: int | None = None) -> str:
        argv = ["dig", "@127.0.0.1", "-p", str(port or self.named.port), "+time=2", "+tries=1", *arguments]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    def nsupdate(self, script: str, key: str = NAMES[0]) -> subprocess.CompletedProcess[str]:
        head = f"server 127.0.0.1 {self.named.port}\nzone {ZONE}\n"
        argv = ["nsupdate", "-k", str(self.named.directory / f"{key}.key")]
        return subprocess.run(argv, input=f"{head}{script}\nsend\n", capture_output=True, text=True, timeout=20)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    services = [("_dmm-registration._udp", 48620, "server"), ("_dns-update._udp", 53, "ns")]
    hosts = [("server", "10.0.0.5"), ("server", "2001:db8::5")]
    made = Pair(tmp_path_factory.mktemp("ddns"), hosts=hosts, services=services)
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def clean(pair: Pair) -> None:
    for name in NAMES:
        asyncio.run(pair.mn(name).remove())


def test_an_update_sets_address_and_port_and_replaces_the_old_ones(pair: Pair) -> None:
    assert pair.look().status == "nxdomain"
    assert pair.update(["10.1.0.2", "2001:db8:1::2"], 7000, 5)
    assert pair.look() == Found("ok", ("10.1.0.2",), 7000, 5)
    assert pair.look(family="ipv6").addresses == ("2001:db8:1::2",)
    assert pair.update(["10.2.0.2"], 7001, 60)
    assert pair.look() == Found("ok", ("10.2.0.2",), 7001, 60)
    assert pair.look(family="ipv6").status == "nodata"
    assert pair.update(["10.3.0.2"], 7001, 60, keep=["10.2.0.2"])
    assert set(pair.look().addresses) == {"10.2.0.2", "10.3.0.2"}
    assert asyncio.run(pair.mn().remove()).ok and pair.look().status == "nxdomain"


def test_an_mn_changes_its_own_name_only(pair: Pair) -> None:
    assert pair.update(["10.1.0.2"], 7000, 5) and pair.update(["10.9.0.2"], 7000, 5, name=NAMES[1])

    async def scene() -> None:
        for own, other in ((NAMES[1], NAMES[0]), (NAMES[0], NAMES[2]), (NAMES[2], NAMES[0]), (NAMES[0], ZONE)):
            thief = pair.mn(secret=KEYS[own], key_name=own, name=other)
            outcome = await thief.update(["10.66.0.6"], 6, 5)
            assert (outcome.status, outcome.reason) == ("refused", "refused")
            assert (await thief.remove()).status == "refused"
        wrong = await pair.mn(secret=secret_of(b"x" * 32)).update(["10.66.0.6"], 6, 5)
        assert (wrong.status, wrong.reason) == ("refused", "badsignature")
        unknown = await pair.mn(key_name="mn9.dmm.test").update(["10.66.0.6"], 6, 5)
        assert (unknown.status, unknown.reason) == ("refused", "badkey")

    asyncio.run(scene())
    assert pair.look().addresses == ("10.1.0.2",) and pair.look(NAMES[1]).addresses == ("10.9.0.2",)
    assert "rejected by secure update" in pair.log and "tsig verify failure (BADSIG)" in pair.log


def test_an_update_is_done_whole_or_not_at_all(pair: Pair) -> None:
    assert pair.update(["10.1.0.2"], 7000, 5)
    refused = pair.nsupdate(
        "update delete mn1.dmm.test A\nupdate add mn1.dmm.test 5 A 10.66.0.6\nupdate add mn2.dmm.test 5 A 10.66.0.6"
    )
    assert refused.returncode == 2 and "REFUSED" in refused.stderr
    assert pair.look().addresses == ("10.1.0.2",) and pair.look(NAMES[1]).status == "nxdomain"
    serials, seen = set[str](), set[tuple[str, int]]()
    for number in range(20):
        assert pair.update([f"10.{number}.0.2"], 7000 + number, 5)
        serials.add(pair.dig("+short", ZONE, "SOA").split()[2])
        seen.add((pair.look().addresses[0], pair.look().port))
    assert len(serials) == 20, "one change of the zone per update"
    assert seen == {(f"10.{number}.0.2", 7000 + number) for number in range(20)}


def test_nsupdate_and_dig_work_on_the_zone(pair: Pair) -> None:
    done = pair.nsupdate(
        "update add mn1.dmm.test 5 A 10.1.0.2\nupdate add _dmm._udp.mn1.dmm.test 5 SRV 0 0 7 mn1.dmm.test."
    )
    assert done.returncode == 0, done.stderr
    assert pair.dig("+short", "mn1.dmm.test") == "10.1.0.2\n"
    assert pair.dig("+short", "_dmm._udp.mn1.dmm.test", "SRV") == "0 0 7 mn1.dmm.test.\n"
    assert pair.dig("+short", "mn1.dmm.test", port=pair.unbound.port) == "10.1.0.2\n"
    wrong = pair.nsupdate("update add mn1.dmm.test 5 TXT hello")
    assert wrong.returncode == 2 and "REFUSED" in wrong.stderr


def test_the_resolver_is_stale_until_the_ttl_ends(pair: Pair) -> None:
    assert pair.update(["10.1.0.2"], 7000, 3, name=NAMES[3])
    started = time.monotonic()
    assert pair.look(NAMES[3], direct=False).addresses == ("10.1.0.2",)
    assert pair.update(["10.2.0.2"], 7001, 3, name=NAMES[3])
    stale = pair.look(NAMES[3], direct=False)
    assert (stale.addresses, stale.port) == (("10.1.0.2",), 7000) and stale.ttl_s <= 3
    time.sleep(max(0.0, started + 4.1 - time.monotonic()))
    fresh = pair.look(NAMES[3], direct=False)
    assert (fresh.addresses, fresh.port) == (("10.2.0.2",), 7001), "nothing is served when its TTL is over"


def test_the_resolver_remembers_that_a_name_is_not_there(pair: Pair) -> None:
    started = time.monotonic()
    assert pair.look(NAMES[2], direct=False).status == "nxdomain"
    assert pair.update(["10.1.0.2"], 7000, 2, name=NAMES[2])
    assert pair.look(NAMES[2]).ok and pair.look(NAMES[2], direct=False).status == "nxdomain"
    while not pair.look(NAMES[2], direct=False).ok:
        assert time.monotonic() - started < 5
        time.sleep(0.05)
    assert time.monotonic() - started > 0.9


def test_a_cn_finds_the_servers(pair: Pair) -> None:
    async def scene() -> None:
        client = LookupClient(("127.0.0.1", pair.unbound.port), waits=QUICK)
        found = await client.discover("dmm-registration", ZONE)
        assert (found.addresses, found.port) == (("10.0.0.5",), 48620)
        six = LookupClient(("127.0.0.1", pair.unbound.port), waits=QUICK, family="ipv6")
        assert (await six.discover("dmm-registration", ZONE)).addresses == ("2001:db8::5",)
        assert (await client.discover("dns-update", ZONE)).addresses == ("127.0.0.1",)
        assert (await client.discover("nothing", ZONE)).status == "nxdomain"

    asyncio.run(scene())


def test_a_restart_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    assert pair.update(["10.1.0.2"], 7000, 5)
    pair.processes[0].kill()
    pair.processes[0].wait()
    del pair.processes[0]
    pair.start(pair.named)
    assert pair.look().addresses == ("10.1.0.2",)
    pair.stop()


def test_a_cold_lookup_costs_the_ddns_server_two_queries_and_a_warm_one_none(tmp_path: Path) -> None:
    """Counted at a proxy between resolver and DDNS server: SRV and address, nothing else."""

    class Counter(asyncio.DatagramProtocol):
        def __init__(self, port: int) -> None:
            self.port, self.asked = port, list[str]()

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport

        def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
            query = dns.message.from_wire(data)
            self.asked.append(str(query.question[0]))
            self.transport.sendto(dns.query.udp(query, "127.0.0.1", port=self.port, timeout=2).to_wire(), address)

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        transport, counter = await loop.create_datagram_endpoint(lambda: Counter(named.port), ("127.0.0.1", 0))
        unbound = Unbound(tmp_path / "r", ZONE, transport.get_extra_info("sockname"), "127.0.0.1", free_port())
        unbound.write()
        process = await asyncio.create_subprocess_exec(*unbound.argv, stderr=asyncio.subprocess.DEVNULL)
        try:
            await count(unbound, counter)
        finally:
            process.terminate()
            await process.wait()
            transport.close()

    async def count(unbound: Unbound, counter: Counter) -> None:
        assert await asyncio.to_thread(unbound.ready)
        client = LookupClient(("127.0.0.1", unbound.port), waits=QUICK)
        update = UpdateClient(("127.0.0.1", named.port), ZONE, NAMES[0], KEYS[NAMES[0]])
        assert (await update.update(["10.1.0.2"], 7000, 60)).ok
        assert counter.asked == []
        for _ in range(3):
            assert (await client.lookup(NAMES[0])).ok
        assert sorted(counter.asked) == ["_dmm._udp.mn1.dmm.test. IN SRV", "mn1.dmm.test. IN A"]

    named = Named(tmp_path / "d", ZONE, KEYS, "127.0.0.1", free_port())
    named.write()
    with subprocess.Popen(named.argv, stderr=subprocess.DEVNULL) as process:
        try:
            assert named.ready()
            asyncio.run(asyncio.wait_for(scene(), 30))
        finally:
            process.terminate()


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"mn1.other.test": "AAAA"}, "not in the zone"),
        ({"a.dmm.test": "AAAA", "b.a.dmm.test": "AAAA"}, "beneath another"),
    ],
)
def test_names_that_would_break_the_policy_are_refused(tmp_path: Path, keys: dict[str, str], complaint: str) -> None:
    with pytest.raises(DaemonError, match=complaint):
        Named(tmp_path, ZONE, keys).write()


def test_the_dry_run_finds_faults(tmp_path: Path) -> None:
    named = Named(tmp_path, ZONE, {NAMES[0]: "not base64"})
    named.write()
    with pytest.raises(DaemonError, match="named-checkconf"):
        named.check()
    named = Named(tmp_path, ZONE, KEYS, hosts=[("server", "10.0.0.999")])
    named.write()
    with pytest.raises(DaemonError, match="named-checkzone"):
        named.check()
    unbound = Unbound(tmp_path, ZONE, ("10.0.0.999", 53))
    unbound.write()
    with pytest.raises(DaemonError, match="unbound-checkconf"):
        unbound.check()
