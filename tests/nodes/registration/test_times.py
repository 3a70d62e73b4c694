"""When the cores do what: expiry and repetition to the nanosecond, and an end to every request under loss."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from event_lines import logged
from registration_world import EPOCH_NS, KEYS, Node, World, register, request

from dmmlab.machine.events import EventLog
from dmmlab.nodes.registration.bindings import (
    Noted,
)
from dmmlab.nodes.registration.client_core import ClientCore, Completed, Outcome, Status
from dmmlab.nodes.registration.instants import ROUNDING_NS, fired_ns, seconds_until
from dmmlab.nodes.registration.server_core import ServerCore
from dmmlab.nodes.registration.store import Store
from dmmlab.nodes.registration.wire import (
    Message,
    MessageType,
    Mode,
)


def test_an_event_has_exactly_the_time_at_which_it_happened(tmp_path: Path) -> None:
    assert int(EPOCH_NS / 1e9 * 1e9) != EPOCH_NS
    server, node = ServerCore(KEYS, EPOCH_NS - 1), ClientCore("mn1", KEYS["mn1"], 1)
    node.start(register(), 0)
    server.receive(node.datagrams_to_send()[0], ("udp", "10.1.0.2", 5000), EPOCH_NS)
    log = EventLog(tmp_path / "events", "server")
    while (event := server.next_event()) is not None:
        assert isinstance(event, Noted)
        log.write([(event.name, event.time_ns, event.fields)])
    log.write([("stopped", EPOCH_NS + 1, {})])
    log.close()
    lines = logged(tmp_path / "events")
    assert [(line["event"], line["time_ns"]) for line in lines] == [("registered", EPOCH_NS), ("stopped", EPOCH_NS + 1)]


def test_a_binding_expires_at_its_nanosecond_even_after_a_restart(tmp_path: Path) -> None:
    world = World()
    node = world.node("mn1", "10.1.0.2")
    node.core.start(register(lifetime_s=2.0), world.now_ns)
    world.server.receive(node.core.datagrams_to_send()[0], node.peer, world.now_ns)
    expires_ns = EPOCH_NS + 2_000_000_000
    store = Store(tmp_path / "db")
    store.save(world.server.take_changes())
    store.close()
    store = Store(tmp_path / "db")
    restarted = ServerCore(KEYS, world.now_ns, records=store.load())
    store.close()
    for server in (world.server, restarted):
        assert server.due_ns() == expires_ns
        server.handle_timer(expires_ns - 1)
        assert server.due_ns() == expires_ns
        server.handle_timer(expires_ns)
        assert server.due_ns() is None and server.events[-1] == Noted(
            "expired", expires_ns, {"node": "mn1", "addresses": ["10.1.0.2"]}
        )


def test_what_is_unanswered_is_repeated_at_the_nanosecond_it_is_due() -> None:
    node = ClientCore("mn1", KEYS["mn1"], 1)
    node.start(register(), 7)
    sent_ns = [7]
    while (due_ns := node.due_ns()) is not None:
        node.datagrams_to_send()
        node.handle_timer(due_ns - 1)
        assert not node.datagrams_to_send() and node.due_ns() == due_ns
        node.handle_timer(due_ns)
        sent_ns.append(due_ns)
    waits_ns = [later - earlier for earlier, later in itertools.pairwise(sent_ns)]
    assert waits_ns == [500_000_000, 1_000_000_000, *[2_000_000_000] * 4, 500_000_000]
    assert node.next_event() == Completed(1, Outcome(Status.TIMEOUT, attempts=7))


def test_a_timer_that_rounding_fired_early_is_due() -> None:
    assert fired_ns(EPOCH_NS, EPOCH_NS - 1) == fired_ns(EPOCH_NS, EPOCH_NS) == EPOCH_NS
    assert fired_ns(EPOCH_NS, EPOCH_NS + 5) == EPOCH_NS + 5
    assert fired_ns(EPOCH_NS, EPOCH_NS - ROUNDING_NS) == EPOCH_NS - ROUNDING_NS  # that was no rounding
    assert seconds_until(EPOCH_NS + 1, EPOCH_NS) == 1e-9 and seconds_until(EPOCH_NS, EPOCH_NS + 1) == 0.0


def lossy_steps(world: World, mn: Node, cn: Node) -> list[tuple[Node, Callable[[], Message]]]:
    steps: list[tuple[Node, Callable[[], Message]]] = []
    for number in range(8):
        host = f"10.{number}.0.2"
        steps.append((mn, lambda host=host: register(host)))  # type: ignore[misc]
        steps += [(cn, lambda mode=mode: request(mode)) for mode in Mode]  # type: ignore[misc]
    return steps


@pytest.mark.parametrize("seed", range(25))
def test_under_loss_every_request_ends_and_nothing_is_done_twice(seed: int) -> None:
    world = World(loss=0.3, seed=seed)
    mn, cn = world.node("mn1", "10.1.0.2"), world.node("cn3", "10.3.0.2")
    while not world.ask(cn, register("10.3.0.2")).ok:
        pass
    counts: dict[str, int] = {}
    for node, make in lossy_steps(world, mn, cn):
        message = make()
        outcome = world.ask(node, message, 11.0)
        counts[outcome.status] = counts.get(outcome.status, 0) + 1
        if message.type is MessageType.REGISTER and outcome.ok:
            binding = world.server.records["mn1"].binding
            assert binding is not None and binding.addresses == message.addresses
    assert sum(counts.values()) == 32
    assert counts["ok"] >= 20
    assert len(mn.incoming) == len({one.number for one in mn.incoming})
    registrations = [entry for entry in world.log if entry.name == "registered" and entry.fields["node"] == "mn1"]
    assert len(registrations) <= 8
    world.run(60.0)
    assert not world.server.requests._pending and not world.server.requests._running
