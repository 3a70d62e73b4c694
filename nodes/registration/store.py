"""The bindings on disk: SQLite in WAL mode, one row per node, several nodes in one transaction (group commit)."""

import contextlib
import json
import os
import sqlite3
import threading
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
CHECKPOINT_ROWS = 4096  # so many saved rows until the log goes back into the table
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
        self._database.execute("PRAGMA wal_autocheckpoint=0")  # `tend` does it
        self._database.execute(SCHEMA)
        self._log = f"{path}-wal"
        self._rows = 0  # saved since the last checkpoint
        self._syncing: threading.Thread | None = None
        self._checkpoint()  # what an earlier process has left

    def load(self) -> list[Record]:
        """Return every node that was ever saved."""
        return [_record(row) for row in self._database.execute("SELECT * FROM nodes")]

    def save(self, records: Iterable[Record]) -> None:
        """Write the records in one transaction; raises sqlite3.Error with nothing written."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._rows += self._database.executemany(SAVE, map(_row, records)).rowcount
            self._database.execute("COMMIT")
        except sqlite3.Error:
            if self._database.in_transaction:  # of a full disk SQLite has taken back everything by itself
                self._database.execute("ROLLBACK")
            raise

    def tend(self) -> None:
        """Put the log back into the table when it is long; to be called when nobody waits for an answer.

        SQLite would do it within a commit, whose answers would wait for it: for the disk to have all of the log, and
        then the table. Here a thread has the disk take the log while registrations go on; what is left to wait for is
        what came meanwhile, and the table.
        """
        if self._rows < CHECKPOINT_ROWS:
            return
        if self._syncing is None:
            self._syncing = threading.Thread(target=_sync, args=(self._log,), daemon=True)
            self._syncing.start()
        elif not self._syncing.is_alive() or self._rows > 4 * CHECKPOINT_ROWS:
            self._checkpoint()
            self._rows, self._syncing = 0, None

    def _checkpoint(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # a full disk: nothing is lost, and it is tried again
            self._database.execute("PRAGMA wal_checkpoint").fetchall()

    def close(self) -> None:
        """Release the file."""
        self._database.close()


def _sync(path: str) -> None:
    """Wait until the disk has all of a file."""
    with contextlib.suppress(OSError):  # whoever needs it to have it finds out
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)


def _row(record: Record) -> tuple[object, ...]:
    window, binding = record.window, record.binding
    if binding is None:
        return (record.name, window.highest, window.bitmap, *[None] * 7, record.withdrawn or None, None)
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
    if addresses is None:
        record.withdrawn = int(str(sequence or 0))
    else:
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
