"""Open vSwitch's configuration, changed over the protocol of its database (RFC 7047, on its Unix socket).

One request of this takes two system calls; a call of ovs-vsctl takes a process and a thousand. The library of the Open
vSwitch project keeps a copy of the whole database and needs 7,400 system calls to be imported.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

_TIMEOUT_S = 10.0  # for ovs-vswitchd to do what it is told, and for the database to answer
_ROOT = "Open_vSwitch"  # the database, and its table of one row
_READ_BYTES = 65536

Operation = dict[str, Any]


class Database:
    """A connection to ovsdb-server on the Unix socket ``path``; OSError where there is none."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(2 * _TIMEOUT_S)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._received = b""
        self._requests = 0
        self._decoder = json.JSONDecoder()
        self.followed = True  # by ovs-vswitchd; if not, it does what it finds here once it is back

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()

    def transact(self, *operations: Operation) -> list[dict[str, Any]]:
        """The result of each of ``operations``, which are done all or none; RuntimeError, one sentence, if none."""
        self._requests += 1
        self._send({"method": "transact", "params": [_ROOT, *operations], "id": self._requests})
        while (answer := self._receive()).get("id") != self._requests or "result" not in answer:
            if answer.get("method") == "echo":  # the server wants to know whether we are still there
                self._send({"result": answer["params"], "error": None, "id": answer["id"]})
        results = answer["result"] or [answer["error"]]
        for result in results:
            if result and result.get("error"):
                raise RuntimeError(f"Open vSwitch's database: {result['error']}: {result.get('details', '')}")
        return list(results)

    def configure(self, *operations: Operation) -> list[dict[str, Any]]:
        """`transact`, and return when ovs-vswitchd has done what the new configuration asks for.

        RuntimeError, too, if an interface is not to be had, or it takes longer than 10 s.
        """
        count = {"op": "mutate", "table": _ROOT, "where": [], "mutations": [["next_cfg", "+=", 1]]}
        read = {"op": "select", "table": _ROOT, "where": [], "columns": ["next_cfg"]}
        *results, _, counted = self.transact(*operations, count, read)
        if not self.followed:
            return results
        behind = [["cur_cfg", "<", counted["rows"][0]["next_cfg"]]]
        none = {"columns": ["cur_cfg"], "until": "==", "rows": [], "timeout": round(_TIMEOUT_S * 1e3)}
        refused = {"where": [["ofport", "==", -1]], "columns": ["name", "error"]}
        _, interfaces = self.transact(
            {"op": "wait", "table": _ROOT, "where": behind, **none}, {"op": "select", "table": "Interface", **refused}
        )
        if interfaces["rows"]:
            raise RuntimeError("Open vSwitch: " + "; ".join(str(row["error"]) for row in interfaces["rows"]))
        return results

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
                    raise RuntimeError("Open vSwitch's database has closed the connection") from None
                self._received += part
            else:
                self._received = text[end:].lstrip().encode()
                return dict(message)
