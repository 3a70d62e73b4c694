"""Whole runs in the virtual-time guest: what a user reads in the tables is what the scenario's delays say."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import interruptible
import pytest

from dmmlab.experiments.oracle.expectation import Oracle
from dmmlab.experiments.records.rundir import RunDirectory, read_csv
from dmmlab.experiments.runner.run import Progress, run_scenario
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.sessions import sessions_of
from dmmlab.guest.cache import GuestKernel
from dmmlab.machine import catalogue

pytestmark = pytest.mark.live

NANOSECOND_MS = 1e-6
METHODS = ["fixed", "ddns", "p2p", "central", "combined"]
PROBES = {"interval": "20ms", "duration": "20s"}
P1 = {"name": "P1", "at": "2s", "from": "CN1", "to": "MN1", **PROBES}
P2 = {"name": "P2", "at": "12s", "from": "CN2", "to": "MN1", "anchor": "MR2", "interval": "20ms", "duration": "10s"}
THREE_MOVES = [{"at": f"{5 * turn}s", "node": "MN1", "to": f"MR{1 + turn % 2}"} for turn in range(4)]

Run = Callable[..., RunDirectory]


@pytest.fixture(scope="module")
def moved(run: Run) -> RunDirectory:
    return run(sessions=[P1, P2])


def rtts(of: RunDirectory, session: str) -> list[tuple[float, float | None]]:
    """(sent, round trip in ms or None) of each probe."""
    rows = [row for row in read_csv(of.probes) if row["session"] == session]
    return [(float(row["sent_s"]), float(row["rtt_ms"]) if row["rtt_ms"] else None) for row in rows]


def test_round_trips_are_those_of_the_configured_path(moved: RunDirectory) -> None:
    before = [rtt for sent, rtt in rtts(moved, "P1") if sent < 9.9]
    after = [rtt for sent, rtt in rtts(moved, "P1") if sent >= 10.2]
    assert len(before) == 395
    assert all(rtt == pytest.approx(34, abs=NANOSECOND_MS) for rtt in before)
    assert len(after) == 590
    assert all(rtt == pytest.approx(42, abs=NANOSECOND_MS) for rtt in after)
    p2 = [rtt for _, rtt in rtts(moved, "P2")]
    assert len(p2) == 500
    assert all(rtt == pytest.approx(34, abs=NANOSECOND_MS) for rtt in p2)


def test_every_event_is_in_the_catalogue(run: Run) -> None:
    done = run(addresses={"keep": "5s"})
    scenario = load("two-mr")
    for event in done.timeline():
        source, name = event["source"], event["event"]
        role = source if source in catalogue.CATALOGUE else "mobile node"
        opens = role == "mobile node" and bool({"session", "sessions"} & event.keys())
        role = "correspondent" if source in scenario.correspondents or opens else role
        catalogue.check(role, name, event.keys() - {"time_s", "source", "event"})


def test_only_probes_of_the_gap_are_lost(moved: RunDirectory) -> None:
    """Lost: what came to the old switch after the detachment (15 ms after it was sent), before the barrier."""
    (handover,) = read_csv(moved.handovers)
    detach, redirect = float(handover["detach_s"]), float(handover["redirect_s"])
    lost = [sent for sent, rtt in rtts(moved, "P1") if rtt is None]
    assert len(lost) == int(handover["lost_packets"]) > 0
    assert all(detach - 0.019 <= sent <= redirect for sent in lost)
    assert all(rtt is not None for sent, rtt in rtts(moved, "P1") if sent > redirect)


def test_the_handovers_components_are_their_closed_forms(moved: RunDirectory) -> None:
    """Gap 50 ms; DHCP: four radio crossings; redirect: radio, packet-in, flow-mod, barrier reply."""
    (handover,) = read_csv(moved.handovers)
    detach, attach = float(handover["detach_s"]), float(handover["attach_s"])
    assert detach == 10
    assert attach - detach == pytest.approx(0.050, abs=1e-9)
    assert float(handover["address_s"]) - attach == pytest.approx(4 * 0.002, abs=1e-9)
    assert float(handover["redirect_s"]) - attach == pytest.approx(0.002 + 3 * 0.001, abs=1e-9)


def test_without_the_redirect_nothing_arrives_after_the_move(run: Run) -> None:
    dead = run("two-mr-no-redirect", sessions=[P1])
    assert all(rtt is None for sent, rtt in rtts(dead, "P1") if sent > 10)
    assert all(rtt is not None for sent, rtt in rtts(dead, "P1") if sent < 9.9)


def _burn(stop: Any) -> None:
    while not stop.is_set():
        sum(range(10_000))


@pytest.fixture
def busy() -> Iterator[None]:
    """Every core has something else to do."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    burners = [context.Process(target=_burn, args=(stop,)) for _ in range(os.cpu_count() or 1)]
    for burner in burners:
        burner.start()
    yield
    stop.set()
    for burner in burners:
        burner.join()


def test_a_busy_machine_measures_the_same(moved: RunDirectory, run: Run, busy: None) -> None:
    """Byte for byte, and wherever the results lie: all that was captured, all that was noted, and every table."""
    again = run(folder="several/steps/further/down", sessions=[P1, P2])
    mine, others = (
        {str(file.relative_to(one.root)): file for file in one.root.rglob("*") if file.is_file()}
        for one in (moved, again)
    )
    assert mine.keys() == others.keys()
    compared = [name for name in mine if name.startswith(("capture/", "log/")) or name.endswith((".csv", ".jsonl"))]
    assert len(compared) > 30
    assert [name for name in compared if mine[name].read_bytes() != others[name].read_bytes()] == []


def test_a_bulk_transfer_on_the_old_address_survives_the_move(run: Run) -> None:
    """10 Mbit/s on the radio: 4 MB take 3.2 s and more, so the transfer is under way when the node moves at 10 s."""
    links = load("two-mr").model_dump(mode="json", by_alias=True)["links"]
    links[0]["rate"] = "10mbit"
    done = run(
        links=links,
        sessions=[{"name": "T", "at": "9s", "from": "CN1", "to": "MN1", "transport": "tcp", "size": "4MB"}],
    )
    (checked,) = [event for event in done.timeline() if event["event"] == "bulk_checked"]
    assert checked["intact"] is True
    assert checked["time_s"] > 10.1
    (row,) = read_csv(done.sessions)
    assert (row["anchor"], row["outcome"]) == ("MR1", "ok")


GEOMETRIES: dict[str, dict[str, str]] = {
    "as shipped": {},
    "server near": {"SERVER": "1ms", "DDNS": "2ms"},
    "server far, correspondent near": {"SERVER": "60ms", "CN3": "1ms", "RESOLVER": "7ms"},
}


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_every_method_takes_what_its_closed_form_says(run: Run, geometry: str) -> None:
    changed = GEOMETRIES[geometry]
    links = load("two-mr").model_dump(mode="json", by_alias=True)["links"]
    for link in links:
        for end in link["between"]:
            link["delay"] = changed.get(end, link["delay"])
    every = {"from": "CN3", "to": "MN1", "method": METHODS, "transport": ["udp", "tcp"], "repeat": 3, "every": "500ms"}
    done = run(links=links, sessions=[{"name": "B", "at": "3s", **every}, {"name": "A", "at": "15s", **every}])
    scenario = load("two-mr", done.manifest()["scenario"])
    oracle, rows = Oracle(scenario), read_csv(done.sessions)
    assert len(rows) == 60
    for session, row in zip(sessions_of(scenario), rows, strict=True):
        expected = oracle.of(session)
        assert expected is not None
        assert row["outcome"] == "ok", row
        assert float(row["lookup_ms"]) == pytest.approx(expected.lookup_s * 1e3, abs=NANOSECOND_MS), row
        assert float(row["setup_ms"]) == pytest.approx(expected.setup_s * 1e3, abs=NANOSECOND_MS), row
        assert float(row["expected_setup_ms"]) == pytest.approx(expected.setup_s * 1e3, abs=1e-6)
        path = {"central": "relay", "fixed": "redirect" if row["session"].startswith("A") else "direct"}
        assert row["path"] == path.get(row["method"], "direct"), row


def test_established_sessions_of_every_method_survive_three_moves(run: Run) -> None:
    long = {"from": "CN1", "to": "MN1", "method": METHODS, "transport": ["udp", "tcp"], "interval": "100ms"}
    done = run(movement=THREE_MOVES, sessions=[{"name": "S", "at": "2s", **long, "duration": "20s"}], duration="25s")
    for row in read_csv(done.sessions):
        last = [rtt for sent, rtt in rtts(done, row["session"]) if sent > 17][-20:]
        assert row["outcome"] == "ok"
        assert len(last) == 20, row
        assert all(rtt is not None for rtt in last), row


def test_an_address_that_is_released_takes_its_rules_with_it(run: Run) -> None:
    done = run(addresses={"keep": "5s"}, sessions=[{**P1, "duration": "10s"}])
    events = [event["event"] for event in done.timeline()]
    assert events.index("redirect_confirmed") < events.index("address_released") < events.index("redirect_removed")
    for switch in ("s1", "s2"):
        assert "10.1.1.100" not in (done.log / f"{switch}.flows").read_text()


def test_a_killed_run_leaves_nothing_running(live_kernel: GuestKernel, tmp_path: Path) -> None:
    """The scenario is one that a guest left behind would be at for minutes."""
    (tmp_path / "long.yaml").write_text(
        "{extends: two-mr, name: long, duration: 1h, sessions: "
        "[{name: A, at: 1s, from: CN1, to: MN1, interval: 20ms, duration: 3500s}]}"
    )
    command = [sys.executable, "-m", "dmmlab.experiments.cli.main", "run", "long.yaml", "--out", "r"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, cwd=tmp_path)
    assert process.stderr is not None
    for line in process.stderr:
        if b"scenario" in line:
            break
    (guest,) = [pid for pid in _descendants(process.pid) if _link(pid, "exe") == str(live_kernel.path)]
    folder = _link(guest, "cwd")
    assert guest in _working_in(folder)
    process.kill()
    process.wait()
    process.stderr.close()
    deadline = time.monotonic() + 10
    while (left := _working_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []
    assert RunDirectory(tmp_path / "r").outcome() is None


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _link(pid: int, name: str) -> str:
    """Where /proc/PID/cwd or exe leads; empty for a process that has ended."""
    try:
        return str((Path("/proc") / str(pid) / name).readlink()).removesuffix(" (deleted)")
    except OSError:
        return ""


def _working_in(folder: str) -> list[int]:
    """The processes of the guest that has ``folder`` to itself: its command line names no file of the run."""
    return [pid for pid in _processes() if _link(pid, "cwd") == folder]


def _descendants(pid: int) -> list[int]:
    children = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        children += [int(word) for word in path.read_text().split()]
    return [*children, *(below for child in children for below in _descendants(child))]


def test_ctrl_c_ends_a_run_with_a_sentence(live_kernel: GuestKernel, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dmmlab.experiments.cli.main", "run", "two-mr", "--out", str(tmp_path / "r")]
    with interruptible.started(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "network" in line:
                break
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(timeout=60) == 130
    assert "interrupted" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("memory_mb", [160, 220])
def test_a_guest_that_is_short_of_memory_ends_and_says_so(
    live_kernel: GuestKernel, tmp_path: Path, memory_mb: int
) -> None:
    outcome = run_scenario(load("two-mr"), tmp_path, "guest", "virtual", Progress(), memory_mb).outcome()
    assert outcome is not None and outcome["outcome"] == "failed"
    assert "Out of memory: Killed process" in outcome["reason"]
    assert f"(the guest has {memory_mb} MB)" in outcome["reason"]
