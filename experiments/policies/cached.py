"""The address that this correspondent used the last time, for as long as the node still has it."""

from __future__ import annotations

from dmmlab.experiments.policies.base import Choice, Offer, Policy


def closed_form(offer: Offer) -> Choice:
    """Nothing is added: the first time the newest, and from then on the same."""
    return Choice(offer.last or next(iter(offer.ways_s)))


POLICY = Policy(
    name="cached",
    words="the address that was used the last time, while the node has it",
    side="dmmlab.nodes.policies.cached:Cached",
    closed_form=closed_form,
    remembers=True,
)
