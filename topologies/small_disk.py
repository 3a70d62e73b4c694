"""A small disk of its own for a folder, that can be filled: a tmpfs in the caller's mount namespace."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

_SIZE_MB = 16
_BLOCKS = (1 << 20, 4096, 1)  # bytes that are written at once: fewer when no more fit


class SmallDisk:
    """Mounted at ``folder``, which is made; it goes with the mount namespace."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE_MB}m", "tmpfs", str(folder)], check=True)
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leaves no byte free."""
        with self._ballast.open("wb", buffering=0) as ballast:
            for block in _BLOCKS:
                self._write(ballast.fileno(), bytes(block))

    def free(self) -> None:
        """Gives back what `fill` took."""
        self._ballast.unlink()

    @staticmethod
    def _write(descriptor: int, block: bytes) -> None:
        try:
            while os.write(descriptor, block):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
