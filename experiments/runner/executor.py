"""Plays a scenario's timeline against a live network, each event at its time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, assert_never

from dmmlab.experiments.scenario.timeline import (
    Announce,
    AnyEvent,
    Attach,
    Detach,
    Event,
    FaultBegins,
    FaultEnds,
    ScenarioEnd,
    SessionEnd,
    SessionStart,
)
from dmmlab.machine.events import EventLog
from dmmlab.nodes import clock

if TYPE_CHECKING:
    from dmmlab.topologies.build import Network


_CACHED_S = 0.01  # so long after a port has come no switch acts by what it had cached before


@dataclass(frozen=True)
class _Look(Event):
    """Once a second: is everybody still there, and how far is the scenario."""


_Mine = Announce | Attach | Detach | FaultBegins | FaultEnds | _Look


class Executor:
    """Moves the mobile nodes; sessions are the correspondents' own affair, who have their orders.

    ``check`` raises if something that the run needs has died. ``warn`` is how a node's radio tells the node that it is
    about to lose its link. ``inject`` breaks things, and ends that.
    """

    def __init__(
        self,
        timeline: tuple[AnyEvent, ...],
        network: Network,
        log: EventLog,
        check: Callable[[], None],
        warn: Callable[[Announce], None] = lambda _announce: None,
        inject: Callable[[FaultBegins | FaultEnds], None] = lambda _event: None,
    ) -> None:
        self._warn, self._inject = warn, inject
        self._end_s = next(event.at_s for event in timeline if isinstance(event, ScenarioEnd))
        looks = [_Look(float(second)) for second in range(1, -int(-self._end_s // 1))]
        mine = [event for event in timeline if not isinstance(event, SessionStart | SessionEnd | ScenarioEnd)]
        self._events: list[_Mine] = sorted([*mine, *looks], key=lambda event: event.at_s)
        self._network, self._log, self._check = network, log, check
        self._left = threading.Event()
        self._radios: dict[str, int] = {}  # by node: which it used last

    def play(self, start_ns: int, progress: Callable[[float], None]) -> None:
        """Until the scenario's end, which started at ``start_ns``; ``progress`` hears what share of it is over."""
        for event in self._events:
            clock.wait_until(start_ns + round(event.at_s * 1e9))
            if self._left.is_set():
                return
            if getattr(event, "node", "") not in self._in_other_hands:
                self._carry_out(event)
            progress(event.at_s / self._end_s)
            self._check()
        clock.wait_until(start_ns + round(self._end_s * 1e9))
        self._log.emit("scenario_ended")

    def leave(self) -> None:
        """Ends `play` before its time."""
        self._left.set()

    @cached_property
    def _in_other_hands(self) -> set[str]:
        """Mobile nodes that are moved from outside."""
        return set()

    def move(self, node: str, to: str, at_s: float, gap_s: float, start_ns: int) -> None:
        """Moves ``node`` at ``at_s``, without a radio link for ``gap_s`` (break-before-make), in a scenario that
        started at ``start_ns``; its own movements of the node are given up.
        """
        self._in_other_hands.add(node)
        radio = self._radios.get(node, 0)
        for event in (Detach(at_s, node, to, radio), Attach(at_s + gap_s, node, to, gap_s, radio)):
            clock.wait_until(start_ns + round(event.at_s * 1e9))
            self._carry_out(event)

    def _carry_out(self, event: _Mine) -> None:
        match event:
            case Announce():
                self._warn(event)
            case Detach(_, name, to, radio, from_):
                node = self._network.plan.mobile_node(name)
                self._network.detach(node.radios[radio])
                if from_ is None:
                    self._log.emit("detached", mn=name, to=to)
                    self._network.rewire(node, node.radios[radio], self._network.plan.mobile_router(to))
                else:
                    self._log.emit("left", mn=name, router=from_)
                    self._network.rewire(node, node.radios[radio], None)
            case Attach(_, name, to, gap_s, radio):
                node = self._network.plan.mobile_node(name)
                router = self._network.plan.mobile_router(to)
                if gap_s is None:  # otherwise that was done while it had no link
                    self._network.rewire(node, node.radios[radio], router)
                if (gap_s or 0.0) < _CACHED_S:
                    self._network.forget_flows(router.switch)
                self._network.attach(node.radios[radio])
                self._radios[name] = radio
                self._log.emit("attached", mn=name, to=to)
            case FaultBegins(_, number, fault) | FaultEnds(_, number, fault):
                self._inject(event)
                what = "fault_began" if isinstance(event, FaultBegins) else "fault_ended"
                self._log.emit(what, fault=number, kind=fault.kind, on=fault.parties)
            case _Look():
                pass
            case _:
                assert_never(event)
