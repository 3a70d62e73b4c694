"""How long a processor takes over a message: in virtual time computing takes none, so that this is an explicit wait."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What one message takes: one of ``durations_s`` (seconds), each as likely, drawn from ``seed``."""

    durations_s: tuple[float, ...]
    seed: str

    def write(self, file: Path) -> None:
        """As JSON."""
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, file: Path) -> Cost:
        """What `write` has written."""
        data = json.loads(file.read_text())
        return cls(tuple(data["durations_s"]), data["seed"])


class Processor:
    """Takes one message after another, in the order in which they come."""

    def __init__(self, cost: Cost) -> None:
        self._durations_ns = [round(seconds * 1e9) for seconds in cost.durations_s]
        self._draw = random.Random(cost.seed)
        self._free_ns = 0

    def done_ns(self, now_ns: int, costs: bool = True) -> int:
        """When it is done with a message that comes now; one that ``costs`` nothing waits for those before it."""
        begins_ns = max(now_ns, self._free_ns)
        self._free_ns = begins_ns + (self._taken_ns() if costs else 0)
        return self._free_ns

    def _taken_ns(self) -> int:
        return self._durations_ns[0] if len(self._durations_ns) == 1 else self._draw.choice(self._durations_ns)
