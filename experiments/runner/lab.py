"""The runner: carries out one scenario on a live network and leaves the raw records.

It runs inside a corner of its own (`isolation`), on whatever kernel that is: the machine's or the guest's. It reads
``run.json``, writes below ``log/`` and ``capture/``, and says how far it is on standard output, one JSON object a
line. What the records mean is worked out afterwards, from the files alone (`records`).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from mininet.cli import CLI

from dmmlab.experiments.methods.base import DDNS, RESOLVER, SERVER
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.runner import clockwatch
from dmmlab.experiments.runner.executor import Executor
from dmmlab.experiments.runner.layout import (
    REGISTRATION_PORT,
    ZONE,
    account_of,
    correspondent_file,
    mobile_node_file,
    network_plan,
    node_id,
    redirect_plan,
    tsig_secret,
)
from dmmlab.experiments.scenario.load import parse
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.timeline import timeline
from dmmlab.nodes import clock, correspondent, service
from dmmlab.nodes.daemons import tcpdump
from dmmlab.nodes.daemons.dns import Named, Unbound
from dmmlab.nodes.events import EventLog
from dmmlab.nodes.mobility import agent, dhcp
from dmmlab.nodes.registration import server
from dmmlab.topologies.build import SWITCH_SIDE, Network
from dmmlab.topologies.links import enter, inside
from dmmlab.topologies.openvswitch import OpenVSwitch
from dmmlab.topologies.plan import CONTROLLER, CONTROLLER_PORT, NetworkPlan

_READY_S = 60.0  # a daemon that is not ready by then is not coming
_LEAD_S = 1.5  # between "everything is ready" and the scenario's start, which falls on a full second
_LOSSY_LEAD_S = (
    30.0  # where links lose: a correspondent finds its server and tries for 10 s to register before the start
)
_ADDRESS_IN_MEMORY = re.compile(rb"client @0x[0-9a-f]+ ")  # as BIND logs a client: it tells of the machine, not the run
_EXACT_CLOCK = Path("/sys/kernel/exact_clock")  # of the guest's kernel: whether a task's work has moved virtual time
_GRACE_S = 1.0 + tcpdump.LATENCY_S  # after the scenario's end, for what is still under way and not yet written


class LabError(Exception):
    """Something that the run needs did not start or has died; one sentence."""


class Lab:
    """The processes of one run, and the timeline that they follow."""

    def __init__(self, scenario: Scenario, plan: NetworkPlan, run: RunDirectory, network: Network) -> None:
        self.scenario, self.plan, self.run, self.network = scenario, plan, run, network
        self.log = EventLog(run.events_of("runner"), "runner")
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._forked: dict[str, int] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="dmmlab-"))

    # -- starting and stopping ----------------------------------------------------------------------------------
    def start(self, name: str, host: str, argv: Sequence[str], output: Path | None = None) -> None:
        """Starts a daemon on ``host``; what it says goes to ``log/NAME.log``, its standard output to ``output``."""
        log = self.run.log / f"{name}.log"
        with log.open("ab") as errors, (output or log).open("ab") as out:
            self._daemons[name] = self.network.popen(
                host, list(argv), stdin=subprocess.DEVNULL, stdout=out, stderr=errors
            )

    def fork(self, name: str, host: str, main: Callable[[list[str]], int | None], argv: Sequence[str]) -> None:
        """Runs a node's ``main`` on ``host`` in a fork of this process, which has imported what nodes need.

        Importing Scapy takes a second in the guest, once for each process that does it.
        """
        namespace = os.open(f"/proc/{self.network.pid(host)}/ns/net", os.O_RDONLY)
        if pid := os.fork():
            os.close(namespace)
            self._forked[name] = pid
            return
        status = 1
        try:
            enter(namespace)
            output = os.open(self.run.log / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            for number in (1, 2):
                os.dup2(output, number)
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            main(list(argv))
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(status)

    def await_event(self, source: str, *events: str) -> None:
        """Returns when ``source`` has logged each of ``events``; raises LabError if it dies first or takes too long."""
        file, deadline = self.run.events_of(source), time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            lines = file.read_text().splitlines(keepends=True) if file.exists() else []
            logged = {json.loads(line)["event"] for line in lines if line.endswith("\n")}
            if logged.issuperset(events):
                return
            self.check_alive()
            time.sleep(0.01)
        raise LabError(f"{source} was not ready within {_READY_S:g} s; see log/{source}.log")

    def await_output(self, name: str, text: str) -> None:
        """Returns when daemon ``name`` has printed ``text``."""
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            if text in (self.run.log / f"{name}.log").read_text(errors="replace"):
                return
            self.check_alive()
            time.sleep(0.01)
        raise LabError(f"{name} was not ready within {_READY_S:g} s; see log/{name}.log")

    def check_alive(self) -> None:
        for name, daemon in self._daemons.items():
            if daemon.poll() is not None:
                raise LabError(f"{name} ended with status {daemon.returncode}; {self._last_words(name)}")
        for name, pid in list(self._forked.items()):
            if os.waitpid(pid, os.WNOHANG)[0]:
                del self._forked[name]
                if name not in self.scenario.correspondents:  # which end when their sessions have
                    raise LabError(f"{name} ended; {self._last_words(name)}")

    def _last_words(self, name: str) -> str:
        lines = (self.run.log / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return f"its last words: {lines[-1]}" if lines else f"log/{name}.log is empty"

    def stop(self) -> None:
        """Ends what was started, and waits for it: captures and logs are complete then."""
        for pid in self._forked.values():
            os.kill(pid, signal.SIGTERM)
        for pid in self._forked.values():
            os.waitpid(pid, 0)
        self._forked.clear()
        for daemon in self._daemons.values():
            daemon.terminate()
        for daemon in self._daemons.values():
            daemon.wait(timeout=10)
        self._daemons.clear()
        for file in self.run.log.iterdir():  # some daemons keep theirs to themselves; the run is its user's
            file.chmod(0o644)
        log = self.run.log / f"{DDNS}.log"
        if log.is_file():
            log.write_bytes(_ADDRESS_IN_MEMORY.sub(b"client ", log.read_bytes()))

    # -- the parts of a run -------------------------------------------------------------------------------------
    def start_controller(self) -> None:
        plan_file = self._folder / "redirect-plan.json"
        plan_file.write_text(redirect_plan(self.plan).to_json())
        argv = [sys.executable, "-m", "dmmlab.controllers", "--plan", str(plan_file)]
        argv += ["--events", str(self.run.events_of("controller"))]
        argv += ["--listen", f"{self.plan.control.address.ip}:{CONTROLLER_PORT}"]
        argv += [] if self.scenario.redirect else ["--no-redirect"]
        self.start("controller", CONTROLLER, argv)

    def start_dhcp(self) -> None:
        for router in self.plan.mobile_routers:
            hosts = {node.mac: str(node.addresses[router.name]) for node in self.plan.mobile_nodes}
            lease_s = round(self.scenario.addresses.lease)
            argv = dhcp.server_argv(router.access_interface, str(router.prefix), hosts, lease_s, self.run.log)
            self.start(f"dnsmasq-{router.name}", router.name, argv)

    def start_ddns(self) -> None:
        """BIND with the mobile nodes' zone, and the correspondents' caching resolver (draft 4.1)."""
        scenario, plan = self.scenario, self.plan
        ddns, ttl_s = str(plan.host(DDNS).address.ip), round(scenario.ddns.ttl)
        hosts, services = [("ns", ddns)], []
        if scenario.needs(SERVER):
            hosts.append(("server", str(plan.host(SERVER).address.ip)))
            services = [(f"_dmm-registration._{kind}", REGISTRATION_PORT, "server") for kind in ("udp", "tcp")]
        named = Named(
            directory=self._folder / "named",
            zone=ZONE,
            keys={node_id(node): tsig_secret(scenario, node) for node in scenario.mobile_nodes},
            address=ddns,
            ttl_s=ttl_s,
            negative_ttl_s=ttl_s,
            hosts=hosts,
            services=services,
        )
        unbound = Unbound(self._folder / "unbound", ZONE, (ddns, 53), address=str(plan.host(RESOLVER).address.ip))
        for host, daemon in ((DDNS, named), (RESOLVER, unbound)):
            daemon.write()
            daemon.check()
            self.start(host, host, daemon.argv)
        for host, daemon in ((DDNS, named), (RESOLVER, unbound)):
            with inside(self.network.pid(host)):
                if not daemon.ready():
                    raise LabError(f"{daemon.argv[0]} does not answer; {self._last_words(host)}")

    def start_registration_server(self) -> None:
        scenario, address = self.scenario, str(self.plan.host(SERVER).address.ip)
        names = (*scenario.mobile_nodes, *scenario.correspondents)
        accounts = [account for name in names if (account := account_of(scenario, self.plan, name)) is not None]
        keys = self._folder / "registration-keys.json"
        keys.write_text(json.dumps({account.node: account.key for account in accounts}))
        argv = ["--listen", f"{address}:{REGISTRATION_PORT}", "--relay-address", address, "--keys", str(keys)]
        argv += ["--database", str(self._folder / "bindings.sqlite"), "--events", str(self.run.events_of(SERVER))]
        self.fork(SERVER, SERVER, server.main, argv)
        self.await_event(SERVER, "ready")

    def start_captures(self) -> None:
        ends = [(host.name, host.interface) for host in self.plan.hosts]
        ends += [(node.name, node.interface) for node in self.plan.mobile_nodes]
        ends.append((CONTROLLER, self.plan.control.interface))
        for name, interface in ends:
            snap_bytes = tcpdump.WHOLE if name == CONTROLLER else tcpdump.HEADS
            argv = tcpdump.argv(interface, snap_bytes)
            self.start(f"tcpdump-{name}", name, argv, self.run.pcap(name))
        for name, _ in ends:
            self.await_output(f"tcpdump-{name}", "listening on")

    def start_mobile_nodes(self) -> None:
        keep_s = self.scenario.addresses.keep
        for node in self.plan.mobile_nodes:
            common = ["--name", node.name, "--events", str(self.run.events_of(node.name))]
            argv = [*common, "--interface", node.interface, "--folder", str(self._folder)]
            argv += ["--keep", str(keep_s)] if keep_s is not None else []
            told = mobile_node_file(self.scenario, self.plan, node.name)
            if told is not None:
                file = self._folder / f"{node.name}.told.json"
                told.write(file)
                argv += ["--told", str(file)]
            self.fork(node.name, node.name, agent.main, argv)
            self.fork(f"{node.name}-service", node.name, service.main, common)
        for node in self.plan.mobile_nodes:
            self.await_event(node.name, "ready", "service_ready")

    def start_correspondents(self, start_ns: int) -> None:
        """They register before the scenario starts, as the draft has it, and then wait for their sessions' times."""
        active = [name for name in self.scenario.correspondents if any(s.from_ == name for s in self.scenario.sessions)]
        for name in active:
            told = self._folder / f"{name}.told.json"
            correspondent_file(self.scenario, self.plan, name, start_ns).write(told)
            argv = ["--name", name, "--address", str(self.plan.host(name).address.ip), "--config", str(told)]
            argv += ["--events", str(self.run.events_of(name))]
            self.fork(name, name, correspondent.main, argv)
        for name in active:
            self.await_event(name, "ready")

    def watch_clock(self) -> None:
        """In real time: what `clockwatch` looks at beside the run."""
        self.measure_paths("before", -1.0)
        self.fork(clockwatch.SOURCE, SWITCH_SIDE, clockwatch.watch, [str(self.run.events_of(clockwatch.SOURCE))])
        self.await_event(clockwatch.SOURCE, "ready")

    def measure_paths(self, when: str, at_s: float) -> None:
        """Round trips of all paths that are there at ``at_s`` of the scenario's time, beside the configured ones."""
        log = EventLog(self.run.events_of(clockwatch.SOURCE), clockwatch.SOURCE)
        ways = clockwatch.paths(self.scenario, self.plan, at_s)
        clockwatch.measure(log, when, ways, lambda name: inside(self.network.pid(name)))

    def dump_flows(self) -> None:
        """What the switches hold at the end, for who wants to know: ``log/SWITCH.flows``, and ``log/datapath``."""
        for router in self.plan.mobile_routers:
            argv = ["ovs-ofctl", "--protocols=OpenFlow13", "dump-flows", router.switch]
            with (self.run.log / f"{router.switch}.flows").open("wb") as output:
                subprocess.run(argv, stdout=output, stderr=subprocess.STDOUT, check=False)
        with (self.run.log / "datapath").open("wb") as output:
            subprocess.run(["ovs-appctl", "--timeout=5", "dpif/show"], stdout=output, stderr=output, check=False)


def say(**fields: object) -> None:
    """Progress, for whoever started this process."""
    if "--shell" not in sys.argv:
        sys.stdout.write(json.dumps(fields) + "\n")
        sys.stdout.flush()


def carry_out(run: RunDirectory, shell: bool = False) -> None:
    """One scenario from ``run.json``, start to end; LabError or RuntimeError when it could not be done.

    With ``shell`` it is played while the user is at the Mininet prompt, and ends when he leaves.
    """
    manifest = run.manifest()
    scenario = parse(manifest["scenario"], str(run.run_json))
    plan = network_plan(scenario)
    with ExitStack() as stack:
        say(phase="Open vSwitch")
        stack.enter_context(OpenVSwitch(Path(tempfile.mkdtemp(prefix="dmmlab-ovs-"))))
        say(phase="network")
        network = stack.enter_context(Network(plan, scenario.seed, manifest.get("datapath", "system")))
        lab = Lab(scenario, plan, run, network)
        stack.callback(lab.stop)
        say(phase="controller, DHCP, captures")
        lab.start_controller()
        lab.start_dhcp()
        lab.start_captures()
        if scenario.needs(DDNS):
            lab.start_ddns()
        if scenario.needs(SERVER):
            lab.start_registration_server()
        lab.await_event("controller", "ready")
        say(phase="agents")
        watched = manifest["clock"] == "real"
        if watched:
            lab.watch_clock()
        lab.start_mobile_nodes()
        lossy = scenario.needs(SERVER) and any(link.loss for link in scenario.links)
        start_ns = -(-(time.time_ns() + round((_LOSSY_LEAD_S if lossy else _LEAD_S) * 1e9)) // 10**9) * 10**9
        lab.start_correspondents(start_ns)
        if time.time_ns() > start_ns:
            raise LabError("the correspondents were not ready at the scenario's start: the machine is too busy")
        lab.log.emit("scenario_started", time_ns=start_ns)
        say(phase="scenario")
        executor = Executor(timeline(scenario), network, lab.log, lab.check_alive)
        if shell:
            threading.Thread(target=executor.play, args=(start_ns, lambda share: None), daemon=True).start()
            CLI(network.mininet)
            executor.leave()
            return
        executor.play(start_ns, lambda share: say(progress=share))
        clock.wait_until(start_ns + round((scenario.duration + _GRACE_S) * 1e9))
        if watched:
            lab.measure_paths("after", scenario.duration)
        lab.dump_flows()
        if _EXACT_CLOCK.is_dir():
            say(exact_clock={file.name: int(file.read_text()) for file in sorted(_EXACT_CLOCK.iterdir())})
        say(phase="stopping")


def main() -> None:
    """``python -m dmmlab.experiments.runner.lab RUNDIR [--shell]``: exit status 0, or 1 with a sentence why."""
    clock.sharpen()
    try:
        carry_out(RunDirectory(Path(sys.argv[1])), shell="--shell" in sys.argv)
    except (LabError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
