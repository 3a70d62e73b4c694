"""Open vSwitch's configuration, changed over the protocol of its database (RFC 7047, on its Unix socket).

The library of the Open vSwitch project keeps a copy of the whole database and needs 7,400 system calls to be imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dmmlab.topologies.jsonrpc import Connection

_TIMEOUT_S = 10.0  # for ovs-vswitchd to do what it is told, and for the database to answer
_ROOT = "Open_vSwitch"  # the database, and its table of one row

Operation = dict[str, Any]


class Database:
    """A connection to ovsdb-server on the Unix socket ``path``; OSError where there is none."""

    def __init__(self, path: Path) -> None:
        self._server = Connection(path, 2 * _TIMEOUT_S)
        self.folder = path.parent  # where the sockets of ovs-vswitchd are, too
        self.followed = True  # by ovs-vswitchd; if not, it does what it finds here once it is back

    def close(self) -> None:
        """Ends the connection."""
        self._server.close()

    def transact(self, *operations: Operation) -> list[dict[str, Any]]:
        """The result of each of ``operations``, which are done all or none; RuntimeError, one sentence, if none."""
        answer = self._server.ask("transact", _ROOT, *operations)
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
