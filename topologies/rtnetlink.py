"""One rtnetlink socket: a request, the kernel's answer, and nothing else.

The messages are pyroute2's. Its own sockets are not used here: each of their requests turns an event loop, which costs
ten times what the kernel does for it, and a network of some hundred nodes takes thousands of requests.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Any

from pyroute2.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, nlmsg

_ANSWER_BYTES = 65536
_HEADER = struct.calcsize("=IHHII")  # before the error number of an NLMSG_ERROR


class Rtnetlink:
    """A socket in the namespace in which it is made; it stays there."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._sequence = 0

    def close(self) -> None:
        """Ends it."""
        self._socket.close()

    def ask(self, what: str, kind: int, message: nlmsg, fields: dict[str, Any], flags: int = 0) -> None:
        """Has the kernel carry out ``message``, an empty one, with ``fields``; ``kind`` is its RTM_ number.

        ``flags`` of netlink(7) say whether the thing is made or replaced. OSError, which says ``what``, if the kernel
        refuses.
        """
        self._send(kind, message, fields, NLM_F_ACK | flags)
        (error,) = struct.unpack_from("=i", self._socket.recv(_ANSWER_BYTES), _HEADER)
        if error:
            raise OSError(-error, f"{what}: {os.strerror(-error)}")

    def dump(self, kind: int, message: nlmsg, fields: dict[str, Any]) -> list[nlmsg]:
        """All that the kernel has of what ``message`` is about, each as a message of that class."""
        self._send(kind, message, fields, NLM_F_DUMP)
        found: list[nlmsg] = []
        while True:
            data, at = self._socket.recv(_ANSWER_BYTES), 0
            while at + _HEADER <= len(data):
                length, what = struct.unpack_from("=IH", data, at)
                if what in (NLMSG_DONE, NLMSG_ERROR):
                    return found
                one = type(message)(data[at : at + length])
                one.decode()
                found.append(one)
                at += (length + 3) // 4 * 4

    def _send(self, kind: int, message: nlmsg, fields: dict[str, Any], flags: int) -> None:
        self._sequence += 1
        message.setvalue(fields)
        header = message["header"]
        header["type"] = kind
        header["flags"] = NLM_F_REQUEST | flags
        header["sequence_number"] = self._sequence
        message.encode()
        self._socket.send(message.data)
