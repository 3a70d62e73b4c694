"""The guest itself: what goes in, what comes out, what it must leave alone, and that its clock is exact."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import interruptible
import pytest

from dmmlab.guest import launch, selftest
from dmmlab.guest.cache import GuestKernel
from dmmlab.guest.errors import GuestError

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("live_kernel")]
LIMIT_S = 120.0


def run(*argv: str, **options: Any) -> tuple[int, str, str]:
    """Status, stdout, stderr of a command in the guest."""
    output, errors = bytearray(), bytearray()
    options.setdefault("time_limit_s", LIMIT_S)
    status = launch.execute(argv, stdout=output.extend, stderr=errors.extend, **options)
    return status, output.decode(errors="replace"), errors.decode(errors="replace")


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "the results"
    directory.mkdir()
    yield directory


# --- in and out --------------------------------------------------------------------------------------------


def test_status_and_both_outputs_come_back_apart() -> None:
    status, out, err = run("sh", "-c", "echo to-out; echo to-err >&2; exit 7")
    assert (status, out, err) == (7, "to-out\n", "to-err\n")


def test_status_of_a_signal_and_of_a_missing_program() -> None:
    assert run("sh", "-c", "kill -9 $$")[0] == 128 + signal.SIGKILL
    status, _, err = run("no-such-program")
    assert status == 127 and "no-such-program" in err


def test_every_byte_comes_through_both_ways() -> None:
    data = bytes(range(256)) * 4096
    output = bytearray()
    assert launch.execute(["cat"], stdin=data, stdout=output.extend, time_limit_s=LIMIT_S) == 0
    assert bytes(output) == data


def test_output_arrives_while_the_command_runs() -> None:
    arrivals: list[float] = []
    script = "echo first; sleep 1.5; echo second"
    launch.execute(
        ["sh", "-c", script], clock="real", stdout=lambda _: arrivals.append(time.monotonic()), time_limit_s=LIMIT_S
    )
    assert len(arrivals) == 2 and arrivals[1] - arrivals[0] > 1


def test_environment_is_fixed_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAK", "yes")
    _, out, _ = run("env", env={"MINE": "1"})
    names = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    assert names["DMMLAB_GUEST"] == "virtual" and names["MINE"] == "1" and "LEAK" not in names
    _, out, _ = run("sh", "-c", "id -u; hostname; cat /sys/class/net/lo/operstate; ip -br address show lo")
    assert out.startswith("0\ndmmlab\n") and "127.0.0.1/8" in out


def test_this_python_and_this_project_are_there() -> None:
    status, out, err = run(sys.executable, "-c", "import dmmlab.guest.launch as m; print(m.__file__)")
    assert status == 0, err
    assert Path(out.strip()).resolve() == Path(launch.__file__).resolve()


# --- what it must leave alone ------------------------------------------------------------------------------


def test_host_is_read_only_but_for_the_results(tmp_path: Path, results: Path) -> None:
    project = Path(launch.__file__).resolve().parent
    script = f"""
        touch {project}/intruder && echo project; touch /etc/intruder && echo etc
        touch /tmp/dmmlab-intruder || echo tmp is read-only
        echo kept > '{results}/kept'; mkdir '{results}/sub'; echo deep > '{results}/sub/deep'
    """
    status, out, err = run("sh", "-c", script, writable=[results], cwd=results)
    assert status == 0 and out == "" and err.count("Read-only file system") == 2
    assert (results / "kept").read_text() == "kept\n" and (results / "sub" / "deep").read_text() == "deep\n"
    assert not (project / "intruder").exists() and not Path("/tmp/dmmlab-intruder").exists()


def test_a_checkout_below_tmp_is_visible_and_protected(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("seen\n")
    status, out, err = run("sh", "-c", "cat file; echo lost > file", cwd=tmp_path)
    assert out == "seen\n" and status != 0 and "Read-only" in err
    assert (tmp_path / "file").read_text() == "seen\n"


def test_unfinished_results_survive_the_time_limit(results: Path) -> None:
    script = f"exec 3>'{results}/open'; echo written >&3; while :; do sleep 0.001; done"
    status, _, err = run("sh", "-c", script, writable=[results], time_limit_s=3)
    assert status == launch.TIMED_OUT and "time limit of 3 s" in err
    assert (results / "open").read_text() == "written\n"


# --- how it ends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", ["while :; do :; done", "exec sleep 1000000000"])
def test_time_limit_kills_what_spins_and_what_sleeps(script: str) -> None:
    before = time.monotonic()
    status, _, err = run("sh", "-c", f"echo begun >&2; {script}", time_limit_s=2, clock="real")
    assert status == launch.TIMED_OUT and err.startswith("begun\n")
    assert time.monotonic() - before < 6


def test_a_panic_is_reported_as_such() -> None:
    with pytest.raises(GuestError, match="Kernel panic"):
        run("sh", "-c", "echo c > /proc/sysrq-trigger; sleep 5")


def test_running_out_of_memory_is_said() -> None:
    status, _, err = run(sys.executable, "-c", "x = [bytearray(b'x') * (1 << 20) for _ in range(900)]", memory_mb=256)
    assert status == 128 + signal.SIGKILL and "Out of memory" in err and "256 MB" in err


LAUNCHER = """
    import sys
    from dmmlab.guest.launch import execute
    sys.exit(execute(["sh", "-c", sys.argv[1]], clock=sys.argv[2]))
"""


@contextlib.contextmanager
def _started(script: str, clock: str) -> Iterator[subprocess.Popen[str]]:
    """A launcher whose guest runs ``script``, which has said that it is ready."""
    command = [sys.executable, "-c", textwrap.dedent(LAUNCHER), script, clock]
    with interruptible.started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == "ready\n"
        yield process


def _descendants(pid: int) -> list[int]:
    children = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    found = [int(child) for child in children.split()]
    for child in list(found):
        found += _descendants(child)
    return found


def _alive(pid: int) -> bool:
    """Whether it runs. Who has ended but has a parent that does not ask (a container's first process) does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def assert_gone(pids: list[int], within_s: float = 5) -> None:
    """The kernel's helpers notice its death on their own, so they get a moment."""
    deadline = time.monotonic() + within_s
    while (left := [pid for pid in pids if _alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


@pytest.mark.parametrize("clock", ["virtual", "real"])
def test_ctrl_c_reaches_the_command(clock: str) -> None:
    with _started("trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.01; done", clock) as process:
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 5 and out == "caught\n" and "once more kills it" in err


def test_second_ctrl_c_kills_a_command_that_ignores_the_first() -> None:
    with _started("trap '' INT; echo ready; while :; do sleep 1; done", "real") as process:
        family = _descendants(process.pid)
        os.kill(process.pid, signal.SIGINT)
        time.sleep(1)
        assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode != 0
    assert_gone(family)


def test_a_guest_that_is_stuck_is_killed_ten_seconds_after_ctrl_c() -> None:
    with _started("trap '' INT; echo ready; while :; do :; done", "virtual") as process:
        family, began = _descendants(process.pid), time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode != 0 and time.monotonic() - began >= launch.INTERRUPTED_S
    assert "the guest has not ended 10 s after that: killed" in err
    assert_gone(family)


def test_a_killed_launcher_leaves_no_process() -> None:
    with _started("echo ready; sleep 1000000", "real") as process:
        family = _descendants(process.pid)
        assert len(family) >= 2  # the kernel and a process of its user space
        process.kill()
        process.communicate(timeout=20)
    assert_gone(family)


# --- the clock ---------------------------------------------------------------------------------------------


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


# --- who spins -----------------------------------------------------------------------------------------------

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


# --- Mininet's own examples --------------------------------------------------------------------------------


def _mn(*arguments: str) -> str:
    status, out, err = run("mn", *arguments, services=True)
    assert status == 0, err
    return out + err


def test_mininet_pings_all() -> None:
    assert "0% dropped (2/2 received)" in _mn("--test", "pingall")
    assert "0% dropped (6/6 received)" in _mn("--topo", "linear,3", "--test", "pingall")


SHAPED = """
from mininet.link import TCLink
from mininet.net import Mininet
from mininet.node import OVSBridge
from mininet.topo import SingleSwitchTopo

net = Mininet(topo=SingleSwitchTopo(2), switch=OVSBridge, controller=None, link=lambda *a, **k: TCLink(*a, bw=100, **k))
net.start()
h1, h2 = net.hosts
h2.cmd("iperf3 -s -D")
print(h1.cmd("sleep 1; iperf3 -c", h2.IP(), "-t 5 -f m"))
net.stop()
"""


def test_mininet_shapes_a_link_to_its_rate(tmp_path: Path) -> None:
    script = tmp_path / "shaped.py"
    script.write_text(SHAPED)
    status, out, err = run(sys.executable, str(script), services=True)
    assert status == 0, err
    rates = [float(rate) for rate in re.findall(r"([\d.]+) Mbits/sec.*receiver", out)]
    assert len(rates) == 1 and 90 < rates[0] <= 100, out


MOBILITY = '''
from mininet.net import Mininet
from mininet.node import OVSBridge
from mininet.topo import LinearTopo


class MobilityBridge(OVSBridge):
    """As in Mininet's examples/mobility.py: interfaces can leave one switch and join another."""

    def delete(self, intf):
        self.cmd("ovs-vsctl del-port", self, intf)
        self.delIntf(intf)

    def add(self, intf):
        port = self.newPort()
        self.addIntf(intf, port)
        self.cmd("ovs-vsctl add-port", self, intf)


net = Mininet(topo=LinearTopo(3), switch=MobilityBridge, controller=None, waitConnected=True)
net.start()
print("loss", net.pingAll())
h1, old, new = net.get("h1", "s1", "s2")
for switch in net.get("s2", "s3"):
    hintf, sintf = h1.connectionsTo(net.get("s1"))[0] if switch.name == "s2" else h1.connectionsTo(net.get("s2"))[0]
    before = sintf.node
    before.delete(sintf)
    switch.add(sintf)
    sintf.node = switch
    print("moved from", before, "to", switch)
    net.get("h3").cmd("ping -c 1 -W 1", h1.IP())
    print("loss", net.pingAll())
net.stop()
'''


def test_mininet_host_moves_between_switches(tmp_path: Path) -> None:
    script = tmp_path / "mobility.py"
    script.write_text(MOBILITY)
    status, out, err = run(sys.executable, str(script), services=True)
    assert status == 0, err
    assert re.findall(r"loss ([\d.]+)", out) == ["0.0", "0.0", "0.0"], out + err
    assert "moved from s2 to s3" in out
