"""The files that a scenario names: beside it or below, and nowhere else.

A scenario may come from anybody. What it names is read into the run's record, which may go back to where the scenario
came from, so it cannot name what is elsewhere on the machine, however the path is written.
"""

from __future__ import annotations

from pathlib import Path

MOST_BYTES = 64_000_000


class Elsewhere(ValueError):
    """The file cannot be had; the rest of a sentence that has named it."""


def find(folder: Path, name: str) -> Path:
    """The file ``name`` of a scenario in ``folder``. Raises Elsewhere."""
    home = folder.resolve()
    try:
        path = (home / name).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise Elsewhere(f"is no path: {error}") from None
    if not path.is_relative_to(home):
        raise Elsewhere(f"is not below the scenario's folder; copy it to {folder}")
    if path.exists() and not path.is_file():
        raise Elsewhere("is no file")
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise Elsewhere(f"is larger than {MOST_BYTES // 1_000_000} MB")
    return path
