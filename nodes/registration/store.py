"""The bindings on disk: SQLite in WAL mode, one row per node, several nodes in one transaction (group commit)."""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from dmmlab.nodes.registration.bindings import Binding, Record
from dmmlab.nodes.registration.replay import Window

SCHEMA = """
CREATE TABLE IF NOT EXISTS nodes (
    name TEXT PRIMARY KEY, highest INTEGER NOT NULL, bitmap INTEGER NOT NULL,
    addresses TEXT, port INTEGER, service TEXT, control_address TEXT, control_port INTEGER,
    registered_ns INTEGER, expires_ns INTEGER, sequence INTEGER, services TEXT
) WITHOUT ROWID
"""
SAVE = "INSERT OR REPLACE INTO nodes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Store:
    """The table of nodes; whatever ``save`` has returned from survives a kill -9.

    ``synchronous`` is SQLite's: NORMAL survives the death of the process, FULL that of the machine as well. The lock is
    exclusive, so that a second server on the same file fails at once instead of diverging.
    """

    def __init__(self, path: Path | str, synchronous: str = "NORMAL") -> None:
        self._database = sqlite3.connect(path, isolation_level=None, timeout=1.0)
        self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute(f"PRAGMA synchronous={synchronous}")
        self._database.execute(SCHEMA)

    def load(self) -> list[Record]:
        """Return every node that was ever saved."""
        return [_record(row) for row in self._database.execute("SELECT * FROM nodes")]

    def save(self, records: Iterable[Record]) -> None:
        """Write the records in one transaction; raises sqlite3.Error with nothing written."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.executemany(SAVE, map(_row, records))
            self._database.execute("COMMIT")
        except sqlite3.Error:
            if self._database.in_transaction:  # of a full disk SQLite has taken back everything by itself
                self._database.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Release the file."""
        self._database.close()


def _row(record: Record) -> tuple[object, ...]:
    window, binding = record.window, record.binding
    if binding is None:
        return (record.name, window.highest, window.bitmap, *[None] * 9)
    return (
        record.name,
        window.highest,
        window.bitmap,
        " ".join(binding.addresses),
        binding.port,
        binding.service,
        json.dumps(binding.control[:2]),
        binding.control[2],
        binding.registered_ns,
        binding.expires_ns,
        binding.sequence,
        json.dumps(binding.services) if binding.services else None,
    )


def _record(row: tuple[object, ...]) -> Record:
    (name, highest, bitmap, addresses, port, service, control, control_port, registered_ns, expires_ns, sequence,
     services) = row  # fmt: skip
    record = Record(str(name), Window(int(str(highest)), int(str(bitmap))))
    if addresses is not None:
        transport, host = json.loads(str(control))
        record.binding = Binding(
            tuple(str(addresses).split()),
            int(str(port)),
            str(service),
            (transport, host, int(str(control_port))),
            int(str(registered_ns)),
            int(str(expires_ns)),
            int(str(sequence)),
            tuple((name, number) for name, number in json.loads(str(services))) if services else (),
        )
    return record
