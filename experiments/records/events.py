"""The events of a run as they are read: ``events.jsonl``, and the logs of each process that it is made of."""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from types import NoneType
from typing import Any, Literal

from dmmlab.experiments.records.errors import RunDirectoryError

_NAME, _NUMBER = (str, int, NoneType), (int, float)
_KINDS: dict[str, tuple[type, ...]] = {  # of the fields that readers look things up by, and compute with
    **dict.fromkeys(("session", "mn", "to", "node", "address", "router", "switch", "port", "role", "outcome"), _NAME),
    **dict.fromkeys(("attempt", "installed", "removed", "packets"), (int,)),
    **dict.fromkeys(("late_p95_ms", "late_max_ms", "steal", "by_ms", "by_s", "expected_ms", "jitter_ms"), _NUMBER),
    **dict.fromkeys(("frames", "counters", "bindings"), (dict,)),
    "rtt_ms": (*_NUMBER, NoneType),
    "addresses": (list,),
}


class Event(dict[str, Any]):
    """An event; a field that it is asked for and does not have (docs/events.md) is a RunDirectoryError."""

    __slots__ = ("place",)

    def __init__(self, fields: dict[str, Any], file: Path, line: int) -> None:
        super().__init__(fields)
        self.place = file, line

    def __missing__(self, field: str) -> Any:
        file, line = self.place
        raise RunDirectoryError.damaged(file, f"line {line}: event {self.get('event')!s:.80} lacks {field!r}")


def read(file: Path, time: Literal["time_s", "time_ns"]) -> list[Event]:
    """The events in ``file``, one a line, each with its ``time``, ``source`` and name.

    Raises RunDirectoryError where a line is none, OSError where there is no such file.
    """
    head = {time: _NUMBER if time == "time_s" else (int,), "source": (str,), "event": (str,)}
    try:
        lines = file.read_text().splitlines()
    except UnicodeDecodeError as error:
        raise RunDirectoryError.damaged(file, str(error)) from None
    found = []
    for number, line in enumerate(lines, 1):
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RunDirectoryError.damaged(file, f"line {number}: {error}") from None
        if not isinstance(fields, dict):
            raise RunDirectoryError.damaged(file, f"line {number} is no event")
        event = Event(fields, file, number)
        for field, kinds in (head | {field: _KINDS[field] for field in event.keys() & _KINDS}).items():
            value = event[field]
            if type(value) not in kinds or (isinstance(value, float) and not isfinite(value)):
                raise RunDirectoryError.damaged(file, f"line {number}: {field}: {str(value)[:80]!r}")
        found.append(event)
    return found
