"""The address with the lowest round trip, measured before the session is opened."""

from __future__ import annotations

from collections.abc import Mapping

from dmmlab.experiments.methods.base import Lookup
from dmmlab.experiments.policies.base import Policy


def closed_form(lookup: Lookup, ways_s: Mapping[str, float]) -> Lookup:
    """All addresses are probed at once: the longest round trip is waited for, then the best is taken."""
    return Lookup(lookup.lookup_s + 2 * max(ways_s.values()), min(ways_s, key=lambda anchor: ways_s[anchor]))


POLICY = Policy(
    name="lowest-rtt",
    words="the address with the lowest round trip, measured first",
    side="dmmlab.nodes.policies.lowest_rtt:LowestRtt",
    closed_form=closed_form,
)
