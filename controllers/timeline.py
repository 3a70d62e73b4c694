"""The controller's share of the run's timeline: JSON Lines, one event a line, each written at once and whole."""

import json
import os
import time
from pathlib import Path

SOURCE = "controller"


class Timeline:
    """Appends events to a file; ``time_ns`` is CLOCK_REALTIME, which under virtual time is the scenario's clock."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, event: str, **fields: object) -> None:
        """Append one event.

        One write of one line: a reader, a second thread or a signal handler never sees or makes half a line.
        """
        line = {"time_ns": time.time_ns(), "source": SOURCE, "event": event, **fields}
        os.write(self._descriptor, (json.dumps(line, separators=(",", ":")) + "\n").encode())
