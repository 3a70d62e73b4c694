"""A command in a fresh guest, and all that it says."""

from __future__ import annotations

from typing import Any

from dmmlab.guest import launch

LIMIT_S = 120.0


def run(*argv: str, **options: Any) -> tuple[int, str, str]:
    """Status, stdout, stderr of a command in the guest."""
    output, errors = bytearray(), bytearray()
    options.setdefault("time_limit_s", LIMIT_S)
    status = launch.execute(argv, stdout=output.extend, stderr=errors.extend, **options)
    return status, output.decode(errors="replace"), errors.decode(errors="replace")
