"""The sockets of a session over UDP, on this machine's own loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from dmmlab.nodes.datagrams import Contest, datagrams_to, hear_only
from dmmlab.nodes.probe import probes_of, sequence_of


@contextlib.contextmanager
def echo(address: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A session's socket, and the one of the service that it is opened to."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as service:
        service.bind((address, 0))
        service.settimeout(5)
        with datagrams_to(address, service.getsockname()[1], 0) as there:
            yield there, service


def answer(there: socket.socket, service: socket.socket, sequences: range) -> None:
    """Sends the probes, and answers them."""
    probe = probes_of(3)
    for sequence in sequences:
        there.send(probe(sequence, 0))
        data, sender = service.recvfrom(100)
        service.sendto(data, sender)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_only_the_answer_to_one_probe_is_heard(address: str) -> None:
    with echo(address) as (there, service):
        hear_only(there, 300)
        answer(there, service, range(302))
        assert sequence_of(there.recv(100)) == 300
        with pytest.raises(BlockingIOError):
            there.recv(100)


def test_a_session_hears_of_the_first_answer_and_of_the_last() -> None:
    async def run() -> list[int]:
        contest, heard = Contest(asyncio.get_running_loop(), last=9), []
        with echo("127.0.0.1") as (there, service):
            for sequence in range(10):
                answer(there, service, range(sequence, sequence + 1))
                with contextlib.suppress(BlockingIOError):
                    heard.append(sequence_of(there.recv(100, socket.MSG_PEEK)))
                contest.take_answer(there, "127.0.0.1")
        assert contest.decided.is_set()
        assert contest.finished.is_set()
        return heard

    assert asyncio.run(run()) == [0, 9]


def test_of_few_answers_all_are_heard() -> None:
    async def run() -> None:
        contest = Contest(asyncio.get_running_loop(), last=2)
        with echo("127.0.0.1") as (there, service):
            answer(there, service, range(1))
            contest.take_answer(there, "127.0.0.1")
            answer(there, service, range(1, 2))
            assert sequence_of(there.recv(100)) == 1

    asyncio.run(run())
