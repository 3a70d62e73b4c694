"""As much of an OpenFlow 1.3 switch as a controller sees, by structs alone: it forwards nothing.

It says hello, tells its ports, has no rules, answers each barrier and echo at once, and can be made to report a port or
to copy a frame. What the controller sent is kept (transaction numbers, which are drawn, as zeros).
"""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections.abc import Mapping

VERSION, HEADER = 4, 8
HELLO, ERROR, ECHO, ECHO_REPLY, FEATURES, FEATURES_REPLY = 0, 1, 2, 3, 5, 6
PACKET_IN, PORT_STATUS, FLOW_MOD, MULTIPART, MULTIPART_REPLY, BARRIER, BARRIER_REPLY = 10, 12, 14, 18, 19, 20, 21
PORT_DESC = 13
ADDED, DELETED = 0, 1
NO_BUFFER = 0xFFFFFFFF


class FakeSwitch:
    """Connected from its making on; ``ports`` is port number by name."""

    def __init__(self, address: tuple[str, int], dpid: int, ports: Mapping[str, int]) -> None:
        self._dpid, self._ports = dpid, dict(ports)
        self._socket = socket.create_connection(address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._came = threading.Condition()
        self._received = hashlib.sha256()
        self.barriers = self.flow_mods = self.echoes = 0
        self._send(HELLO)
        threading.Thread(target=self._answer, daemon=True).start()

    def close(self) -> None:
        """Ends the connection."""
        self._socket.shutdown(socket.SHUT_RDWR)

    @property
    def digest(self) -> str:
        """Of all flow-mods and barriers that came, in their order."""
        with self._came:
            return self._received.hexdigest()

    def port(self, name: str, number: int, reason: int) -> None:
        """A port came or went."""
        self._send(PORT_STATUS, struct.pack("!B7x", reason) + _port(name, number))

    def copy(self, frame: bytes, in_port: int) -> None:
        """A packet-in."""
        oxm = struct.pack("!HBBI", 0x8000, 0, 4, in_port)
        match = struct.pack("!HH", 1, 4 + len(oxm)) + oxm + bytes(4)
        head = struct.pack("!IHBBQ", NO_BUFFER, len(frame), 0, 0, 0)
        self._send(PACKET_IN, head + match + bytes(2) + frame)

    def await_barriers(self, count: int, patience_s: float = 5.0) -> None:
        """Returns when ``count`` barriers have been asked for since the beginning; RuntimeError if they never come."""
        with self._came:
            if not self._came.wait_for(lambda: self.barriers >= count, patience_s):
                raise RuntimeError(f"switch {self._dpid}: {self.barriers} barriers of {count}")

    def await_answer(self, patience_s: float = 5.0) -> None:
        """Returns when the controller has read all that was sent before."""
        with self._came:
            wanted = self.echoes + 1
            self._send(ECHO)
            if not self._came.wait_for(lambda: self.echoes >= wanted, patience_s):
                raise RuntimeError(f"switch {self._dpid}: the controller does not answer")

    def _send(self, kind: int, body: bytes = b"", xid: int = 0) -> None:
        self._socket.sendall(struct.pack("!BBHI", VERSION, kind, HEADER + len(body), xid) + body)

    def _answer(self) -> None:
        with self._socket.makefile("rb") as stream:
            while len(head := stream.read(HEADER)) == HEADER:
                _, kind, length, xid = struct.unpack("!BBHI", head)
                self._take(kind, stream.read(length - HEADER), xid)

    def _take(self, kind: int, body: bytes, xid: int) -> None:
        if kind == FEATURES:
            self._send(FEATURES_REPLY, struct.pack("!QIBBxxII", self._dpid, 0, 254, 0, 0x4F, 0), xid)
        elif kind == MULTIPART:
            (what,) = struct.unpack_from("!H", body)
            ports = b"".join(_port(*each) for each in self._ports.items()) if what == PORT_DESC else b""
            self._send(MULTIPART_REPLY, struct.pack("!HH4x", what, 0) + ports, xid)
        elif kind == ECHO:
            self._send(ECHO_REPLY, body, xid)
        elif kind == BARRIER:
            self._send(BARRIER_REPLY, b"", xid)
        with self._came:
            self.barriers += kind == BARRIER
            self.flow_mods += kind == FLOW_MOD
            self.echoes += kind == ECHO_REPLY
            if kind in (FLOW_MOD, BARRIER):
                self._received.update(bytes([kind]) + body)
            self._came.notify_all()


def _port(name: str, number: int) -> bytes:
    """ofp_port (OpenFlow 1.3.5, 7.2.1)."""
    mac = bytes((2, 0xFE)) + number.to_bytes(4, "big")
    return struct.pack("!I4x6s2x16s8I", number, mac, name.encode(), 0, 0, 0, 0, 0, 0, 0, 0)
