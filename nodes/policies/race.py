"""A race: the session is opened on all addresses at once and goes on with the one that answers first, as RFC 8305 does
for address families (without its head start: the addresses lead to one node, and a packet more is cheap).
"""

from __future__ import annotations

from dmmlab.nodes.policies.latest import Latest


class Race(Latest):
    """All addresses, as they come."""

    at_once = True
