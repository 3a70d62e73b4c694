"""The guest, booted: what comes in and out, what it leaves alone, how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import interruptible
import pytest
from in_guest import LIMIT_S, run

from dmmlab.guest import launch
from dmmlab.guest.errors import GuestError

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("live_kernel")]


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "the results"
    directory.mkdir()
    yield directory


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
