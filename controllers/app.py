"""The application that Ryu or os-ken runs: events into the core, commands out to the switches. It decides nothing."""

import collections
import os
import time
import traceback
from collections.abc import Callable
from typing import Any

from dmmlab.controllers import exact, messages, wire
from dmmlab.controllers.core import Core
from dmmlab.controllers.framework import Framework
from dmmlab.controllers.messages import Command, Event, Record, ReportRules, SendFrame, UpdateRules
from dmmlab.controllers.notebook import Notebook, notes_of
from dmmlab.controllers.openflow import Translator
from dmmlab.machine import timekeeping
from dmmlab.machine.events import Entry, EventLog
from dmmlab.machine.processing import Cost, Processor

FAILED = 1
NAME = "RedirectApp"  # by which the framework knows the application


def make_app(
    framework: Framework,
    core: Core,
    timeline: EventLog,
    notebook: Notebook | None = None,
    packet_in: Cost | None = None,
) -> type:
    """The application class, bound to its core; a class, because the framework wants to make the instance.

    ``packet_in`` is how long it takes over a packet-in.
    """
    ofp, handler = framework.ofp_event, framework.handler
    main, dead = handler.MAIN_DISPATCHER, handler.DEAD_DISPATCHER
    shim = Shim(core, timeline, main, notebook, packet_in)

    class DeadlineEvent(framework.event.EventBase):  # type: ignore[misc,name-defined]
        """Comes back through the application's own queue, so that the core has one caller."""

    class TurnEvent(framework.event.EventBase):  # type: ignore[misc,name-defined]
        """So does this: the controller is done with the message whose turn it was."""

    def guarded(method: Callable[[Any], None]) -> Callable[[Any, Any], None]:
        def handle(self: Any, ev: Any) -> None:
            shim.wake_after = lambda delay_s: framework.hub.spawn_after(
                delay_s, lambda: self.send_event(self.name, DeadlineEvent())
            )
            shim.done_after = lambda delay_ns: exact.after(
                framework, delay_ns, lambda: self.send_event(self.name, TurnEvent())
            )
            shim.guard(method, ev)

        handle.__name__ = method.__name__
        return handle

    def on(event: Any, states: Any, method: Callable[[Any], None]) -> Any:
        return handler.set_ev_cls(event, states)(guarded(method))

    body = {
        "OFP_VERSIONS": [framework.ofproto.OFP_VERSION],
        "_EVENTS": [DeadlineEvent, TurnEvent],
        "state_changed": on(ofp.EventOFPStateChange, [main, dead], shim.state_changed),
        "port_status": on(ofp.EventOFPPortStatus, main, shim.port_status),
        "packet_in": on(ofp.EventOFPPacketIn, main, shim.packet_in),
        "rules_reported": on(ofp.EventOFPFlowStatsReply, main, shim.rules_reported),
        "rule_removed": on(ofp.EventOFPFlowRemoved, main, shim.rule_removed),
        "barrier_replied": on(ofp.EventOFPBarrierReply, main, shim.barrier_replied),
        "refused": on(ofp.EventOFPErrorMsg, [handler.CONFIG_DISPATCHER, main], shim.refused),
        "deadline_passed": on(DeadlineEvent, None, shim.deadline_passed),
        "done": on(TurnEvent, None, shim.done),
    }

    def take(datapath: Any, kind: int, xid: int, message: bytes) -> bool:
        """What comes most often is read here, and by no framework."""
        event = shim.read(datapath.id, kind, xid, message)
        if event is None:
            return False
        framework.app_manager.lookup_service_brick(NAME).do_next(lambda: shim.guard(shim.receive, event))
        return True

    framework.datapath.take = take
    return type(NAME, (framework.App,), body)


class Shim:
    """Between one core and its switch connections."""

    def __init__(
        self,
        core: Core,
        timeline: EventLog,
        main: str,
        notebook: Notebook | None = None,
        packet_in: Cost | None = None,
    ) -> None:
        self.wake_after: Callable[[float], Any] = lambda _delay_s: None
        self.done_after: Callable[[int], Any] = lambda _delay_ns: None
        self._processor = None if packet_in is None else Processor(packet_in)
        self._turns: collections.deque[Event] = collections.deque()  # what waits for the processor, in order
        self._core, self._notebook = core, notebook
        self._timeline = timeline
        self._main = main
        self._datapaths: dict[int, Any] = {}
        self._barriers: dict[tuple[int, int], int] = {}
        self._reports: dict[int, list[tuple[Any, float]]] = {}
        self._deadline_ns: int | None = None
        self._entries: list[Entry] = []  # for the timeline, which gets what one event led to in one write

    def guard(self, method: Callable[[Any], None], ev: Any) -> None:
        """Run a handler; whatever goes wrong in it ends the process, for a broken controller must not look alive."""
        try:
            method(ev)
        except Exception as error:
            fail(self._timeline, f"{type(error).__name__}: {error}", traceback.format_exc())

    def read(self, dpid: int, kind: int, xid: int, message: bytes) -> Event | None:
        """What a message of OpenFlow says, if that is one of those of which a move has many."""
        if kind == wire.PACKET_IN and (copied := wire.copied(message)) is not None:
            return messages.FrameCopied(dpid, *copied)
        if kind == wire.BARRIER_REPLY and (token := self._barriers.pop((dpid, xid), None)) is not None:
            return messages.BarrierReplied(dpid, token)
        if kind == wire.PORT_STATUS and (changed := wire.port_changed(message)) is not None:
            reason, name, number = changed
            if reason == wire.PORT_ADDED:
                return messages.PortAdded(dpid, name, number)
            if reason == wire.PORT_DELETED:
                return messages.PortRemoved(dpid, name, number)
        return None

    def state_changed(self, ev: Any) -> None:
        """A connection reached its main state, or died."""
        datapath: Any = ev.datapath
        if datapath.id is None:
            return
        if ev.state == self._main:
            self._datapaths[datapath.id] = datapath
            ports = {_name(port): number for number, port in list(datapath.ports.items())}
            self.receive(messages.SwitchConnected(datapath.id, ports))
        elif self._is_current(datapath):
            del self._datapaths[datapath.id]
            self.receive(messages.SwitchLost(datapath.id))

    def _is_current(self, datapath: Any) -> bool:
        return self._datapaths.get(datapath.id) is datapath

    def port_status(self, ev: Any) -> None:
        """A port joined or left; a change of a port's state is no movement."""
        reasons = ev.msg.datapath.ofproto
        dpid, name, number = ev.msg.datapath.id, _name(ev.msg.desc), ev.msg.desc.port_no
        if ev.msg.reason == reasons.OFPPR_ADD:
            self.receive(messages.PortAdded(dpid, name, number))
        elif ev.msg.reason == reasons.OFPPR_DELETE:
            self.receive(messages.PortRemoved(dpid, name, number))

    def packet_in(self, ev: Any) -> None:
        """A copy of a frame."""
        msg = ev.msg
        self.receive(messages.FrameCopied(msg.datapath.id, msg.match["in_port"], bytes(msg.data)))

    def rules_reported(self, ev: Any) -> None:
        """A part of the rules that were asked for; the core gets them whole."""
        datapath: Any = ev.msg.datapath
        if not self._is_current(datapath):
            return
        translator = Translator(datapath)
        parts = self._reports.setdefault(datapath.id, [])
        for entry in ev.msg.body:
            parts.append((translator.rule(entry), entry.duration_sec + entry.duration_nsec / 1e9))
        if not ev.msg.flags & datapath.ofproto.OFPMPF_REPLY_MORE:
            self.receive(messages.RulesReported(datapath.id, tuple(self._reports.pop(datapath.id))))

    def rule_removed(self, ev: Any) -> None:
        """The switch took a rule out, by its timer or on demand."""
        datapath: Any = ev.msg.datapath
        expired = ev.msg.reason == datapath.ofproto.OFPRR_HARD_TIMEOUT
        self.receive(messages.RuleRemoved(datapath.id, Translator(datapath).rule(ev.msg), expired))

    def barrier_replied(self, ev: Any) -> None:
        """Everything before the barrier is in force."""
        dpid = ev.msg.datapath.id
        token = self._barriers.pop((dpid, ev.msg.xid), None)
        if token is not None:
            self.receive(messages.BarrierReplied(dpid, token))

    def refused(self, ev: Any) -> None:
        """A switch refused what it was told: its rules are not what the core believes."""
        fail(self._timeline, f"switch {ev.msg.datapath.id}: OpenFlow error {ev.msg.type}/{ev.msg.code}")

    def deadline_passed(self, _: Any) -> None:
        """The core's own timer."""
        self._deadline_ns = None
        self.receive(messages.DeadlinePassed())

    def receive(self, event: Event) -> None:
        """A message costs time if it is a packet-in; the others wait for those before them."""
        costs = isinstance(event, messages.FrameCopied)
        if self._processor is None or not (costs or self._turns):
            self._process(event)
            return
        self._turns.append(event)
        now_ns = time.monotonic_ns()
        self.done_after(self._processor.done_ns(now_ns, costs) - now_ns)

    def done(self, _: Any) -> None:
        """The processor is done with the message that has waited longest."""
        self._process(self._turns.popleft())

    def _process(self, event: Event) -> None:
        """What the core makes of it is carried out, and written down."""
        try:
            for command in self._core.receive(event, time.monotonic_ns()):
                self._carry_out(command)
        finally:
            entries, self._entries = self._entries, []
            self._timeline.write(entries)
        if self._notebook is not None:
            self._notebook.write(notes_of(self._core))
        deadline_ns = self._core.deadline_ns()
        if deadline_ns is not None and (self._deadline_ns is None or deadline_ns < self._deadline_ns):
            self._deadline_ns = deadline_ns
            self.wake_after(max(0, deadline_ns - time.monotonic_ns()) / 1e9)

    def _carry_out(self, command: Command) -> None:
        match command:
            case Record(event, fields):
                self._entries.append((event, timekeeping.now_ns(), fields))
            case ReportRules(dpid):
                self._reports.pop(dpid, None)
                datapath: Any = self._datapaths[dpid]
                datapath.send_msg(Translator(datapath).report_rules())
            case SendFrame(dpid, port, frame):
                if dpid in self._datapaths:
                    datapath = self._datapaths[dpid]
                    datapath.send_msg(Translator(datapath).send_frame(port, frame))
            case UpdateRules(dpid, install, remove, token):
                if dpid in self._datapaths:
                    self._update(self._datapaths[dpid], install, remove, token)

    def _update(self, datapath: Any, install: Any, remove: Any, token: int) -> None:
        """All in one write, so that a switch gets a change whole."""
        translator = Translator(datapath)
        mods = [translator.install(rule) for rule in install] + [translator.remove(rule) for rule in remove]
        buffer = b""
        for message in [*mods, wire.barrier()]:
            xid = datapath.set_xid(message)
            message.serialize()
            buffer += bytes(message.buf)
        self._barriers[datapath.id, xid] = token
        datapath.send(buffer)


def fail(timeline: EventLog, message: str, details: str = "") -> None:
    """Say why on the timeline and on stderr, and end the process at once, whichever thread this is."""
    timeline.emit("error", message=message, details=details)
    os.write(2, f"dmmlab.controllers: {message}\n{details}".encode())
    os._exit(FAILED)


def counters(core: Core) -> dict[str, object]:
    """What the controller and each switch said to each other: messages by switch name."""
    names = {dpid: switch.plan.name for dpid, switch in core.switches.items()}
    return {names[dpid]: vars(each) for dpid, each in core.updates.counters.items()}


def _name(port: Any) -> str:
    name = port.name
    return name.decode() if isinstance(name, bytes) else str(name)
