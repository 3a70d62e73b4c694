"""Native runs: who may start them, which datapath they take, what the watched clock says of them, and the machines."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import figures_fake
import pytest
import yaml
from click.testing import CliRunner
from manifests import manifest

from dmmlab.experiments.analysis import clock
from dmmlab.experiments.campaigns import explain
from dmmlab.experiments.cli.main import cli
from dmmlab.experiments.oracle import moves
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rundir import RunDirectory, read_csv, write_csv, write_json
from dmmlab.experiments.runner import clockwatch
from dmmlab.experiments.runner.run import Progress, prepare, run_scenario
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.network import network_plan
from dmmlab.guest import launch
from dmmlab.guest.cache import GuestKernel
from dmmlab.machine import checks, processes
from dmmlab.machine.events import CLOCKWATCH
from dmmlab.nodes.mobility import dhcp

PROJECT = Path(__file__).parents[2]


def second(late_p95_ms: float = 0.1, late_max_ms: float = 0.5, steal: float = 0.0) -> dict[str, Any]:
    return {"event": "second", "late_p95_ms": late_p95_ms, "late_max_ms": late_max_ms, "steal": steal, "idle": 0.9}


def path(rtt_ms: float | None, expected_ms: float = 30.0) -> dict[str, Any]:
    return {"event": "path", "when": "before", "path": "CN1-CORE", "rtt_ms": rtt_ms, "expected_ms": expected_ms}


def judged(folder: Path, *events: dict[str, Any]) -> str:
    run = RunDirectory(folder)
    run.create(manifest())
    run.events.write_text(
        "".join(json.dumps({"time_s": 0.0, "source": CLOCKWATCH, **event}) + "\n" for event in events)
    )
    return "; ".join(clock.problems(Recording(run)))


def test_a_machine_that_kept_time_is_believed(tmp_path: Path) -> None:
    assert judged(tmp_path, *[second()] * 30, path(30.9), path(29.5)) == ""
    assert judged(tmp_path) == ""  # virtual time: nobody watched


@pytest.mark.parametrize(
    ("events", "words"),
    [
        (
            [*[second()] * 30, {"event": "clock_set", "by_ms": -2000.0}],
            "clock was set 1 times meanwhile, at most by -2000.0",
        ),
        ([second(late_p95_ms=4.2)] * 30, "timers came 4.2 ms late"),
        ([second()] * 29 + [second(late_max_ms=230)], "stood still for 230 ms"),
        ([second(steal=0.08)] * 30, "8.0% of the processors' time was stolen"),
        (
            [second(), path(36.5)],
            "before the run 1 of 1 paths were over 3 ms off; the worst is CN1-CORE with 36.5 ms instead of 30",
        ),
        ([second(), path(None)], "no echo was answered"),
    ],
)
def test_what_a_machine_suffered_is_said(tmp_path: Path, events: list[dict[str, Any]], words: str) -> None:
    assert words in judged(tmp_path, *events)


def test_a_single_late_second_is_forgiven(tmp_path: Path) -> None:
    assert judged(tmp_path, *[second()] * 29, second(late_p95_ms=20, late_max_ms=60)) == ""


def test_paths_are_those_of_the_scenario() -> None:
    scenario = load("two-mr")
    plan = network_plan(scenario)
    before = {each.name: each.expected_ms for each in clockwatch.paths(scenario, plan, -1.0)}
    assert before["CONTROLLER-switches"] == pytest.approx(2)
    assert before["CN1-CORE"] == pytest.approx(20)
    assert before["SERVER-MR2"] == pytest.approx(40)
    assert not any("MN1" in name for name in before)
    after = {each.name: each for each in clockwatch.paths(scenario, plan, scenario.duration)}
    assert after["CN3-MN1@MR2"].address == str(plan.mobile_node("MN1").addresses["MR2"])
    assert after["CN3-MN1@MR2"].expected_ms == pytest.approx(34)
    assert moves.serving(scenario, "MN1", scenario.duration) == "MR2"


def test_a_path_that_sends_slowly_or_jitters_is_expected_to() -> None:
    base = load("two-mr")
    links = [link.model_dump(by_alias=True) for link in base.links if not link.joins("SERVER", "CORE")]
    slow = {"between": ["SERVER", "CORE"], "delay": "15ms", "rate": "200kbit", "jitter": "2ms"}
    scenario = load("two-mr", {"links": [*links, slow]})
    found = {each.name: each for each in clockwatch.paths(scenario, network_plan(scenario), -1.0)}
    echo_ms = 8 * 50 / 200e3 * 1e3  # Ethernet, IPv4, ICMP, and eight bytes
    assert found["SERVER-CORE"].expected_ms == pytest.approx(2 * (15 + echo_ms))
    assert found["SERVER-CORE"].jitter_ms == pytest.approx(2 * 2)
    assert found["CN1-CORE"].expected_ms == pytest.approx(20)
    assert found["CN1-CORE"].jitter_ms == 0


def test_jitter_that_was_configured_is_no_fault_of_the_machine(tmp_path: Path) -> None:
    assert judged(tmp_path, second(), {**path(36.5), "jitter_ms": 4.0}) == ""
    assert "1 of 1 paths" in judged(tmp_path, second(), {**path(37.5), "jitter_ms": 4.0})


def in_real_time(folder: Path, off_ms: float, *paths: tuple[str, float]) -> RunDirectory:
    """A run of two-mr whose sessions take ``off_ms`` longer than they must, and whose paths were measured."""
    run = figures_fake.make(load("two-mr"), folder, off_ms=off_ms)
    write_json(run.run_json, {**run.manifest(), "clock": "real"})
    echoes = [{"event": "path", "when": "after", "path": name, "expected_ms": 20.0, "rtt_ms": 20.0 + off}
              for name, off in paths]  # fmt: skip
    with run.events.open("a") as file:
        for event in (*echoes, *[second(late_p95_ms=0.25)] * 3):
            file.write(json.dumps({"source": CLOCKWATCH, "time_s": 0.0, **event}) + "\n")
    return run


def test_the_difference_is_shared_between_paths_and_programs(tmp_path: Path) -> None:
    paths = [("CN3-CORE", 0.1), ("SERVER-CORE", 0.2), ("SERVER-MN1@MR2", 0.4), (clockwatch.CONTROL, 0.2)]
    run = in_real_time(tmp_path, 3.0, *paths, *((f"CN{number}-MN1@MR2", 0.8) for number in (1, 2, 3)))
    found = {(gap.method, gap.transport): gap for gap in explain.gaps([run])}
    assert {method for method, _ in found} == {"fixed", "ddns", "p2p", "central", "combined", "redirect"}
    assert found["fixed", "udp"].paths == pytest.approx(0.8) and found["fixed", "tcp"].paths == pytest.approx(1.6)
    assert found["p2p", "udp"].paths == pytest.approx(0.3 + 0.8)
    assert found["combined", "udp"].paths == pytest.approx(0.3 + 0.4 + 0.8)
    assert found["central", "udp"].paths == pytest.approx(2 * (0.3 + 0.4))
    assert found["central", "tcp"].paths == pytest.approx(3 * (0.3 + 0.4))
    assert found[explain.REDIRECT].paths == pytest.approx(3 * 0.2 / 2), "there, back, and there again"
    assert found[explain.REDIRECT].difference == pytest.approx(3.0)
    p2p = found["p2p", "udp"]
    assert p2p.programs is not None and p2p.programs + 1.1 == pytest.approx(p2p.difference)
    assert found["ddns", "udp"].paths is None  # the resolver's path was not measured: nothing is made up
    assert explain.clock([run]) == explain.Clock(0.25, 0.0)


def test_the_runs_behind_figures_are_found_and_no_others_behind_a_run(tmp_path: Path) -> None:
    other, run = in_real_time(tmp_path / "runs" / "a", 1.0), in_real_time(tmp_path / "mine", 1.0)
    failed = in_real_time(tmp_path / "runs" / "b", 1.0)
    failed.finish("failed", "the network never came up")
    (tmp_path / "figures").mkdir()
    assert [one.root for one in explain.real_time(run.root)] == [run.root]
    assert [one.root for one in explain.real_time(tmp_path / "figures")] == [other.root]


def test_real_against_virtual_is_compared_by_what_is_no_time(tmp_path: Path) -> None:
    real, virtual = in_real_time(tmp_path / "real", 2.0), figures_fake.make(load("two-mr"), tmp_path / "virtual")
    done = CliRunner().invoke(cli, ["compare", str(real.root), str(virtual.root)])
    assert done.exit_code == 0, done.output
    assert "sessions.csv: the same" in done.output and "timers 0.250 ms late" in done.output
    rows = [{**row, "outcome": "timeout"} if row["session"] == "P1" else row for row in read_csv(real.sessions)]
    write_csv(real.sessions, list(rows[0]), rows)
    done = CliRunner().invoke(cli, ["compare", str(real.root), str(virtual.root)])
    assert done.exit_code == 1
    assert "outcome is timeout instead of ok at session=P1" in done.output


def test_a_user_runs_by_sudo_and_root_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert processes.as_root(["true"]) == ["true"]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert processes.as_root(["true"]) == ["sudo", "--non-interactive", "--", "true"]


def test_what_sudo_started_ends_when_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "as_root", lambda command: [*command])
    process = processes.popen(["sh", "-c", "while echo x; do sleep 0.1; done"], stdout=subprocess.PIPE)

    def not_ours() -> None:
        raise PermissionError

    monkeypatch.setattr(process, "kill", not_ours)
    processes.end(process)
    assert process.returncode != 0


def test_the_datapath_is_the_kernels_where_it_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    there = checks.Check("openvswitch", True, "in this kernel")
    missing = checks.Check("openvswitch", False, "not in kernel 6.1", "apt-get install linux-image-amd64")
    monkeypatch.setattr(checks, "_module", lambda name, present: there)
    assert checks.datapath() == "system"
    monkeypatch.setattr(checks, "_module", lambda name, present: missing)
    assert checks.datapath() == "netdev"


def test_the_datapath_that_was_asked_for_is_in_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "datapath", lambda: "system")
    assert prepare(load("two-mr"), tmp_path, "native", "real").manifest()["datapath"] == "system"
    monkeypatch.setenv("DMMLAB_OVS_DATAPATH", "netdev")
    assert prepare(load("two-mr"), tmp_path, "native", "real").manifest()["datapath"] == "netdev"


def shell_scripts() -> list[Path]:
    return [
        *PROJECT.glob("guest/*.sh"),
        *PROJECT.glob("machine/*.sh"),
        *PROJECT.glob("tests/vm/*.sh"),
        *PROJECT.glob("tests/exact/*.sh"),
        PROJECT / "tests/live/native.sh",
        PROJECT / ".ci/run",
    ]


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("script", shell_scripts(), ids=lambda script: script.name)
def test_shell_scripts_are_clean(script: Path) -> None:
    checked = subprocess.run(
        ["shellcheck", "--external-sources", str(script)], capture_output=True, text=True, cwd=PROJECT
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.skipif(shutil.which("vagrant") is None, reason="vagrant is not installed")
def test_vagrantfile_is_valid(tmp_path: Path) -> None:
    command = ["vagrant", "validate", "--ignore-provider"]
    shutil.copy(PROJECT / "Vagrantfile", tmp_path)
    environment = {**os.environ, "VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_CHECKPOINT_DISABLE": "1"}
    checked = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not installed")
def test_the_workflow_is_clean() -> None:
    checked = subprocess.run(["actionlint"], cwd=PROJECT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_what_the_workflow_runs_is_there() -> None:
    text = (PROJECT / ".github/workflows/ci.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]
    assert {"test", "native", "container", "vm"} <= set(jobs)
    named = set(re.findall(r"(?:guest|machine|tests|\.ci)/[a-z/]+(?:\.sh)?(?= |$)", text, re.MULTILINE))
    assert {"machine/provision.sh", "tests/live/native.sh", ".ci/run"} <= named
    assert all((PROJECT / name).exists() for name in named - {"tests/vm"}), named


# -- live ----------------------------------------------------------------------------------------------------------
@pytest.mark.live
def test_the_datapath_in_user_space_measures_the_same(
    live_kernel: GuestKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TCP and UDP before and after the move: a checksum that nobody completed would lose all of either."""
    monkeypatch.setenv("DMMLAB_OVS_DATAPATH", "netdev")
    both = {"from": "CN1", "to": "MN1", "method": ["fixed", "p2p"], "transport": ["udp", "tcp"]}
    probes = {"interval": "50ms", "duration": "8s"}
    sessions = [{"name": "S", "at": "2s", **both, **probes}, {"name": "T", "at": "8s", **both}]
    movement = [{"at": "0s", "node": "MN1", "to": "MR1"}, {"at": "5s", "node": "MN1", "to": "MR2", "gap": "50ms"}]
    scenario = load("two-mr", {"sessions": sessions, "movement": movement, "duration": "12s"})
    run = run_scenario(scenario, tmp_path, "guest", "virtual", Progress())
    assert run.outcome() is not None
    assert (run.outcome() or {})["outcome"] == "ok", run.outcome()
    assert (run.log / "datapath").read_text().startswith("netdev@ovs-netdev")
    for row in read_csv(run.sessions):
        assert row["outcome"] == "ok", row
        assert float(row["setup_ms"]) == pytest.approx(float(row["expected_setup_ms"]), abs=1e-6), row
    last = [row for row in read_csv(run.probes) if row["session"].startswith("S") and float(row["sent_s"]) > 6]
    assert len(last) > 100
    assert all(row["received_s"] for row in last)


@pytest.mark.live
def test_a_packet_socket_of_udhcpc_has_a_protocol_when_it_is_bound_and_ends_when_it_is_closed(
    live_kernel: GuestKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(dhcp.PRELOADED, "")
    assert dhcp.client_environment() is None, "its own, unless the run is native"
    dhcp.wait_for_no_reader(tmp_path)
    library = (dhcp.client_environment() or {})["LD_PRELOAD"]
    program = (
        "import os, socket, time\n"
        "opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x800))\n"
        "before = opened.getsockname()[:2]\nopened.bind(('lo', 0x800))\nprint(before, opened.getsockname()[:2])\n"
        "descriptor = opened.fileno()\nopened.close()\n"
        "while os.path.exists(f'/proc/self/fd/{descriptor}'): time.sleep(0.001)\n"
        "print(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).proto)"
    )
    said = bytearray()
    status = launch.execute(
        [sys.executable, "-c", program], stdout=said.extend, env={"LD_PRELOAD": library}, time_limit_s=60
    )
    assert (status, said.decode()) == (0, "('', 0) ('lo', 2048)\n1\n")


@pytest.mark.live
def test_a_run_in_real_time_is_watched(live_kernel: GuestKernel, tmp_path: Path) -> None:
    """The verdict depends on the machine; that there is one, and what it is made of, does not."""
    probes = {"interval": "50ms", "duration": "3s"}
    session = {"name": "S", "at": "2s", "from": "CN1", "to": "MN1", **probes}
    movement = [{"at": "0s", "node": "MN1", "to": "MR1"}]
    scenario = load("two-mr", {"sessions": [session], "movement": movement, "duration": "6s"})
    run = run_scenario(scenario, tmp_path, "guest", "real", Progress())
    outcome = run.outcome()
    assert outcome is not None
    assert outcome["outcome"] in ("ok", "invalid"), outcome
    watched = [event for event in run.timeline() if event["source"] == CLOCKWATCH]
    assert sum(event["event"] == "second" for event in watched) >= 5
    measured = {(event["when"], event["path"]): event["rtt_ms"] for event in watched if event["event"] == "path"}
    assert ("before", "CN1-MR2") in measured
    assert measured["after", "CN1-MN1@MR1"] >= 34
    assert outcome["outcome"] == ("invalid" if outcome["reason"] else "ok")
