"""What a process saw or did, when: one JSON object a line, each on disk (or in the kernel's hands) as it is written.

``time_ns`` is CLOCK_REALTIME, which all hosts of a network share, for they share a kernel, as if nobody had set it
(`timekeeping`); in virtual time it is the scenario's clock.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from dmmlab.machine import catalogue, timekeeping

CHECK = "DMMLAB_CHECK_EVENTS"  # an environment variable; with "1" what the catalogue does not have is an error

CLOCKWATCH = "clockwatch"  # the source of what is watched beside a run in real time

Entry = tuple[str, int, Mapping[str, object]]  # an event, when it happened (ns since the epoch), its fields


class EventLog:
    """Appends to ``path``. ``source`` says whose log it is; ``role`` what that is, in the catalogue's words."""

    def __init__(self, path: Path, source: str, role: str = "", *, compact: bool = False) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._source, self._role = source, role or source
        self._encode = json.JSONEncoder(separators=(",", ":") if compact else (", ", ": ")).encode
        self._checks = os.environ.get(CHECK) == "1"

    def emit(self, event: str, **fields: object) -> None:
        """Writes one event, which happens now."""
        self.write([(event, timekeeping.now_ns(), fields)])

    def write(self, entries: Iterable[Entry]) -> None:
        """Writes all entries at once: a reader, another thread or a signal handler never sees or makes half a line."""
        if lines := "".join(self._line(*entry) for entry in entries):
            os.write(self._descriptor, lines.encode())

    def _line(self, event: str, time_ns: int, fields: Mapping[str, object]) -> str:
        if self._checks:
            catalogue.check(self._role, event, fields)
        head = {"time_ns": time_ns, "source": self._source, "event": event}  # no field passes for it
        return self._encode({**head, **fields, **head}) + "\n"

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)
