"""Open vSwitch's daemons, asked over their Unix sockets: JSON-RPC 1.0, as RFC 7047 section 4 has it.

One request of this takes two system calls; a call of ovs-vsctl or ovs-appctl takes a process and a thousand.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

_READ_BYTES = 65536


class Connection:
    """A connection to whoever listens on the Unix socket ``path``; OSError where nobody does.

    He has ``timeout_s`` for each answer, then it is a TimeoutError.
    """

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._received = b""
        self._requests = 0
        self._decoder = json.JSONDecoder()

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()

    def ask(self, method: str, *params: Any) -> dict[str, Any]:
        """The answer: its ``result``, which is None if ``error`` is not."""
        self._requests += 1
        self._send({"method": method, "params": params, "id": self._requests})
        while (answer := self._receive()).get("id") != self._requests or "result" not in answer:
            if answer.get("method") == "echo":  # the server wants to know whether we are still there
                self._send({"result": answer["params"], "error": None, "id": answer["id"]})
        return answer

    def _send(self, message: dict[str, Any]) -> None:
        self._socket.sendall(json.dumps(message).encode())

    def _receive(self) -> dict[str, Any]:
        """The next message; the protocol has nothing between two."""
        while True:
            try:
                text = self._received.decode()
                message, end = self._decoder.raw_decode(text)
            except ValueError:  # not all of it yet
                part = self._socket.recv(_READ_BYTES)
                if not part:
                    raise RuntimeError(f"Open vSwitch has closed the connection to {self._path.name}") from None
                self._received += part
            else:
                self._received = text[end:].lstrip().encode()
                return dict(message)
