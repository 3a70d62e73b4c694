"""Round trips from this host to an address, by ICMP echo (RFC 792): a JSON list of ns on standard output.

``echoes.py ADDRESS COUNT``. It needs the standard library only, so that it runs on any network's hosts alike. An echo
is sent at the earliest 20 ms after the one before; the first five, which may wait for ARP and for a switch that learns,
are not counted. The end of a round trip is the kernel's own stamp of the reply.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time

WARM_UP, PACE_S, PATIENCE_S = 5, 0.02, 2.0
SO_TIMESTAMPNS = 35  # asm-generic/socket.h; time(7)'s CLOCK_REALTIME, as time.time_ns()


def echo(number: int) -> bytes:
    """An echo request."""
    payload = bytes(48)
    total = sum(struct.unpack("!28H", struct.pack("!BBHHH", 8, 0, 0, 0xBE, number) + payload))
    total = (total >> 16) + (total & 0xFFFF)
    total += total >> 16
    return struct.pack("!BBHHH", 8, 0, ~total & 0xFFFF, 0xBE, number) + payload


def round_trip(raw: socket.socket, number: int) -> int:
    """In ns; TimeoutError if no reply comes."""
    request = echo(number)
    sent_ns = time.time_ns()
    raw.send(request)
    while True:
        reply, control, _, _ = raw.recvmsg(256, 64)
        header = 4 * (reply[0] & 15)
        if reply[header] == 0 and reply[header + 4 : header + 8] == request[4:8]:
            seconds, ns = struct.unpack("qq", control[0][2])
            return int(seconds * 10**9 + ns - sent_ns)


def main() -> None:
    address, count = sys.argv[1], int(sys.argv[2])
    trips_ns = []
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.connect((address, 0))
        raw.settimeout(PATIENCE_S)
        raw.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        for number in range(WARM_UP + count):
            began = time.monotonic()
            trips_ns.append(round_trip(raw, number))
            time.sleep(max(0.0, PACE_S - (time.monotonic() - began)))
    sys.stdout.write(json.dumps(trips_ns[WARM_UP:]))


if __name__ == "__main__":
    main()
