"""The runner: carries out one scenario on a live network and leaves the raw records.

It runs inside a corner of its own (`isolation`), on whatever kernel that is: the machine's or the guest's. It reads
``run.json``, writes below ``log/`` and ``capture/``, and says how far it is on standard output, one JSON object a
line. What the records mean is worked out afterwards, from the files alone (`records`).
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmmlab.experiments.methods.base import DDNS, SERVER
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.runner import clockwatch, left_over
from dmmlab.experiments.runner.daemons import Daemons
from dmmlab.experiments.runner.executor import Executor
from dmmlab.experiments.runner.faults import Faults
from dmmlab.experiments.runner.lab import Lab, LabError
from dmmlab.experiments.scenario.load import parse
from dmmlab.experiments.scenario.network import network_plan
from dmmlab.experiments.scenario.playground import Playground
from dmmlab.experiments.scenario.timeline import timeline
from dmmlab.machine import scratch
from dmmlab.machine.events import CLOCKWATCH, EventLog
from dmmlab.nodes import clock
from dmmlab.nodes.daemons import tcpdump
from dmmlab.nodes.daemons.crew import crews
from dmmlab.topologies.build import Network
from dmmlab.topologies.openvswitch import OpenVSwitch
from dmmlab.topologies.topo import SWITCH_SIDE

_LEAD_S = 1.5  # between "everything is ready" and the scenario's start, which falls on a full second
_OPENER_S = 1.0  # more of it for each opener, where somebody plays: the machine may be as busy as it likes
_LOSSY_LEAD_S = (
    30.0  # where links lose: a correspondent finds its server and tries for 10 s to register before the start
)
_EXACT_CLOCK = Path("/sys/kernel/exact_clock")  # of the guest's kernel: whether a task's work has moved virtual time
_GRACE_S = 1.0 + tcpdump.LATENCY_S  # after the scenario's end, for what is still under way and not yet written


def progress(**fields: object) -> None:
    """For whoever started this process: a line of JSON."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


Say = Callable[..., None]


@dataclass(frozen=True)
class NetworkHost:
    """A host of the live network, for `Daemon.start`."""

    network: Network
    name: str

    def popen(self, argv: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
        """Starts ``argv`` there."""
        return self.network.popen(self.name, list(argv), **how)

    def enter(self) -> None:
        """Moves the calling thread there, for good."""
        self.network.enter(self.name)

    def inside(self) -> AbstractContextManager[None]:
        """The calling thread is there for as long as the block runs."""
        return self.network.inside(self.name)


@dataclass(frozen=True)
class Live:
    """A scenario that is being played, since ``start_ns`` (ns since the epoch)."""

    network: Network
    daemons: Daemons
    executor: Executor
    start_ns: int


def carry_out(run: RunDirectory, shell: Callable[[Live], None] | None = None, say: Say = progress) -> None:
    """One scenario from ``run.json``, start to end; LabError or RuntimeError when it could not be done.

    With ``shell`` it is played while that goes on, which may order more (`Playground`), and ends with it. ``say`` takes
    what there is to say of the progress.
    """
    manifest = run.manifest()
    scenario = parse(manifest["scenario"], str(run.run_json))
    if shell is not None:
        scenario = Playground.of(scenario)
    plan = network_plan(scenario)
    with ExitStack() as stack:
        say(phase="Open vSwitch")
        folder_for = functools.partial(_folder, stack, manifest)
        switches = stack.enter_context(OpenVSwitch(folder_for("ovs-")))
        say(phase="network")
        network = stack.enter_context(
            Network(
                plan,
                scenario.seed,
                switches.database,
                manifest.get("datapath", "system"),
                folder_for("sites-") if _stays(manifest) else None,
            )
        )
        lab = Lab(functools.partial(NetworkHost, network))
        stack.callback(_open_logs, run)
        daemons, seen = Daemons(scenario, plan, run, folder_for("")), list[dict[str, Any]]()
        if scenario.faults:
            stack.callback(lambda: left_over.keep(run, daemons, *seen) if len(seen) == 2 else None)
        stack.callback(lab.stop)
        faults = Faults(lab, network, switches, daemons, lambda: EventLog(run.events_of("runner"), "runner"))
        _start_servers(lab, daemons, say)
        watched = manifest["clock"] == "real" and shell is None
        start_ns = _start_agents(lab, daemons, network, watched, say)
        log = EventLog(run.events_of("runner"), "runner")
        log.write([("scenario_started", start_ns, {})])
        say(phase="scenario")
        executor = Executor(timeline(scenario), network, log, lab.check_alive, daemons.warn, faults.carry_out)
        if scenario.faults:
            seen.append(left_over.census())
        if shell:
            threading.Thread(target=executor.play, args=(start_ns, lambda _share: None), daemon=True).start()
            shell(Live(network, daemons, executor, start_ns))
            executor.leave()
            time.sleep(tcpdump.LATENCY_S)
            return
        executor.play(start_ns, lambda share: say(progress=share))
        clock.wait_until(start_ns + round((scenario.duration + _GRACE_S) * 1e9))
        if watched:
            _measure_paths(daemons, network, "after", scenario.duration)
        _dump_flows(run, network)
        if scenario.faults:
            seen.append(left_over.census())
        if _EXACT_CLOCK.is_dir():
            say(exact_clock={file.name: int(file.read_text()) for file in sorted(_EXACT_CLOCK.iterdir())})
        say(phase="stopping")


def _stays(manifest: dict[str, Any]) -> bool:
    """Whether what is written to the system's folder for temporary files is there when the run has ended."""
    return bool(manifest["runtime"] != "guest")


def _folder(stack: ExitStack, manifest: dict[str, Any], what: str) -> Path:
    """For files that the run needs and does not keep; a guest's end with it."""
    if _stays(manifest):
        return stack.enter_context(scratch.folder(what))
    return Path(tempfile.mkdtemp(prefix=f"dmmlab-{what}"))


def _start_servers(lab: Lab, daemons: Daemons, say: Say) -> None:
    """All that is there before a node is, ready to be used."""
    say(phase="controller, DHCP, captures")
    controller, captures, buffers = daemons.controller(), daemons.captures(), daemons.buffers()
    lab.start([controller, *daemons.address_servers(), *captures, *buffers])
    lab.await_ready([*captures, *buffers])
    if daemons.scenario.needs(DDNS):
        servers = daemons.name_servers()
        lab.start(servers)
        lab.await_ready(servers)
    if daemons.scenario.needs(SERVER):
        server = daemons.registration_server()
        lab.start([server])
        lab.await_ready([server])
    lab.await_ready([controller])


def _start_agents(lab: Lab, daemons: Daemons, network: Network, watched: bool, say: Say) -> int:
    """Mobile nodes, and correspondents, which register before the scenario starts, as the draft has it; returns when it
    does (ns since the epoch).
    """
    say(phase="agents")
    if watched:
        _measure_paths(daemons, network, "before", -1.0)
        watch = daemons.clock_watch(SWITCH_SIDE)
        lab.start([watch])
        lab.await_ready([watch])
    if daemons.run.manifest()["runtime"] == "native":
        from dmmlab.nodes.mobility import dhcp  # in the guest the agents' own import is enough

        dhcp.wait_for_no_reader(daemons.folder)
    nodes = daemons.mobile_nodes()
    # In real time one node's work must not wait for another's.
    real = daemons.run.manifest()["clock"] == "real"
    alone = {fault.target for fault in daemons.scenario.faults}  # whose process breaks, others do not share
    mobile_nodes = nodes if real else crews(nodes, functools.partial(NetworkHost, network), alone)
    lab.start(mobile_nodes)
    lab.await_ready(mobile_nodes)
    network.await_links()
    scenario = daemons.scenario
    lossy = scenario.needs(SERVER) and any(link.loss for link in scenario.links)
    lead_s = (_LOSSY_LEAD_S if lossy else _LEAD_S) + _OPENER_S * len(scenario.openers) * scenario.open_ended
    second = -(-(clock.now_ns() + round(lead_s * 1e9)) // 10**9)
    start_ns = (second | 1) * 10**9  # an odd one: where the steps of TCP's longer timers are, then follows
    correspondents = daemons.correspondents(start_ns)
    lab.start(correspondents)
    lab.await_ready(correspondents)
    if clock.now_ns() > start_ns:
        raise LabError("the correspondents were not ready at the scenario's start: the machine is too busy")
    return start_ns


def _measure_paths(daemons: Daemons, network: Network, when: str, at_s: float) -> None:
    """Round trips of all paths that are there at ``at_s`` of the scenario's time, beside the configured ones."""
    log = EventLog(daemons.run.events_of(CLOCKWATCH), CLOCKWATCH)
    ways = clockwatch.paths(daemons.scenario, daemons.plan, at_s)
    clockwatch.measure(log, when, ways, network.inside)


def _dump_flows(run: RunDirectory, network: Network) -> None:
    """What the switches hold at the end, for who wants to know: ``log/SWITCH.flows``, and ``log/datapath``."""
    for router in network.plan.mobile_routers:
        argv = ["ovs-ofctl", "--protocols=OpenFlow13", "dump-flows", router.switch]
        with (run.log / f"{router.switch}.flows").open("wb") as output:
            environment = network.programs_of(router.switch)
            subprocess.run(argv, stdout=output, stderr=subprocess.STDOUT, check=False, env=environment)
    show = ["ovs-appctl", "--timeout=5", "dpif/show"]
    for site in network.plan.sites:
        with (run.log / "datapath").open("ab") as output:
            environment = network.programs_of(min(site.switches))
            subprocess.run(show, stdout=output, stderr=output, check=False, env=environment)


def _open_logs(run: RunDirectory) -> None:
    """Some daemons keep their logs to themselves; the run is its user's."""
    for file in run.log.iterdir():
        file.chmod(0o644)


def main(shell: Callable[[Live], None] | None = None, say: Say = progress) -> int:
    """Carries out the run in the folder that the command line names (`__main__`); exit status 0, or 1 with a sentence
    why. ``shell`` and ``say`` are those of `carry_out`.
    """
    clock.sharpen()
    try:
        carry_out(RunDirectory(Path(sys.argv[1])), shell, say)
    except (LabError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        return 1
    return 0
