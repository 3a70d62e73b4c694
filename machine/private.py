"""Files that hold keys: for their owner alone."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Writes ``text`` to a file that nobody else can read, from the first byte on, whatever was there and whatever the
    umask says; OSError where it would be reached by a symbolic link.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", closefd=True) as file:  # noqa: PTH123 - it is open
        os.fchmod(descriptor, 0o600)
        file.write(text)
