"""Sessions of a correspondent on a fake clock and network: when what is sent to whom, and what is tried next."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from agents_fake import EPOCH_NS, FakeStream, Log, World, world

from dmmlab.experiments.scenario.selection import Select, selection
from dmmlab.nodes.correspondent import Session, _take_orders
from dmmlab.nodes.methods.base import Found, load
from dmmlab.nodes.orders import CorrespondentFile, Order
from dmmlab.nodes.policies.base import Policy
from dmmlab.nodes.policies.lowest_rtt import LowestRtt
from dmmlab.nodes.probe import Probe

CN, OLD, NEW, THIRD = "10.2.1.2", "10.1.1.100", "10.1.2.100", "10.1.3.100"
ECHO = 5001
LOOKUP_S = 0.05
ORDER = Order(
    number=4,
    session="P1",
    start_ns=EPOCH_NS + 2 * 10**9,
    method="p2p",
    transport="udp",
    target="mn1.mn.dmm.test",
    address=OLD,
    count=3,
    interval_ns=20_000_000,
    size=None,
    seed=1,
    select="latest",
)
CONFIG = CorrespondentFile(
    orders=(),
    methods={},
    policies={},
    retry_s=1.0,
    attempts=3,
    resolver=None,
    cn_cache="off",
    account=None,
    discover=None,
)


class Scripted:
    """A method that finds what it is told to, one answer a lookup; the last one for good."""

    asks = True

    def __init__(self, *found: Found) -> None:
        self._found = list(found)
        self.lookups, self.distrusted, self.ended = 0, 0, list[Found]()

    async def lookup(self, order: Order, local_address: str) -> Found:
        assert local_address == CN
        self.lookups += 1
        await asyncio.sleep(LOOKUP_S)
        return self._found.pop(0) if len(self._found) > 1 else self._found[0]

    def distrust(self, order: Order) -> None:
        self.distrusted += 1

    async def end(self, found: Found) -> None:
        self.ended.append(found)


def made(select: Select) -> Policy:
    """The node's side of what a scenario's ``select`` says."""
    chosen = selection(select)
    policy: Policy = load(chosen.policy.side)(**{name: str(value) for name, value in chosen.parameters.items()})
    return policy


class Scene:
    """A correspondent, and a mobile node that echoes at each of its addresses, 10 ms away unless said otherwise."""

    def __init__(self, of: World, folder: Path) -> None:
        self.of, self.log = of, Log(folder / "events", "correspondent")
        self.method = Scripted(at(OLD))
        self.policy: Policy | None = None
        for address in (OLD, NEW, THIRD):
            of.network.serve(address, ECHO, lambda data, source: data)

    def play(self, order: Order = ORDER, streams: Sequence[FakeStream | Exception] = ()) -> None:
        session = self.session(order)
        if streams:
            left, opened = list(streams), []

            async def connect(address: str, port: int) -> tuple[Any, Any]:
                opened.append((address, port))
                stream = left.pop(0)
                await asyncio.sleep(0.02)
                if isinstance(stream, Exception):
                    raise stream
                return stream.reader, stream

            session._connect = connect  # type: ignore[method-assign]
            self.opened = opened
        self.of.run(session.run())

    def session(self, order: Order) -> Session:
        return Session(order, self.method, self.policy or made(order.select), CONFIG, CN, self.log.log)

    @property
    def probes(self) -> list[tuple[float, str, int]]:
        """(when, whereto, sequence number) of each datagram."""
        return [(at_s, to[0], Probe(data).sequence) for at_s, _, to, data in self.of.network.sent]


def at(*addresses: str) -> Found:
    return Found("ok", addresses, ECHO)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with world() as of:
        yield Scene(of, tmp_path)


def test_probes_at_random_follow_from_the_seed_and_have_the_interval_as_their_mean(scene: Scene) -> None:
    scene.play(replace(ORDER, count=400, at_random=True))
    sent_s = [at_s for at_s, _, _ in scene.probes]
    gaps_s = [after - before for before, after in pairwise(sent_s)]
    assert sent_s[0] == 2.05, "the first one opens the session"
    assert sum(gaps_s) / len(gaps_s) == pytest.approx(0.02, rel=0.15)
    assert sum(gap_s > 0.02 for gap_s in gaps_s) / len(gaps_s) == pytest.approx(0.368, abs=0.08), "exponential"


def test_probes_leave_at_their_times_counted_from_the_opening(scene: Scene) -> None:
    scene.play()
    assert scene.probes == [(2.05, OLD, 0), (2.07, OLD, 1), (2.09, OLD, 2)]
    assert {source for _, source, _, _ in scene.of.network.sent} == {(CN, 20_004)}
    assert scene.log.rows == [
        (2.0, "session_started", {"session": "P1", "method": "p2p", "transport": "udp"}),
        (2.0, "lookup_started", {"session": "P1", "attempt": 0}),
        (
            2.05,
            "lookup_ended",
            {
                **{"session": "P1", "attempt": 0, "outcome": "ok", "addresses": [OLD], "port": ECHO},
                **{"reason": "", "cached": False},
            },
        ),
        (2.07, "address_chosen", {"session": "P1", "address": OLD}),
        (2.11, "session_ended", {"session": "P1"}),
    ]
    assert len(scene.method.ended) == 1


def test_when_nobody_answers_it_looks_up_again_and_tries_the_next_address(scene: Scene) -> None:
    scene.of.network.silent.add(OLD)
    scene.method = Scripted(at(OLD, NEW))
    scene.play()
    assert scene.log.times("lookup_started") == [2.0, 3.05]
    assert [(at_s, to) for at_s, to, sequence in scene.probes if sequence == 0] == [(2.05, OLD), (3.10, NEW)]
    assert scene.log.of("address_chosen") == [{"session": "P1", "address": NEW}]
    assert (scene.method.lookups, scene.method.distrusted, len(scene.method.ended)) == (2, 1, 2)
    assert scene.log.names[-1] == "session_ended"


def test_a_fresh_lookup_may_give_another_address(scene: Scene) -> None:
    scene.of.network.silent.add(OLD)
    scene.method = Scripted(at(OLD), at(NEW))
    scene.play()
    assert [to for _, to, sequence in scene.probes if sequence == 0] == [OLD, NEW]


@pytest.mark.parametrize("how", ["silent", "refusing", "unroutable"])
def test_after_the_last_attempt_the_session_has_failed(scene: Scene, how: str) -> None:
    getattr(scene.of.network, how).add(OLD)
    scene.play()
    assert scene.log.times("lookup_started") == [2.0, 3.05, 4.1]
    assert scene.log.rows[-1] == (5.15, "session_failed", {"session": "P1"})
    assert "session_ended" not in scene.log.names


def test_a_lookup_that_finds_nobody_opens_nothing(scene: Scene) -> None:
    scene.method = Scripted(Found("timeout"), Found("refused", reason="target_expired"), Found("refused"))
    scene.play()
    assert scene.probes == [] and scene.method.ended == []
    assert [row["outcome"] for row in scene.log.of("lookup_ended")] == ["timeout", "refused", "refused"]
    assert scene.log.of("lookup_ended")[1]["reason"] == "target_expired"
    assert scene.log.names[-1] == "session_failed"


def test_without_a_mechanism_probes_count_from_the_start_and_go_on_unanswered(scene: Scene) -> None:
    """There is nothing that it could look up: what comes late is late."""
    scene.of.network.silent.add(OLD)

    async def back() -> None:
        await asyncio.sleep(3.5)
        scene.of.network.silent.clear()

    scene.method.asks = False
    session = scene.session(replace(ORDER, count=100))

    async def both() -> None:
        await asyncio.gather(session.run(), back())

    scene.of.run(both())
    due_s = [round(2 + 0.02 * n, 2) for n in range(100)]
    assert [at_s for at_s, _, _ in scene.probes] == [max(at_s, 2 + LOOKUP_S) for at_s in due_s]
    assert scene.method.lookups == 1
    assert scene.log.names[-1] == "session_ended"


def test_a_race_goes_on_with_whoever_answers_first_and_with_nobody_else(scene: Scene) -> None:
    scene.of.network.delay_s = {OLD: 0.03, NEW: 0.004, THIRD: 0.02}
    scene.method = Scripted(at(OLD, NEW, THIRD))
    scene.play(replace(ORDER, select="race"))
    assert [to for _, to, sequence in scene.probes if sequence == 0] == [OLD, NEW, THIRD]
    assert [to for _, to, sequence in scene.probes if sequence > 0] == [NEW, NEW]
    assert scene.log.rows[3][1:] == ("address_chosen", {"session": "P1", "address": NEW})
    assert scene.log.rows[3][0] == pytest.approx(2.058)
    assert scene.log.names[-1] == "session_ended"


def test_a_race_is_won_by_one_that_is_left_and_lost_by_none(scene: Scene) -> None:
    scene.of.network.silent = {OLD}
    scene.of.network.refusing = {THIRD}
    scene.method = Scripted(at(OLD, NEW, THIRD))
    scene.play(replace(ORDER, select="race"))
    assert scene.log.of("address_chosen")[0]["address"] == NEW
    assert scene.method.lookups == 1


def test_the_lowest_round_trip_is_measured_before_the_session_opens(scene: Scene) -> None:
    scene.of.network.delay_s = {OLD: 0.03, NEW: 0.004, THIRD: 0.02}
    scene.method = Scripted(at(OLD, NEW, THIRD))
    scene.play(replace(ORDER, select="lowest-rtt"))
    (ended,) = scene.log.of("lookup_ended")
    assert ended["addresses"] == [NEW, THIRD, OLD]
    assert scene.log.times("lookup_ended") == [2.11]  # it has waited for the farthest
    assert [to for at_s, to, _ in scene.probes if at_s >= 2.11] == [NEW] * 3


def test_what_does_not_answer_a_measurement_comes_last_in_the_order_given(scene: Scene) -> None:
    scene.of.network.silent, scene.of.network.unroutable = {OLD}, {NEW}
    assert scene.of.run(LowestRtt().rank("mn1", [OLD, NEW, THIRD], ECHO, 0.5)) == (THIRD, OLD, NEW)
    assert scene.of.clock.s == 0.5


def test_with_head_starts_each_address_has_its_turn_until_one_has_answered(scene: Scene) -> None:
    scene.of.network.delay_s = {OLD: 0.2, NEW: 0.03, THIRD: 0.01}
    scene.method, scene.policy = Scripted(at(OLD, NEW, THIRD)), made({"staggered": {"delay": "40ms"}})
    scene.play()
    assert [(at_s, to) for at_s, to, sequence in scene.probes if sequence == 0] == [
        (2.05, OLD), (2.09, NEW), (2.13, THIRD),
    ]  # fmt: skip
    (chosen,) = scene.log.of("address_chosen")
    assert chosen["address"] == NEW
    assert scene.log.times("address_chosen") == pytest.approx([2.15])


def test_without_need_there_is_no_second_turn(scene: Scene) -> None:
    scene.method = Scripted(at(OLD, NEW))
    scene.play(replace(ORDER, select="staggered"))
    assert {to for _, to, _ in scene.probes} == {OLD}


def test_the_oldest_address_is_the_last_of_an_answer(scene: Scene) -> None:
    scene.method = Scripted(at(NEW, THIRD, OLD))
    scene.play(replace(ORDER, select="anchor"))
    assert {to for _, to, _ in scene.probes} == {OLD}


@pytest.mark.parametrize(
    ("select", "trips_ms", "first"),
    [
        ("cached", {OLD: 90, NEW: 20}, OLD),
        ("lowest-rtt", {OLD: 24, NEW: 20}, NEW),
        ("hysteresis", {OLD: 25, NEW: 20}, OLD),
        ("hysteresis", {OLD: 26, NEW: 20}, NEW),
        ({"hysteresis": {"better_by": "1ms"}}, {OLD: 22, NEW: 20}, NEW),
        ("scored", {OLD: 20.2, NEW: 20}, OLD),
        ("scored", {OLD: 20.4, NEW: 20}, NEW),
        ({"scored": {"better_by": "20%"}}, {OLD: 24, NEW: 20}, OLD),
        ("hysteresis", {NEW: 20, THIRD: 21}, NEW),
    ],
)
def test_what_was_used_before_is_left_for_a_gain_that_is_worth_it(
    scene: Scene, select: Select, trips_ms: dict[str, float], first: str
) -> None:
    policy = made(select)
    scene.of.network.delay_s = {OLD: 0.001}
    assert scene.of.run(policy.rank("mn1", [OLD], ECHO, 1.0)) == (OLD,)
    scene.of.network.delay_s = {address: trip_ms / 2e3 for address, trip_ms in trips_ms.items()}
    newest_first = list(reversed(trips_ms))
    assert scene.of.run(policy.rank("mn1", newest_first, ECHO, 1.0))[0] == first
    assert scene.of.run(policy.rank("mn2", newest_first, ECHO, 1.0))[0] == NEW, "each node has its own"


def test_a_stream_has_ended_when_the_last_answer_is_there(scene: Scene) -> None:
    stream = FakeStream(0.02)
    scene.play(replace(ORDER, transport="tcp"), [stream])
    assert len(stream.taken) == 3 * 24 and stream.closed
    assert scene.log.rows[-1][1:] == ("session_ended", {"session": "P1"})
    assert scene.log.rows[-1][0] == pytest.approx(2.13)


def test_a_stream_that_cannot_be_opened_or_breaks_is_tried_again(scene: Scene) -> None:
    streams: list[FakeStream | Exception] = [TimeoutError(), FakeStream(0.02, breaks_after=1), FakeStream(0.02)]
    scene.method = Scripted(at(OLD, NEW))
    scene.play(replace(ORDER, transport="tcp"), streams)
    assert scene.opened == [(OLD, ECHO), (NEW, ECHO), (OLD, ECHO)]
    failed = scene.log.of("attempt_failed")
    assert [row["attempt"] for row in failed] == [0, 1]
    assert failed[0]["reason"] == "TimeoutError" and "bytes read" in failed[1]["reason"]
    assert scene.log.names[-1] == "session_ended"


@pytest.mark.parametrize("intact", [True, False])
def test_a_bulk_transfer_is_checked_by_its_digest(scene: Scene, intact: bool) -> None:
    def digest(data: bytes) -> bytes:
        return hashlib.sha256(data if intact else data[1:]).digest()

    stream = FakeStream(0.02, at_end=digest)
    scene.play(replace(ORDER, transport="tcp", size=150_000, count=0), [stream])
    assert len(stream.taken) == 150_000
    assert scene.log.of("bulk_checked") == [{"session": "P1", "size": 150_000, "intact": intact}]
    assert scene.log.names[-1] == "session_ended"


def test_orders_come_in_while_others_are_carried_out(tmp_path: Path) -> None:
    """As lines of JSON, at a Unix socket, from whoever connects, one after the other."""
    begun: list[str] = []
    both = asyncio.Event()

    async def opening(order: Order) -> None:
        begun.append(order.session)
        if len(begun) == 3:
            both.set()
        await asyncio.sleep(60.0)

    async def played() -> None:
        taking = asyncio.create_task(_take_orders(str(tmp_path / "counter"), opening))
        while not (tmp_path / "counter").exists():
            await asyncio.sleep(0.01)
        for names in (("S1", "S2"), ("S3",)):
            _, writer = await asyncio.open_unix_connection(tmp_path / "counter")
            with contextlib.closing(writer):
                for name in names:
                    writer.write(json.dumps(asdict(replace(ORDER, session=name))).encode() + b"\n")
                await writer.drain()
        await asyncio.wait_for(both.wait(), 5.0)
        taking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await taking

    asyncio.run(played())
    assert sorted(begun) == ["S1", "S2", "S3"]
