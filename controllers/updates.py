"""Carries decisions to the switches: what is sent when, what a barrier confirms, and when stale rules may go.

What an event changes is collected under one token, that of the update which :meth:`Updates.flush` then sends.

New rules and those that put traffic back on its ordinary way at the anchor are sent at once, to all switches in
parallel. Other stale rules go only when every change is confirmed and the packets that were on the old path have had
time to leave it: until then they do no harm. Those of a node that still has another link go only after that: it may
go on sending by it, and what it sends arrives.
"""

from collections.abc import Callable, Mapping

from dmmlab.controllers.flows import diverts
from dmmlab.controllers.messages import Command, Record, UpdateRules
from dmmlab.controllers.rulebook import Rulebook
from dmmlab.controllers.rules import Kind, Output, Rule
from dmmlab.controllers.state import Change, Counters, Switch, Update

NS = 1_000_000_000
DRAINED = "drained"  # the cause of an update that removes what lay on old paths
REDIRECT_KINDS = (Kind.REDIRECT, Kind.REDIRECT_PAIR)


def seconds(duration_ns: int) -> float:
    """Nanoseconds as seconds, for the timeline."""
    return duration_ns / NS


class Updates:
    """Rules on their way, and the changes that wait for them.

    ``out`` is the list that commands are appended to; ``held`` says of a stale redirect rule that it may still turn
    out to be wanted, as after a restart before all is known, and ``lingers`` that it is of a node that may still use
    its old link. ``token`` is that of the update that is being collected.
    """

    def __init__(
        self,
        switches: Mapping[int, Switch],
        out: list[Command],
        held: Callable[[Rule], bool],
        lingers: Callable[[Rule], bool],
    ) -> None:
        self.book = Rulebook()
        self.counters = {dpid: Counters() for dpid in switches}
        self.token = 1
        self.open: dict[str, Change] = {}
        self._switches = switches
        self._out = out
        self._held, self._lingers = held, lingers
        self._asked: set[int] = set()
        self._sent: dict[int, Update] = {}
        self._linger_s = 0.0
        self._drain_ns: int | None = None
        self._travels_ns = 0  # until then there may be packets on an old path, whatever has been decided since

    def record(self, event: str, **fields: object) -> None:
        """Write to the timeline."""
        self._out.append(Record(event, fields))

    def ask(self, dpid: int) -> int:
        """Send this switch a barrier with the next update even if it lacks nothing; the token of its answer."""
        self._asked.add(dpid)
        return self.token

    def flush(self, now_ns: int, cause: str) -> None:
        """Send each reachable switch what it lacks, all under one token, and begin to collect under the next."""
        touched = set()
        for dpid in self.book.reachable():
            install, remove = self.book.take(dpid, self._removable(now_ns))
            if install or remove or dpid in self._asked:
                touched.add(dpid)
                self._send(dpid, install, remove, cause)
        if touched:
            self._sent[self.token] = Update(now_ns, set(touched))
        out_of_reach = set(self._switches) - set(self.book.reachable())
        for change in self.open.values():
            if change.token == self.token:
                change.waiting &= touched | out_of_reach
        self._asked.clear()
        self.token += 1
        self.confirm(now_ns)
        if cause == DRAINED:
            self._drain_ns = None  # only now: confirming would start another wait for the rules that must stay
            self._travels_ns = 0

    def _send(self, dpid: int, install: tuple[Rule, ...], remove: tuple[Rule, ...], cause: str) -> None:
        self._out.append(UpdateRules(dpid, install, remove, self.token))
        self.counters[dpid].flow_mods += len(install) + len(remove)
        self.counters[dpid].barriers += 1
        if not install and not remove:
            return
        name = self._switches[dpid].plan.name
        self.record(
            "flow_mod_sent", switch=name, installed=len(install), removed=len(remove), cause=cause, token=self.token
        )

    def _removable(self, now_ns: int) -> Callable[[int, Rule], bool]:
        drained = not self.open and (self._drain_ns is None or now_ns >= self._drain_ns)

        def removable(dpid: int, rule: Rule) -> bool:
            if rule.kind is Kind.GUARD:
                return not self._held(rule)
            if rule.kind not in REDIRECT_KINDS:
                return True
            if self._held(rule):
                return False
            if diverts(rule, self._switches[dpid].router_port()) or self._at_home(dpid, rule):
                return True
            return drained and not self._lingers(rule)

        return removable

    def _at_home(self, dpid: int, rule: Rule) -> bool:
        """Whether it only puts one radio's MAC for another between a mobile node and its anchor's router: nothing is on
        an old path, and half of it would have an answer sent to the MAC that is not put any more.
        """
        switch, router, port = self._switches[dpid], self._switches[dpid].router_port(), rule.get("in_port")
        name = switch.name_of(int(port)) if port is not None else None
        from_node = name is not None and switch.role(name) == "mobile_node"
        return from_node and router is not None and Output(router) in rule.actions

    def begin(self, change: Change, old_delay_s: float, now_ns: int) -> None:
        """Wait for a change's switches; it takes the place of one about the same address that is not confirmed."""
        before = self.open.get(change.address)
        if before is not None:
            self.record("redirect_superseded", **self.about(before), elapsed_s=seconds(now_ns - before.decided_ns))
        self._travels_ns = max(self._travels_ns, self._drain_ns or 0)
        self._linger_s, self._drain_ns = max(self._linger_s, old_delay_s), None
        self.open[change.address] = change
        self.record("redirect_decided", **self.about(change))

    def leave(self, old_delay_s: float, now_ns: int) -> None:
        """A node has its other link no more; what it has sent by it may take so long to be where it goes."""
        if self.book.waiting():
            self._travels_ns = max(self._travels_ns, now_ns + int(old_delay_s * NS))
            if not self.open:
                self._drain_ns = max(self._drain_ns or 0, self._travels_ns)

    def about(self, change: Change) -> dict[str, object]:
        """The fields that name a change on the timeline."""
        names = {dpid: switch.plan.mobile_router for dpid, switch in self._switches.items()}
        path = [names[hop.dpid] for hop in change.route.path.hops] if change.route else []
        serving = None if change.serving is None else names[change.serving]
        return {
            "mn": change.mac,
            "address": change.address,
            "anchor": names[change.anchor],
            "serving": serving,
            "path": path,
            "cause": change.cause,
        }

    def barrier(self, dpid: int, token: int, now_ns: int) -> None:
        """A switch has carried out everything up to this token."""
        update = self._sent.get(token)
        if update is not None:
            elapsed = seconds(now_ns - update.sent_ns)
            name = self._switches[dpid].plan.name
            self.record("barrier_replied", switch=name, token=token, elapsed_s=elapsed)
        for old, each in list(self._sent.items()):
            if old <= token:
                each.waiting.discard(dpid)
                if not each.waiting:
                    del self._sent[old]
        for change in self.open.values():
            if change.token <= token:
                change.waiting.discard(dpid)
        self.confirm(now_ns)

    def confirm(self, now_ns: int) -> None:
        """Report the changes that nothing is waited for any more, and see to what they leave behind."""
        for change in [each for each in self.open.values() if not each.waiting]:
            del self.open[change.address]
            event = "redirect_confirmed" if change.route else "redirect_removed"
            elapsed = seconds(now_ns - change.decided_ns)
            rules = self.book.owned(("redirect", change.address))
            self.record(event, **self.about(change), rules=rules, elapsed_s=elapsed)
        if not self.open and self._drain_ns is None and self.book.waiting():
            self._drain_ns = max(self._travels_ns, now_ns + int(self._linger_s * NS))
            self._linger_s = 0.0

    def deadline_ns(self) -> int | None:
        """When :meth:`drained` will hold."""
        return self._drain_ns if not self.open else None

    def drained(self, now_ns: int) -> bool:
        """Whether it is time to remove what lay on old paths."""
        return self._drain_ns is not None and now_ns >= self._drain_ns and not self.open
