"""What each switch should hold and what it does hold, and the least that turns one into the other."""

import functools
from collections.abc import Callable, Hashable, Iterable, Mapping

from dmmlab.controllers.rules import Key, Rule

_spelled = functools.lru_cache(maxsize=16384)(repr)  # rules are sent in the order of their keys as text


class Rulebook:
    """Desired rules by owner, installed rules by switch.

    Owners (a binding, a mobile node's sightings, a switch's base) never share a rule key, so one owner's rules can be
    replaced without looking at the others': the cost of a move does not grow with the number of mobile nodes.
    ``changed`` is whether anything has been assigned or reported since rules were last taken.
    """

    def __init__(self) -> None:
        self.changed = False
        self._owned: dict[Hashable, dict[int, dict[Key, Rule]]] = {}
        self._desired: dict[int, dict[Key, Rule]] = {}
        self._installed: dict[int, dict[Key, Rule]] = {}
        self._dirty: dict[int, set[Key]] = {}

    def assign(self, owner: Hashable, rules: Mapping[int, Iterable[Rule]]) -> None:
        """Make these the owner's rules, per datapath id, in place of those that it had."""
        for dpid, old in self._owned.pop(owner, {}).items():
            for key in old:
                self._desired[dpid].pop(key, None)
                self._touch(dpid, key)
        new = {dpid: {rule.key: rule for rule in each} for dpid, each in rules.items()}
        for dpid, each in new.items():
            for key, rule in each.items():
                self._desired.setdefault(dpid, {})[key] = rule
                self._touch(dpid, key)
        if any(new.values()):
            self._owned[owner] = new

    def owned(self, owner: Hashable) -> int:
        """How many rules an owner has, on all switches."""
        return sum(len(each) for each in self._owned.get(owner, {}).values())

    def report(self, dpid: int, rules: Iterable[Rule]) -> None:
        """Take the switch's word for what is installed."""
        self._installed[dpid] = {rule.key: rule for rule in rules}
        self._dirty[dpid] = set(self._installed[dpid]) | set(self._desired.get(dpid, {}))
        self.changed = True

    def forget(self, dpid: int) -> None:
        """The switch is out of reach: nothing is known of it until it reports again."""
        self._installed.pop(dpid, None)
        self._dirty.pop(dpid, None)

    def vanished(self, dpid: int, key: Key) -> None:
        """The switch no longer has this rule, or its timer must be set anew."""
        self._installed.get(dpid, {}).pop(key, None)
        self._touch(dpid, key)

    def reachable(self) -> list[int]:
        """Datapath ids of the switches whose rules are known, in order."""
        return sorted(self._installed)

    def take(self, dpid: int, may_remove: Callable[[int, Rule], bool]) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
        """Rules to install and to remove now, taken as done; what may not be removed yet waits for a later call."""
        installed, desired = self._installed[dpid], self._desired.get(dpid, {})
        install: list[Rule] = []
        remove: list[Rule] = []
        waiting: set[Key] = set()
        self.changed = False
        for key in sorted(self._dirty.get(dpid, ()), key=_spelled):
            want, have = desired.get(key), installed.get(key)
            if want is not None and want != have:
                install.append(want)
                installed[key] = want
            elif want is None and have is not None and may_remove(dpid, have):
                remove.append(have)
                del installed[key]
            elif want is None and have is not None:
                waiting.add(key)
        self._dirty[dpid] = waiting
        return tuple(install), tuple(remove)

    def waiting(self) -> bool:
        """Whether a reachable switch has stale rules that could not be removed yet."""
        return any(self._dirty.get(dpid) for dpid in self._installed)

    def installed(self, dpid: int) -> tuple[Rule, ...]:
        """What the switch is believed to hold."""
        return tuple(self._installed.get(dpid, {}).values())

    def _touch(self, dpid: int, key: Key) -> None:
        if dpid in self._installed:
            self._dirty.setdefault(dpid, set()).add(key)
            self.changed = True
