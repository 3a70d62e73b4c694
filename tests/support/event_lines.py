"""The lines of an event log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def logged(events: Path) -> list[dict[str, Any]]:
    """What the file holds, a mapping a line."""
    return [json.loads(line) for line in events.read_text().splitlines()]
