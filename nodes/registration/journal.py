"""The event log of a process: JSON lines, each on disk (or in the kernel's hands) as soon as it is written."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from dmmlab.nodes.registration.bindings import Noted


class Journal:
    """Appends ``{"time_ns": CLOCK_REALTIME, "source": ..., "event": ..., fields}`` lines to a file."""

    def __init__(self, path: Path, source: str) -> None:
        self._file = path.open("ab", buffering=0)
        self._source = source

    def write(self, event: str, time_ns: int, fields: Mapping[str, object]) -> None:
        """Write one event that happened at ``time_ns`` nanoseconds since the epoch."""
        self.write_all([Noted(event, time_ns, dict(fields))])

    def write_all(self, events: Iterable[Noted]) -> None:
        """Write the events in one piece."""
        self._file.write("".join(map(self._line, events)).encode())

    def _line(self, event: Noted) -> str:
        head = {"time_ns": event.time_ns, "source": self._source, "event": event.name}
        return json.dumps(head | event.fields | head) + "\n"  # no field may pass for the head

    def close(self) -> None:
        """Close the file."""
        self._file.close()
