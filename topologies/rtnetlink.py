"""One rtnetlink socket: a request, the kernel's answer, and nothing else.

The messages are pyroute2's. Its own sockets are not used here: each of their requests turns an event loop, which costs
ten times what the kernel does for it, and a network of some hundred nodes takes thousands of requests.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Any

from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, nlmsg

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

    def ask(self, what: str, kind: int, message: nlmsg, fields: dict[str, Any], create: bool = False) -> None:
        """Has the kernel carry out ``message``, an empty one, with ``fields``; ``kind`` is its RTM_ number.

        With ``create`` the thing is made and must not be there yet. OSError, which says ``what``, if the kernel
        refuses.
        """
        self._sequence += 1
        message.setvalue(fields)
        header = message["header"]
        header["type"] = kind
        header["flags"] = NLM_F_REQUEST | NLM_F_ACK | (NLM_F_CREATE | NLM_F_EXCL if create else 0)
        header["sequence_number"] = self._sequence
        message.encode()
        self._socket.send(message.data)
        (error,) = struct.unpack_from("=i", self._socket.recv(_ANSWER_BYTES), _HEADER)
        if error:
            raise OSError(-error, f"{what}: {os.strerror(-error)}")
