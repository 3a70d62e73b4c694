"""A picture stream as a film has it, and its player: so many pictures a second over TCP, a buffer, stalls counted.

``serve`` sends each who connects a picture every ``1 / rate`` seconds until he leaves. ``play`` begins to show pictures
``buffer`` seconds after the first has come, one every ``1 / rate`` seconds; one that is not there in time is waited
for: a stall, after which all that follow are shown so much later. It says what it saw as one JSON object.

It is a program like any that a scenario brings along (docs/own-program.md): it knows nothing of dmmlab.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence


def stalls_s(arrivals_s: Sequence[float], interval_s: float, buffer_s: float) -> list[float]:
    """How long each stall was, for pictures that came at these times."""
    stalls = []
    due_s = arrivals_s[0] + buffer_s if arrivals_s else 0.0
    for came_s in arrivals_s:
        if came_s > due_s:
            stalls.append(came_s - due_s)
            due_s = came_s
        due_s += interval_s
    return stalls


def serve(port: int, rate: float, size: int) -> None:
    """Sends pictures to everybody who connects, for ever."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    listener = socket.create_server(("", port), family=family, dualstack_ipv6=both)
    while True:
        viewer, _ = listener.accept()
        threading.Thread(target=_send, args=(viewer, rate, size), daemon=True).start()


def _send(viewer: socket.socket, rate: float, size: int) -> None:
    began, number = time.monotonic(), 0
    with viewer:
        viewer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            try:
                viewer.sendall(bytes(size))
            except OSError:
                return
            number += 1


def _arrivals(host: str, port: int, size: int, seconds: float) -> Iterator[float]:
    """When each picture was there, for so many ``seconds``."""
    ends = time.monotonic() + seconds
    with socket.create_connection((host, port), timeout=seconds) as server:
        missing = size
        while (left := ends - time.monotonic()) > 0:
            server.settimeout(left)
            try:
                data = server.recv(missing)
            except TimeoutError:
                return
            if not data:
                return
            missing -= len(data)
            if not missing:
                yield time.monotonic()
                missing = size


def play(host: str, port: int, rate: float, size: int, buffer_s: float, seconds: float) -> dict[str, float]:
    """Watches for so many ``seconds``; what was seen."""
    arrivals = list(_arrivals(host, port, size, seconds))
    stalls = stalls_s(arrivals, 1 / rate, buffer_s)
    return {
        "pictures": len(arrivals),
        "stalls": len(stalls),
        "stalled_s": round(sum(stalls), 6),
        "longest_stall_s": round(max(stalls, default=0.0), 6),
    }


def main() -> None:
    """``playout serve --port 5004`` or ``playout play --host 10.1.1.100 --port 5004 --seconds 10``."""
    parser = argparse.ArgumentParser(prog="dmmlab.nodes.programs.playout", description=__doc__)
    parser.add_argument("side", choices=("serve", "play"))
    parser.add_argument("--host", default="", help="whom to watch")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, default=25.0, help="pictures a second [25]")
    parser.add_argument("--size", type=int, default=5000, help="bytes of a picture [5000: 1 Mbit/s]")
    parser.add_argument("--buffer", type=float, default=0.2, help="seconds of pictures before the first is shown [0.2]")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long it is watched [10]")
    given = parser.parse_args()
    if given.side == "serve":
        serve(given.port, given.rate, given.size)
    else:
        seen = play(given.host, given.port, given.rate, given.size, given.buffer, given.seconds)
        sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
