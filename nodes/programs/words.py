"""What a scenario says of a program: its words, and what a session fills in for the placeholders among them.

This is the only place where a scenario's text comes near a command. It is cut into words once, when the scenario is
read, and no shell ever sees it (unless the program is one: ``sh -c '…'``); what is filled in never makes a new word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

PLACEHOLDERS = ("address", "host", "port", "name")
_HOLE = re.compile(r"\{\{(\w+)\}\}|\{(\w+)\}")  # {{word}} is {word} itself


def unknown(words: Sequence[str]) -> Iterator[str]:
    """The placeholders in ``words`` that nobody fills in."""
    for word in words:
        for match in _HOLE.finditer(word):
            if match[2] is not None and match[2] not in PLACEHOLDERS:
                yield match[2]


def filled(words: Sequence[str], address: str, port: int, name: str) -> list[str]:
    """The argument vector: ``{address}``, ``{host}`` (the same as a URL has it, RFC 3986 section 3.2.2), ``{port}`` and
    ``{name}`` (the node's DNS name) are put in.
    """
    host = f"[{address}]" if ":" in address else address
    values = {"address": address, "host": host, "port": str(port), "name": name}
    return [_HOLE.sub(lambda match: f"{{{match[1]}}}" if match[1] else values[match[2]], word) for word in words]
