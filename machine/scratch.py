"""Folders for the files that a run needs and does not keep: removed with the run or, if that was killed, by the next.

Each has a lock that its process holds for as long as it lives, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX, _LOCK = "dmmlab-", "lock"
_ATTEMPTS, _PATIENCE_S = 20, 0.05


@contextmanager
def folder(what: str = "") -> Iterator[Path]:
    """A new one, for its owner alone; what runs that were killed have left is removed first."""
    sweep()
    made, lock = Path(), None
    while lock is None:  # somebody who sweeps might have been between us and our lock
        made = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{what}"))
        with contextlib.suppress(OSError):
            lock = _locked(made)
    try:
        yield made
    finally:
        for _ in range(_ATTEMPTS):  # whoever is just ending may still write
            shutil.rmtree(made, ignore_errors=True)
            if not made.exists():
                break
            time.sleep(_PATIENCE_S)
        os.close(lock)


def sweep() -> list[Path]:
    """Removes our folders that no process has any more; those."""
    removed = []
    for found in sorted(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")):
        with contextlib.suppress(OSError):
            if found.is_symlink() or found.stat().st_uid != os.getuid() or not (found / _LOCK).is_file():
                continue
            if (lock := _locked(found)) is not None:
                shutil.rmtree(found, ignore_errors=True)
                os.close(lock)
                removed.append(found)
    return removed


def _locked(where: Path) -> int | None:
    """The folder's lock; None if a process has it."""
    lock = os.open(where / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
