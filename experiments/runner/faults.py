"""Breaks what a scenario's faults break, and ends that: on live processes and links, at the instant it is called."""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from dmmlab.experiments.methods.base import RESOLVER
from dmmlab.experiments.runner.daemons import Daemons
from dmmlab.experiments.runner.lab import Lab
from dmmlab.experiments.scenario.faults import SWITCHES, Fault, Impair
from dmmlab.experiments.scenario.timeline import FaultBegins, FaultEnds
from dmmlab.machine import timekeeping
from dmmlab.machine.events import EventLog
from dmmlab.nodes.daemons.daemon import Daemon
from dmmlab.nodes.daemons.tcpdump import Tcpdump
from dmmlab.topologies.openvswitch import OpenVSwitch
from dmmlab.topologies.plan import Wire
from dmmlab.topologies.small_disk import SmallDisk

if TYPE_CHECKING:
    from dmmlab.topologies.build import Network


class Faults:
    """The faults of one run, whose processes are in ``lab``; ``switches`` is what the first site's run in."""

    def __init__(
        self, lab: Lab, network: Network, switches: OpenVSwitch, daemons: Daemons, log: Callable[[], EventLog]
    ) -> None:
        self._lab, self._network, self._switches, self._daemons = lab, network, switches, daemons
        self._log = log
        self._disk = SmallDisk(daemons.server_disk) if daemons.scenario.fills_disk else None
        self._down: dict[int, list[Daemon]] = {}  # by fault: what it killed

    def carry_out(self, event: FaultBegins | FaultEnds) -> None:
        """Begins a fault, or ends it; takes no virtual time, and waits for nothing to recover."""
        fault, begins = event.fault, isinstance(event, FaultBegins)
        if fault.link is not None:
            how = functools.partial(disturbed, fault) if begins else None
            for source, sink in fault.directions:
                self._network.disturb(source, sink, how)
        elif fault.target == SWITCHES:
            self._break_switches(fault, begins)
        elif fault.dns is not None:
            self._answer_otherwise(event.number, fault.dns, begins)
        elif fault.disk_full is not None and self._disk is not None:
            (self._disk.fill if begins else self._disk.free)()
        elif fault.clock_step is not None:
            self._step_clock(fault.clock_step if begins else -fault.clock_step)
        elif fault.crash is not None and begins:
            self._down[event.number] = self._lab.crash(fault.crash)
        elif fault.crash is not None:
            self._lab.restart(self._down.pop(event.number))
        elif fault.pause is not None and begins:
            self._lab.pause(fault.pause)
        elif fault.pause is not None:
            self._lab.resume(fault.pause)

    def _answer_otherwise(self, number: int, answers: str, begins: bool) -> None:
        """The resolver's process makes room for one that answers so, and comes back with an empty cache."""
        killed = self._lab.crash(RESOLVER)
        if begins:
            self._down[number] = killed
            self._lab.start([self._daemons.dns_stand_in(answers)])
        else:
            self._lab.restart(self._down.pop(number))

    def _step_clock(self, by_s: float) -> None:
        """Before it, counts what each capture has: its stamps are by that clock, and come twice as it goes back."""
        frames = {
            each.capture.stem: self._network.passed(each.host, each.interface)
            for each in self._daemons.captures()
            if isinstance(each, Tcpdump)
        }
        at_ns = timekeeping.now_ns()  # before it, for in real time packets come before the next line is reached
        timekeeping.step(round(by_s * 1e9))
        self._log().write([("clock_stepped", at_ns, {"by_s": by_s, "frames": frames})])

    def _break_switches(self, fault: Fault, begins: bool) -> None:
        for each in (self._switches, *self._network.more_switches):
            if fault.pause is not None:
                each.signal(signal.SIGSTOP if begins else signal.SIGCONT)
            elif begins:
                each.kill()
            else:
                each.restart()


def disturbed(fault: Fault, wire: Wire) -> Wire:
    """What ``wire`` is while ``fault`` lasts."""
    if fault.impair is None:
        return replace(wire, loss=1.0)
    how: Impair = fault.impair
    return replace(
        wire,
        delay_s=wire.delay_s + how.delay,
        loss=1 - (1 - wire.loss) * (1 - how.loss),
        burst=how.burst,
        duplicate=how.duplicate,
        reorder=how.reorder,
        corrupt=how.corrupt,
    )
