"""Whether a DNS server answers yet."""

from __future__ import annotations

import time

import dns.exception
import dns.flags
import dns.message
import dns.query

from dmmlab.nodes.daemons.daemon import Alive

_READY_S = 10.0


def answers(query: dns.message.Message, address: str, port: int, flag: int, alive: Alive) -> bool:
    """Ask until an answer has the flag: named listens before it has loaded its zone, and says SERVFAIL till then."""
    where = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        alive()
        try:
            answer = dns.query.udp(query, where, timeout=0.1, port=port)
        except dns.exception.Timeout:
            continue
        except OSError:  # nobody listens yet, and the error comes at once
            answer = None
        if answer is not None and answer.flags & flag:
            return True
        time.sleep(0.05)
    return False
