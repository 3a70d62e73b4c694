"""Load on a server: what is asked of it when, and what came of it."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.load.drive import Dialect, Load, closed_loop, open_loop, percentile_ms, schedule

OWN = os.getpid()
REFUSED = b"!"


@contextmanager
def answering(count: int) -> Iterator[int]:
    """Whose port answers so many: every third with a refusal, and the last not at all."""

    def serve() -> None:
        turn = 0
        while True:
            data, peer = server.recvfrom(100)
            if not data:
                return
            turn += 1
            if turn < count:
                server.sendto(data[:8] + (REFUSED if turn % 3 == 0 else b""), peer)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.sendto(b"", server.getsockname())  # the end: it no longer waits when its socket is closed
            thread.join()


DIALECT = Dialect(
    lambda answer: int.from_bytes(answer[:8], "big"), lambda answer: len(answer) == 8, lambda answer: len(answer) > 8
)


def test_a_schedule_has_one_rate_after_the_other() -> None:
    due_s = schedule((10.0, 0.5), (100.0, 0.05))
    assert due_s == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.51, 0.52, 0.53, 0.54])


def test_what_became_of_each_message() -> None:
    with answering(30) as port:
        messages = [(number, number.to_bytes(8, "big")) for number in range(30)]
        due_s = schedule((300.0, 0.1))
        load = open_loop(port, OWN, messages, due_s, DIALECT)
    assert (load.sent, load.refused, len(load.served), load.unanswered) == (30, 9, 20, 1)
    assert all(sent >= due for (sent, _), due in zip(load.served, due_s, strict=False))
    assert len(load.late_s) == 30 and min(load.late_s) >= 0.0


def test_a_refusal_ends_a_closed_loop() -> None:
    with answering(5) as port:
        messages = [(number, number.to_bytes(8, "big")) for number in range(4)]
        with pytest.raises(RuntimeError, match="refused"):
            closed_loop(port, OWN, messages, DIALECT, 2)


def test_percentiles_of_what_was_sent_in_a_time() -> None:
    load = Load(served=[(number / 100, number / 1e3) for number in range(100)], sent=100, seconds=1.0)
    assert load.percentile_ms(0.5) == 50.0 and load.percentile_ms(0.99) == 99.0
    assert load.percentile_ms(0.5, 0.5, 0.6) == pytest.approx(55.0)
    assert load.rate == 100.0
    assert percentile_ms([], 0.5) != percentile_ms([], 0.5)  # NaN
