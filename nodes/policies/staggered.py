"""A race with head starts: each address has its turn a moment after the one before it (RFC 8305 section 5)."""

from __future__ import annotations

from dmmlab.nodes.policies.latest import Latest


class Staggered(Latest):
    """The newest address first, the others ``delay`` seconds apart."""

    def __init__(self, delay: str) -> None:
        self.head_start_s = float(delay)
