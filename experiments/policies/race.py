"""Whichever address answers first: the session is opened on all of them."""

from __future__ import annotations

from collections.abc import Mapping

from dmmlab.experiments.methods.base import Lookup
from dmmlab.experiments.policies.base import Policy


def closed_form(lookup: Lookup, ways_s: Mapping[str, float]) -> Lookup:
    """Nothing is added: the best of all addresses answers first."""
    return Lookup(lookup.lookup_s, min(ways_s, key=lambda anchor: ways_s[anchor]))


POLICY = Policy(
    name="race",
    words="whichever address answers first",
    side="dmmlab.nodes.policies.race:Race",
    closed_form=closed_form,
)
