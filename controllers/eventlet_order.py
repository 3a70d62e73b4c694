"""One order for what happens at one instant in eventlet, which leaves it to where objects lie in memory.

Callbacks of one poll and greenlets that wait for one event are kept in sets, and timers that are due at the same time
are told apart by `id()`. Which of two hellos leaves first then follows from the length of a path. Here the first to
come is the first to be served.
"""

import importlib
import itertools
from collections.abc import Hashable, Iterable, Iterator, MutableSet
from typing import Any, TypeVar

Item = TypeVar("Item", bound=Hashable)

# Each makes sets of objects and goes through them, or takes any one out.
_MODULES = ("eventlet.hubs.poll", "eventlet.event", "eventlet.queue")


class InOrder(MutableSet[Item]):
    """A set that gives its items back in the order in which they came."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._items = dict.fromkeys(items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def add(self, value: Item) -> None:
        """Puts ``value`` last, unless it is there."""
        self._items.setdefault(value)

    def discard(self, value: Item) -> None:
        """Takes ``value`` out, if it is there."""
        self._items.pop(value, None)

    def copy(self) -> "InOrder[Item]":
        """Another one with the same values in the same order."""
        return InOrder(self._items)


def put_in_order() -> None:
    """Mends eventlet; before the first hub, timer, event or queue is made. A second call changes nothing."""
    for name in _MODULES:
        module: Any = importlib.import_module(name)
        module.set = InOrder
    timer: Any = importlib.import_module("eventlet.hubs.timer").Timer
    if not hasattr(timer, "serials"):
        _number(timer)


def _number(timer: Any) -> None:
    """Timers get serial numbers, which decide between those that are due at the same time."""
    make = timer.__init__

    def make_numbered(self: Any, *arguments: Any, **named: Any) -> None:
        self.serial = next(timer.serials)
        make(self, *arguments, **named)

    timer.serials = itertools.count()
    timer.__init__ = make_numbered
    timer.__lt__ = lambda self, other: self.serial < other.serial
