"""The servers beside which the registration server is measured: BIND, and Kamailio's registrar."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import registration_vs_bind as bind
from benchmarks.load.drive import Dialect, Load, Messages, closed_loop, processor_s
from benchmarks.load.registrar import NODES, WINDOW
from benchmarks.registration_vs_bind import free_port, stop
from dmmlab.nodes.daemons.named import Named

NAMES = [f"mn{number}.{bind.ZONE}" for number in range(NODES)]
KEYS = {name: name.encode().ljust(32, b"!") for name in NAMES}
DNS = Dialect(bind.identity, bind.no_error)
PROGRAMS = ("kamailio", "sipp")

KAMAILIO = """
children={children}
disable_tcp=yes
listen=udp:127.0.0.1:{port}
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "pv.so"
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "hash_size", 14)
request_route {{
    if (method == "REGISTER") {{ save("location"); exit; }}
    sl_send_reply("403", "no");
}}
"""
REGISTER = """REGISTER sip:127.0.0.1 SIP/2.0\r
Via: SIP/2.0/UDP 127.0.0.1:{port};rport;branch=z9hG4bK{number}\r
From: <sip:mn{node}@127.0.0.1>;tag={node}\r
To: <sip:mn{node}@127.0.0.1>\r
Call-ID: mn{node}@127.0.0.1\r
CSeq: {number} REGISTER\r
Contact: <sip:mn{node}@127.0.0.1:{port}>\r
Expires: 3600\r
Max-Forwards: 70\r
Content-Length: 0\r
\r
"""
SIPP = """<?xml version="1.0"?><scenario name="r"><send start_rtd="1"><![CDATA[
REGISTER sip:[remote_ip] SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
From: <sip:mn[call_number]@[remote_ip]>;tag=[call_number]
To: <sip:mn[call_number]@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 REGISTER
Contact: <sip:mn[call_number]@[local_ip]:[local_port]>
Expires: 3600
Max-Forwards: 70
Content-Length: 0

]]></send><recv response="200" rtd="1"/></scenario>"""
_CSEQ = re.compile(rb"\r\nCSeq: *(\d+)", re.IGNORECASE)


class Bind:
    """named, with every node's name and key, driven as `registration_vs_bind` does."""

    def __init__(self, port: int, pid: int) -> None:
        self.port, self.pid = port, pid

    def updates(self, count: int) -> Load:
        """Of one node after the other."""
        return self._drive(bind.updates(count, KEYS))

    def queries(self, count: int) -> Load:
        """For one node's address after the other."""
        return self._drive(bind.queries(count, NAMES))

    def _drive(self, wires: Sequence[bytes]) -> Load:
        messages = [(bind.identity(wire), wire) for wire in wires]
        return closed_loop(self.port, self.pid, messages, DNS, WINDOW)


@contextmanager
def running_bind(folder: Path) -> Iterator[Bind]:
    """It, with its files in the folder."""
    with bind.bind_server(folder, KEYS) as (port, pid):
        yield Bind(port, pid)


class Kamailio:
    """Its registrar: bindings in memory, nobody authenticated."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.port, self.pid, self._folder, self._last = port, process.pid, folder, 0

    def registrations(self, count: int) -> Load:
        """Of one node after the other, from the socket that the other servers are driven from, too."""
        return closed_loop(self.port, self.pid, self._messages(count), SIP, WINDOW)

    def _messages(self, count: int) -> Messages:
        first = self._last = self._last + count
        numbers = range(first, first + count)
        return [(number, REGISTER.format(number=number, node=number % NODES, port=7000).encode()) for number in numbers]

    def by_sipp(self, count: int) -> Load:
        """The same, by sipp, which is a process of its own; raises RuntimeError if it fails."""
        (self._folder / "register.xml").write_text(SIPP)
        argv = ["sipp", f"127.0.0.1:{self.port}", "-sf", "register.xml", "-nostdin", "-m", str(count)]
        argv += ["-r", "50000", "-l", str(WINDOW), "-timeout", "30", "-recv_timeout", "5000"]
        argv += ["-trace_rtt", "-rtt_freq", str(count)]
        server_s, began = processor_s(self.pid), time.perf_counter()
        ran = subprocess.run(argv, cwd=self._folder, capture_output=True, text=True)
        load = Load(sent=count, seconds=time.perf_counter() - began)
        if ran.returncode != 0:
            raise RuntimeError(f"sipp ended with {ran.returncode}: {ran.stderr.strip()[-100:]}")
        load.shares = ((processor_s(self.pid) - server_s) / load.seconds, 0.0, 0.0)
        for table in self._folder.glob("*_rtt.csv"):
            rows = list(csv.reader(table.read_text().splitlines(), delimiter=";"))[1:]
            load.served += [(0.0, float(row[1]) / 1e3) for row in rows]
            table.unlink()
        return load


def _cseq(answer: bytes) -> int:
    found = _CSEQ.search(answer)
    return int(found[1]) if found else -1


SIP = Dialect(_cseq, lambda answer: answer.startswith(b"SIP/2.0 200"))


@contextmanager
def running_kamailio(folder: Path) -> Iterator[Kamailio]:
    """It, with its files in the folder; raises RuntimeError where it is not installed or does not answer."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise RuntimeError(f"{' and '.join(missing)} not installed (kamailio, sip-tester)")
    folder.mkdir()
    port = free_port()
    (folder / "kamailio.cfg").write_text(KAMAILIO.format(port=port, children=os.cpu_count()))
    argv = ["kamailio", "-DD", "-E", "-f", str(folder / "kamailio.cfg"), "-Y", str(folder), "-w", str(folder)]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            server = Kamailio(port, process, folder)
            _wait_for(server, process)
            yield server
        finally:
            stop(process)


def _wait_for(server: Kamailio, process: subprocess.Popen[bytes]) -> None:
    """Until it answers."""
    deadline = time.monotonic() + 20
    while True:
        try:
            server.registrations(1)
            return
        except (ConnectionRefusedError, TimeoutError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("kamailio does not answer") from error
            time.sleep(0.1)


def versions() -> str:
    """Of the servers that are there."""
    named = subprocess.run([*Named(Path(), bind.ZONE, {}).argv[:1], "-V"], capture_output=True, text=True)
    said = [f"BIND {named.stdout.split()[1]}"]
    if shutil.which("kamailio"):
        kamailio = subprocess.run(["kamailio", "-v"], capture_output=True, text=True).stdout
        said.append(f"Kamailio {kamailio.split()[2]}")
    return ", ".join(said)
