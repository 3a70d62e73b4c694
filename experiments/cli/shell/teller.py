"""What became of the sessions that were opened at the prompt, told while it happens."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dmmlab.nodes.daemons.tcpdump import LATENCY_S

_LOOK_S = 0.1
_WRITTEN_S = LATENCY_S + 0.3  # after a session's end, until the captures have its last packet
ENDS = ("session_ended", "session_failed")
Event = Mapping[str, Any]


class Teller:
    """Follows the logs of whoever opens sessions. ``say`` takes a line, ``ended`` the names of sessions that are over
    and can be read from the captures.
    """

    def __init__(self, say: Callable[[str], None], ended: Callable[[frozenset[str]], None]) -> None:
        self._say, self._ended = say, ended
        self._logs: dict[Path, int] = {}
        self._began: dict[str, int] = {}
        self._over: dict[str, float] = {}
        self._awaited: set[str] = set()
        self._done = threading.Condition()
        threading.Thread(target=self._follow, daemon=True).start()

    def open_log(self, log: Path) -> None:
        """Reads ``log`` from where it ends now."""
        self._logs.setdefault(log, log.stat().st_size)

    def expect(self, sessions: frozenset[str]) -> None:
        """Tells of ``sessions``, whose openers note them in logs that were opened."""
        self._awaited |= sessions

    def wait(self, sessions: frozenset[str], at_most_s: float) -> bool:
        """Whether all was told of ``sessions`` within ``at_most_s``."""
        with self._done:
            return self._done.wait_for(lambda: not sessions & self._awaited, at_most_s)

    def _follow(self) -> None:
        while True:
            time.sleep(_LOOK_S)
            for log in list(self._logs):
                for event in self._news(log):
                    self._tell(event)
            now_s = time.monotonic()
            ready = frozenset(name for name, at_s in self._over.items() if now_s >= at_s + _WRITTEN_S)
            if ready and not (self._awaited & self._over.keys()) - ready:  # those that end together have one table
                self._ended(ready)
                for name in ready:
                    del self._over[name]
                with self._done:
                    self._awaited -= ready
                    self._done.notify_all()

    def _news(self, log: Path) -> Iterator[Event]:
        with log.open("rb") as file:
            file.seek(self._logs[log])
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._logs[log] += len(line)
                yield json.loads(line)

    def _tell(self, event: Event) -> None:
        name, kind = str(event.get("session", "")), event["event"]
        if name not in self._awaited:
            return
        if (line := words(event, self._began.get(name) or int(event["time_ns"]))) is not None:
            self._say(f"{name}: {line}")
        if kind in ("session_started", "lookup_started"):
            self._began[name] = event["time_ns"]
        elif kind in ENDS:
            self._over[name] = time.monotonic()


def words(event: Event, began_ns: int) -> str | None:
    """An event of a session in words, if it is worth any; ``began_ns`` is when the session or its lookup did."""
    said = None
    match event["event"]:
        case "session_started":
            said = f"starts, by {event['method']} over {event['transport']}"
        case "lookup_ended":
            said = f"lookup: {_looked_up(event, (event['time_ns'] - began_ns) / 1e6)}"
        case "address_chosen":
            said = f"goes on with {event['address']}"
        case "attempt_failed":
            said = f"attempt {event['attempt'] + 1} failed: {event['reason']}"
        case "bulk_checked":
            said = f"{event['size']} bytes arrived {'whole' if event['intact'] else 'damaged'}"
        case "session_ended":
            said = "has ended"
        case "session_failed":
            said = "has failed: nobody answered"
    return said


def _looked_up(event: Event, took_ms: float) -> str:
    when = "cached" if event["cached"] else f"after {took_ms:.1f} ms"
    if event["outcome"] != "ok":
        return f"{event['outcome']} ({event['reason']}), {when}"
    return f"{', '.join(event['addresses'])}, port {event['port']}, {when}"
