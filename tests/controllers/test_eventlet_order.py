"""What eventlet leaves to where objects lie in memory has an order of its own."""

from __future__ import annotations

import gc
import importlib
import os
from typing import Any

import pytest

from dmmlab.controllers.eventlet_order import InOrder, put_in_order

os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")  # or it takes dnspython's modules for all other tests
eventlet: Any = pytest.importorskip("eventlet")


def test_a_set_gives_back_in_the_order_in_which_it_got() -> None:
    items = InOrder(["b", "a"])
    items.add("c")
    items.add("b")
    assert list(items) == ["b", "a", "c"] and "a" in items and len(items) == 3
    items.discard("a")
    items.discard("never there")
    assert items.pop() == "b" and list(items.copy()) == ["c"]


def test_timers_that_are_due_together_run_in_the_order_in_which_they_were_made() -> None:
    put_in_order()
    put_in_order()
    timer = importlib.import_module("eventlet.hubs.timer").Timer
    kept = [timer(0, print) for _ in range(50)]
    holes = kept[::2]  # new objects take their places: addresses no longer rise
    del kept[::2], holes
    gc.collect()
    made = [timer(0, print) for _ in range(50)]
    assert sorted(made) == made
    assert [id(one) for one in made] != sorted(id(one) for one in made)


def test_callbacks_of_one_poll_run_in_the_order_in_which_they_are_ready() -> None:
    put_in_order()
    order: list[int] = []
    hub = importlib.import_module("eventlet.hubs.epolls").Hub()
    pipes = [os.pipe() for _ in range(20)]
    for read, _ in pipes:
        hub.add(hub.READ, read, order.append, lambda *_: None, lambda: None)
    for _, write in pipes:
        os.write(write, b".")
    hub.wait(0)
    for pair in pipes:
        for end in pair:
            os.close(end)
    assert order == [read for read, _ in pipes]
