"""When the last session on an address has ended, from the kernel's tables."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dmmlab.nodes.mobility.lifetime import Asked, LastSessions, _in_proc

OWN = ipaddress.ip_address("127.0.0.77")
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def tables(folder: Path, **lines: str) -> Path:
    for name, text in lines.items():
        (folder / name).write_text(HEAD + text)
    return folder


def row(local: str, remote: str, state: str, inode: int = 99) -> str:
    return f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1\n"


def released(
    folder: Path, change: Callable[[], object], asked: Asked | None = None, change_s: float = 0.25
) -> list[float]:
    """When the address was given back, in seconds since it was deprecated; ``change`` is made after ``change_s``."""

    async def played() -> list[float]:
        began, found = time.monotonic(), list[float]()
        watch = LastSessions(
            0.1, lambda _: found.append(time.monotonic() - began), lambda: True, 7, asked or Asked(), folder
        )
        watch.begin(OWN)
        asyncio.get_running_loop().call_later(change_s, change)
        await asyncio.sleep(0.6)
        watch.end(OWN)
        return found

    return asyncio.run(played())


MINE, THERE = "4D00007F:1389", "0101010A:9C40"


@pytest.mark.parametrize("state", ["01", "04", "08"])
def test_a_connection_holds_its_address_until_it_is_gone(tmp_path: Path, state: str) -> None:
    tables(tmp_path, tcp=row(MINE, THERE, state), udp="")
    (at_s,) = released(tmp_path, lambda: tables(tmp_path, tcp=row(MINE, THERE, "06")))
    assert at_s == pytest.approx(0.3, abs=0.05)


def test_what_is_none_of_its_sessions_holds_nothing(tmp_path: Path) -> None:
    """Other addresses, listeners, its own connection to its server, and what this process itself has over UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        inode = int(Path(f"/proc/self/fd/{own.fileno()}").readlink().name[len("socket:[") : -1])
        lines = row("4E00007F:1389", THERE, "01") + row(MINE, "00000000:0000", "0A") + row(MINE, "0101010A:0007", "01")
        tables(tmp_path, tcp=lines, udp=row(MINE, THERE, "01", inode))
        (at_s,) = released(tmp_path, lambda: None)
    assert at_s == pytest.approx(0.1, abs=0.05)


def test_a_connected_socket_over_udp_holds_its_address(tmp_path: Path) -> None:
    tables(tmp_path, udp=row(MINE, THERE, "01"))
    assert released(tmp_path, lambda: None) == []


def test_who_is_asked_at_it_is_not_done_before_it_has_been_silent(tmp_path: Path) -> None:
    asked = Asked()
    asked.wanted = True
    info = bytes(8) + OWN.packed
    (at_s,) = released(tmp_path, lambda: asked.note(info), asked, change_s=0.05)
    assert at_s == pytest.approx(0.2, abs=0.04)  # 0.05 s and 0.1 s of silence, at the next look


def test_addresses_are_those_of_the_kernels_table() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six, socket.socket(socket.AF_INET) as four:
        four.bind(("127.0.0.77", 0))
        four.listen()
        assert _in_proc(OWN) in Path("/proc/net/tcp").read_text()
        if socket.has_ipv6:
            try:
                six.bind(("::1", 0))
            except OSError:
                pytest.skip("no IPv6 here")
            assert _in_proc(ipaddress.ip_address("::1")) in Path("/proc/net/udp6").read_text()
