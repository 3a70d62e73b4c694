"""What a process on a host saw, when: one JSON object a line, flushed at once.

``time_ns`` is CLOCK_REALTIME, which all hosts of a network share, for they share a kernel.
"""

from __future__ import annotations

import json
import time
from pathlib import Path


class EventLog:
    """Appends to ``path``; ``source`` says whose log it is."""

    def __init__(self, path: Path, source: str) -> None:
        self._file = path.open("a", buffering=1)
        self._source = source

    def emit(self, event: str, **fields: object) -> None:
        """Writes ``event`` with its fields; a field ``time_ns`` replaces the time, which is now."""
        row = {"time_ns": time.time_ns(), "source": self._source, "event": event}
        self._file.write(json.dumps({**row, **fields}) + "\n")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
