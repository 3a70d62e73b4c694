"""One program of a session, as whoever starts it is told; planners read this too, so it imports little."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Program:
    """A program in one ``role`` of a session. ``words`` have placeholders yet; ``lacks`` says what of it, or of the
    session's other one, is not there. ``output`` is the path of what it prints, but for the suffix; ``until_ns`` (since
    the epoch) is when it is ended.
    """

    session: str
    role: str
    words: tuple[str, ...]
    lacks: str
    folder: str
    output: str
    until_ns: int

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Program:
        """As JSON has it."""
        return cls(**{**data, "words": tuple(data["words"])})
