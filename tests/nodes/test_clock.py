"""The event loop on which nodes run: timers to the nanosecond, and all that asyncio needs of a selector."""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import time

import pytest

from dmmlab.nodes import clock


@pytest.fixture
def selector() -> clock.NanosecondSelector:
    return clock.NanosecondSelector()


def test_a_timeout_passes_and_is_no_shorter_than_asked_for(selector: clock.NanosecondSelector) -> None:
    begin_ns = time.monotonic_ns()
    assert selector.select(0.000_123_456) == []
    assert time.monotonic_ns() - begin_ns >= 123_456
    assert selector.select(0) == []
    assert selector.select(-1.0) == []


def test_what_is_ready_is_named_with_what_was_asked_for(selector: clock.NanosecondSelector) -> None:
    read, write = os.pipe()
    try:
        selector.register(read, selectors.EVENT_READ, "reader")
        selector.register(write, selectors.EVENT_WRITE, "writer")
        assert [(key.data, mask) for key, mask in selector.select(None)] == [("writer", selectors.EVENT_WRITE)]
        os.write(write, b".")
        assert {key.data: mask for key, mask in selector.select(None)} == {
            "reader": selectors.EVENT_READ,
            "writer": selectors.EVENT_WRITE,
        }
    finally:
        os.close(read)
        os.close(write)
        selector.close()


def test_what_is_ready_is_seen_by_a_loop_that_is_never_idle(selector: clock.NanosecondSelector) -> None:
    read, write = os.pipe()
    try:
        selector.register(read, selectors.EVENT_READ, "reader")
        os.write(write, b".")
        looks = [bool(selector.select(0)) for _ in range(40)]
        assert 2 <= looks.count(True) < 10
        assert selector.select(None), "and at once by one that waits"
    finally:
        os.close(read)
        os.close(write)
        selector.close()


def test_streams_processes_and_signals_work_on_it() -> None:
    seen: list[object] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        seen.append(await reader.read())
        writer.close()
        server.close()
        seen.append(await (await asyncio.create_subprocess_exec("true")).wait())
        signalled = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, signalled.set)
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.wait_for(signalled.wait(), 10)
        before_ns = clock.now_ns()
        await clock.sleep_until(before_ns + 1_000_001)
        seen.append(clock.now_ns() >= before_ns + 1_000_001)

    clock.run(main())
    assert seen == [b"hello\n", 0, True]


def test_a_flag_is_waited_for_until_it_is_set_or_time_is_up() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        flag, began_s = clock.Flag(loop), loop.time()
        assert not await flag.within(0.02)
        assert loop.time() - began_s >= 0.02
        loop.call_later(0.01, flag.set)
        assert await flag.within(10.0)
        assert flag.is_set()
        assert await flag.within(0.0)
        assert loop.time() - began_s < 5.0

    clock.run(run())


def test_a_cancelled_wait_for_a_flag_leaves_no_timer() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        flag = clock.Flag(loop)
        waiting = loop.create_task(flag.within(0.01))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        flag.set()
        await asyncio.sleep(0.02)
        assert await flag.within(0.0)

    clock.run(run())
