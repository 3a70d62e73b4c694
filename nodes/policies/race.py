"""A race: the session is opened on all addresses at once and goes on with the one that answers first.

`dmmlab.nodes.policies.staggered` does so with head starts, as RFC 8305 has it for address families.
"""

from __future__ import annotations

from dmmlab.nodes.policies.latest import Latest


class Race(Latest):
    """All addresses, as they come."""

    head_start_s = 0.0
