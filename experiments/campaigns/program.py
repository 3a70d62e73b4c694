"""The program that makes records, as one digest: a run that another one made is not taken for this one's."""

from __future__ import annotations

import hashlib
from functools import cache

from dmmlab.machine import sources

_SOURCES = (".py", ".config", ".patch", ".c", ".h", ".sh", ".j2", ".in")
_DRAWING = (
    "figures",
    "campaigns",
    "costmodel",
    "ladders",
    "scenario/shipped",
    "records/frames.py",
    "records/readme.py",
    "report",
    "cli",
)


def only_draws(source: str) -> bool:
    """Whether no record and no verdict of a run follows from this source, a path in the repository."""
    return any(source.startswith(f"experiments/{word}") for word in _DRAWING)


@cache
def program() -> str:
    """A digest of the sources that records follow from; what only draws is left out."""
    root, content = sources.ROOT, hashlib.sha256()
    for folder in sources.FOLDERS:
        for file in sorted((root / folder).rglob("*")):
            name = str(file.relative_to(root))
            if file.suffix in _SOURCES and file.is_file() and not only_draws(name):
                content.update(name.encode() + b"\0" + file.read_bytes())
    return content.hexdigest()[:16]
