"""Virtual time in the guest: exact, the same in each boot, and moved by nobody but who spins."""

from __future__ import annotations

import sys
import time

import pytest
from in_guest import run

from dmmlab.guest import selftest
from dmmlab.guest.cache import GuestKernel

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("live_kernel")]


def test_delay_is_exact_and_boots_agree(live_kernel: GuestKernel) -> None:
    verdict = selftest.run(live_kernel)
    assert verdict["passed"], verdict["reason"]
    assert verdict["boots_agree"] and verdict["rtt_ms"][1:] == [30.0] * 5


def test_what_is_random_follows_from_the_seed() -> None:
    """What the kernel draws, a program, and a port: the same in each boot, and not with another seed."""
    script = (
        "import os, random, socket, uuid; s = socket.socket(); s.bind(('', 0)); "
        "print(os.urandom(8).hex(), random.random(), uuid.uuid4(), hash('a'), s.getsockname()[1])"
    )
    one, again, other = (run(sys.executable, "-c", script, seed=seed)[1] for seed in (1, 1, 2))
    assert one == again
    assert all(a != b for a, b in zip(one.split(), other.split(), strict=True))
    assert len(one.split()) == 5


def test_in_real_time_nobody_can_guess() -> None:
    one, other = (run("od", "-An", "-N16", "-tx1", "/dev/urandom", clock="real")[1] for _ in range(2))
    assert one != other and len(one.split()) == len(other.split()) == 16


def test_a_hundred_virtual_seconds_take_no_time() -> None:
    before = time.monotonic()
    _, out, _ = run("sh", "-c", "date +%s; sleep 100; date +%s")
    begin, end = map(int, out.split())
    assert end - begin == 100 and time.monotonic() - before < 10


def test_real_time_is_real() -> None:
    before = time.time()
    _, out, _ = run("sh", "-c", "sleep 1; date +%s.%N; echo $DMMLAB_GUEST", clock="real")
    stamp, clock = out.split()
    assert clock == "real" and before + 1 < float(stamp) <= time.time()


@pytest.mark.parametrize("clock", ["virtual", "real"])
def test_open_vswitch_handles_packets_soon_after_boot(clock: str) -> None:
    script = "ovs-vsctl add-br s1 && ovs-dpctl show && cat /var/log/openvswitch/ovs-vswitchd.log"
    status, out, err = run("sh", "-c", script, services=True, clock=clock)
    assert status == 0, err
    assert "s1 (internal)" in out and "Discovered 1 NUMA nodes and 1 CPU cores" in out


SPINNERS = """
import os, select, socket, sys, time
from collections.abc import Iterator
from pathlib import Path

SPINS = Path("/sys/kernel/exact_clock/spins")


def clock():
    begin_ns = time.monotonic_ns()
    while time.monotonic_ns() < begin_ns + 2_000_000:
        pass


def again():
    near, far = socket.socketpair()
    near.setblocking(False)
    later(far.fileno())
    while True:
        try:
            return near.recv(1)
        except BlockingIOError:
            pass


def later(write):
    if not os.fork():
        time.sleep(0.002)
        os.write(write, b"x")
        os._exit(0)


def yielding():
    read, write = os.pipe()
    later(write)
    while not select.select([read], [], [], 0)[0]:
        os.sched_yield()


def polling():
    read, write = os.pipe()
    later(write)
    poll = select.poll()
    poll.register(read)
    while not poll.poll(0):
        pass


def ready():  # something is always ready, but not what is waited for
    read, write = os.pipe()
    later(write)
    while not select.select([read], [write], [], 10)[0]:
        pass


def flood():
    with open("/dev/null", "wb", buffering=0) as null:
        begin_ns = time.monotonic_ns()
        while time.monotonic_ns() < begin_ns + 2_000_000:
            null.write(b"x")


def neighbour():  # waits for a process that has a turn at the same instant
    child = os.fork()
    if not child:
        for _ in range(1000):
            os.stat("/")
        os._exit(0)
    while not os.waitpid(child, os.WNOHANG)[0]:
        os.sched_yield()


spin = globals()[sys.argv[1]]
begin_ns = time.monotonic_ns()
spin()
print(time.monotonic_ns() - begin_ns, SPINS.read_text().strip())
"""


@pytest.mark.parametrize(
    ("spinner", "lasts_ns", "charge_ns"),
    [
        ("clock", 2_000_000, 1000),
        ("again", 2_000_000, 1000),
        ("yielding", 2_000_000, 1000),
        ("polling", 2_000_000, 1000),
        ("ready", 2_000_000, 1000),
        ("flood", 2_000_000, 10_000),
        ("neighbour", 0, 1000),
    ],
)
def test_a_task_that_spins_sees_time_move_and_is_counted(spinner: str, lasts_ns: int, charge_ns: int) -> None:
    """A call takes 1 µs once 50,000 in a row were in vain, or 10 µs after a million of any kind; until then nothing."""
    status, out, err = run(sys.executable, "-c", SPINNERS, spinner, services=False)
    assert status == 0, err
    took_ns, spins = map(int, out.split())
    assert lasts_ns <= took_ns <= lasts_ns + 3 * charge_ns
    assert 0 <= spins - took_ns // charge_ns <= 12  # who has flooded pays for reading the counter, too
    assert (spins == 0) == (spinner == "neighbour")


TIMER_OF_BIND = """
set -e
mkdir -p /run/named && cd /run/named
printf '$TTL 1\n@ SOA ns root 1 1 1 1 1\n@ NS ns\nns A 127.0.0.1\n' >zone
printf 'options { directory "/run/named"; listen-on { 127.0.0.1; }; listen-on-v6 { none; };\\n' >conf
printf 'recursion no; dnssec-validation no; };\n' >>conf
printf 'zone "example.test" { type primary; file "zone"; notify no; };\n' >>conf
named -g -c /run/named/conf 2>/run/named/log &
sleep 3
for try in 1 2 3; do dig +short @127.0.0.1 ns.example.test; sleep 7.0049; done
sleep 60
cat /sys/kernel/exact_clock/spins
"""


CLOCKS = """
import ctypes, os, time
from pathlib import Path

calls = Path("/sys/kernel/exact_clock/most_calls")
time.sleep(1e-3)
os.fork() or os._exit(0)
os.wait()
for _ in range(200_000):
    os.getppid()
asked = int(calls.read_text())
clocks = [time.CLOCK_REALTIME, time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME, 5, 6]
time.sleep(1e-3)
for _ in range(9_000):
    time.monotonic_ns()
free = int(calls.read_text())
libc = ctypes.CDLL(None)


class Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def ask(clock):  # the system call itself
    there = Timespec()
    assert libc.syscall(228, clock, ctypes.byref(there)) == 0
    return there.seconds * 10**9 + there.nanoseconds


for wait_s in (0, 1e-9, 0.123456789, 10):
    time.sleep(wait_s)
    assert [time.clock_gettime_ns(clock) for clock in clocks] == [ask(clock) for clock in clocks]
time.clock_settime_ns(time.CLOCK_REALTIME, 10**18 + 5)
assert time.time_ns() == ask(time.CLOCK_REALTIME) == 10**18 + 5
print(asked > 200_000, free - asked < 10)  # reading the counter takes a few
"""


def test_programs_read_the_clock_without_the_kernel_and_read_what_it_says() -> None:
    assert run(sys.executable, "-c", CLOCKS) == (0, "True True\n", "")


def test_a_time_namespace_has_a_clock_of_its_own() -> None:
    script = "import time; print(time.monotonic_ns() // 10**9)"
    ahead = ["unshare", "--time", "--monotonic", "1000", "--fork", sys.executable, "-c", script]
    assert run(*ahead) == (0, "1015\n", "")


MEMORY = """
import mmap, os

shared = mmap.mmap(-1, 1 << 20)
private = bytearray(range(256)) * 4096  # 1 MB, of which children and parent change different pages
for child in range(8):
    if not os.fork():
        for page in range(child, 256, 8):
            private[page * 4096] ^= 0xFF
            shared[page * 4096] = child + 1
        assert all(private[page * 4096] == (0xFF if page % 8 == child else 0) for page in range(256))
        os._exit(0)
    private[child * 4096 + 7] = 99
assert all(os.wait()[1] == 0 for _ in range(8))
assert [private[page * 4096] for page in range(256)] == [0] * 256
assert [private[page * 4096 + 7] for page in range(9)] == [99] * 8 + [7]
assert [shared[page * 4096] for page in range(256)] == [page % 8 + 1 for page in range(256)]
"""


def test_a_fork_has_memory_of_its_own_and_shares_what_is_shared() -> None:
    assert run(sys.executable, "-c", MEMORY) == (0, "", "")


def test_the_timer_thread_of_bind_does_not_spin() -> None:
    """It holds exact deadlines against the coarse clock, which is as fine as any other here."""
    status, out, err = run("sh", "-c", TIMER_OF_BIND)
    assert (status, out) == (0, "127.0.0.1\n" * 3 + "0\n"), err
